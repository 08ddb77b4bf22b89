//! The arena: a rule against a cast of cheats, for hundreds of epochs, before it costs money.
//!
//! ```text
//! every epoch, every validator:  draw -> execute: World::reply -> bytes -> Rule::measure -> judge
//! at its end:                    Examiner::settle -> weights -> Yuma -> incentive
//! after the last:                who earned what, bounds, laws
//! ```
//!
//! The order of phases, measure, judge, book, weights, Yuma and emission are the production code. Only
//! the miners are played, by a [`World`]: it sends bytes, as miners behind sockets do. Nothing in it sets
//! a measurement, a verdict, a rate or a score.

pub(crate) mod cast;
mod compose;
mod laws;
mod report;
pub(crate) mod seals;
pub(crate) mod season;
mod subnet;
mod sweep;

pub use cast::{Cast, CastError, Group, Identity, Kind};
pub use compose::{Part, compose};
pub use laws::{Law, Outcome};
pub use report::{Actor, BoundCheck, Report, rehearse};
pub use season::{ArenaError, Moment, Season, Settings, Unsplit, World, play, play_at, unsplit};
pub use subnet::{Hyperparameters, Slots, Venue, VenueError, Venues};
pub use sweep::{Point, Sweep, points};

#[cfg(test)]
mod tests;
