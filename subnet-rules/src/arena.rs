//! The arena: a rule against a cast of cheats, for hundreds of epochs, before it costs money.
//!
//! ```text
//! every epoch, every validator:  beacon -> Examiner::draw -> World::measure -> Examiner::take
//! at its end:                    Examiner::settle -> weights -> Yuma -> incentive
//! after the last:                who earned what, bounds, laws
//! ```
//!
//! Rule, judge, book, weights, Yuma and emission are the production code. Only the miners are played,
//! by a [`World`]: it turns what a kind of actor would send into what a validator would measure.
//! Nothing in it sets a verdict, a rate or a score.

mod cast;
mod compose;
mod laws;
mod report;
mod season;
mod subnet;
mod sweep;
pub mod worlds;

pub use cast::{Cast, CastError, Group, Identity, Kind};
pub use compose::{Part, compose};
pub use laws::Law;
pub use report::{Actor, BoundCheck, Report, rehearse};
pub use season::{ArenaError, Moment, Season, Settings, Unsplit, World, play, play_at, unsplit};
pub use subnet::{Hyperparameters, Slots, Venue, VenueError, Venues};
pub use sweep::{Point, Sweep, points};

#[cfg(test)]
mod tests;
