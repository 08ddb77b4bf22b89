//! The validator program over a running chain.

mod kill;
