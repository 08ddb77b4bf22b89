//! Yuma consensus: what one epoch of one mechanism of one subnet pays, exact to the bit.
//!
//! ```text
//! stake ─► permits, active stake                           who counts            (standing)
//! stored weights ─► mask ─► normalise rows ─► W            what they said        (plain::weights)
//! W, active stake ─► weighted median per column ─► C       what most stake said  (plain::consensus)
//! min(W, C) ─► trust per row, ranks per column ─► incentive    what miners earn
//! W, stored bonds ─► moving average ─► B ─► dividends          what validators earn  (bonds)
//! incentive + dividends ─► shares of the emission              in rao                (payout)
//! ```
//!
//! [`epoch`] is what the chain runs; [`explain`] computes the same with every intermediate kept,
//! one named step after another, and is what [`epoch`]'s speed is proven against. Both take
//! their numbers from [`EpochInput`] alone: no storage, no clock, no float.
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]
#![expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "`Rules` and hyperparameters grow with every runtime, and are no numbers"
)]

pub mod case;
mod fast;
mod input;
mod null;
mod output;
mod payout;
mod plain;
mod standing;
pub mod vote;

pub use fast::exp_bits;
pub use input::{
    ConsensusKind, ConsensusSource, EpochError, EpochInput, EpochParams, LiquidAlpha, NeuronInput,
    total_stake,
};
pub use output::{EpochOutput, Explanation, Steps};
pub use plain::math;

use crate::variants::Rules;
use output::Decided;
use standing::Standing;

/// A sparse row of a matrix by uid: `(uid, value)`, in the order it was stored.
pub type Row<T> = Vec<(u16, T)>;

/// Runs one epoch.
///
/// # Errors
/// [`EpochError`] when the input cannot come from a chain: see its variants. Everything that can
/// (zero stake, all-zero weights, uids out of range in a row) has the chain's own answer.
pub fn epoch(input: &EpochInput, rules: &Rules) -> Result<EpochOutput, EpochError> {
    if input.params.consensus == ConsensusKind::Null || !fast::supports(input) {
        return explain(input, rules).map(|explanation| explanation.output);
    }
    input.check(rules)?;
    let standing = Standing::of(input)?;
    let decided = fast::decide(input, &standing, rules);
    Ok(payout::output(input, standing, decided))
}

/// Runs one epoch and keeps every intermediate: for auditors, previews and proofs.
///
/// # Errors
/// As [`epoch`].
pub fn explain(input: &EpochInput, rules: &Rules) -> Result<Explanation, EpochError> {
    input.check(rules)?;
    let standing = Standing::of(input)?;
    let steps = match input.params.consensus {
        ConsensusKind::Yuma => plain::steps(input, &standing, rules),
        ConsensusKind::Null => null::steps(input, &standing),
    };
    let decided = steps.decided(&standing);
    let output = payout::output(input, standing, decided);
    Ok(Explanation { output, steps })
}
