//! Worlds: seeded generators of challenges whose truth is known to whoever holds the seed.

pub mod grammar;
pub mod series;
