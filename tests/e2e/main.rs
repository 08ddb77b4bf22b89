//! The whole network in one process: one story a file.

mod emission;
