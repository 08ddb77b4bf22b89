//! A composed season: each class of a quota played by its own rule, as a mechanism of the subnet.
//!
//! The classes' seasons are put together as the chain puts mechanisms together: the emission is split
//! among them, and a neuron's numbers are their sum weighted by it.

use std::collections::BTreeMap;

use scoring::book::Range;
use scoring::emission::mechanisms;
use scoring::pay::Shape;
use scoring::yuma::EpochOutput;

use super::report::{Report, warm_up};
use super::season::{ArenaError, Season, Settings, Unsplit};
use super::subnet::EMISSION;
use crate::digest::Digest;
use crate::log::composed_head;
use crate::manifest::Manifest;

/// What the parts of a split sum to.
const WHOLE: u16 = u16::MAX;

/// A class as it was played.
#[derive(Debug)]
pub struct Part {
    /// Its name in the quota.
    pub class: String,
    /// Its season by its rule.
    pub season: Season,
    /// That season's report.
    pub report: Report,
}

/// The report of a quota's classes together; they are in the order of their names.
pub fn compose(
    manifest: &Manifest,
    settings: &Settings,
    parts: &[Part],
) -> Result<Report, ArenaError> {
    let quota = match &manifest.pay.shape {
        Shape::Quota { classes } => classes.clone(),
        _ => BTreeMap::new(),
    };
    let split = split(parts.iter().map(|part| quota.get(&part.class).copied().unwrap_or(0.0)));
    let count = u8::try_from(split.len()).unwrap_or(u8::MAX);
    let amounts = mechanisms::split(EMISSION, count, Some(&split));
    let heads: Vec<Digest> = parts.iter().map(|part| part.season.log).collect();
    let log = composed_head(manifest, &heads)?;
    let season = Season { log, ..together(parts, &amounts) };
    let mut report = Report::new(manifest, settings, &season);
    for part in parts {
        report.absorb(&part.class, &part.report);
    }
    Ok(report)
}

/// `MechanismEmissionSplit`: each share in parts of the whole, and what they leave as one more.
fn split(shares: impl Iterator<Item = f64>) -> Vec<u16> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares lie within 0..=1"
    )]
    let part = |share: f64| libm::rint(share * f64::from(WHOLE)) as u16;
    let mut split: Vec<u16> = shares.map(part).collect();
    let given = split.iter().fold(0_u16, |sum, part| sum.saturating_add(*part));
    split.push(WHOLE - given);
    split
}

/// One season of all classes, without their log; the amounts' last is the mechanism that burns.
fn together(parts: &[Part], amounts: &[u64]) -> Season {
    let first = parts.first().map(|part| &part.season);
    let epochs = first.map_or(0, |season| season.incentive.len());
    let miners = first.map_or(0, |season| season.identities.len());
    let (mut incentive, mut burned) = (Vec::new(), Vec::new());
    for epoch in 0..epochs {
        let mut row = combined(parts, amounts, epoch, miners).into_iter();
        burned.push(row.next().unwrap_or(0.0));
        incentive.push(row.collect());
    }
    let sum = |of: fn(&Season) -> (u64, u64)| {
        let terms = parts.iter().map(|part| of(&part.season));
        terms.fold((0, 0), |sum, term| (sum.0 + term.0, sum.1 + term.1))
    };
    let convicted =
        |miner: usize| parts.iter().filter_map(|part| part.season.convicted[miner]).min();
    Season {
        identities: first.map(|season| season.identities.clone()).unwrap_or_default(),
        incentive,
        burned,
        convicted: (0..miners).map(convicted).collect(),
        worth: (0..epochs).map(|epoch| worth(parts, epoch, miners)).collect(),
        draws: sum(|season| season.draws),
        recomputed: sum(|season| season.recomputed),
        work: sum(|season| season.work),
        figures: figures(parts, amounts),
        inapplicable: Vec::new(),
        unsplit: unsplit(parts, amounts, epochs),
        apart: parts.iter().filter_map(|part| part.season.apart).reduce(f64::max),
        log: Digest([0; 32]),
    }
}

/// What operators of several identities earned as one each, in all classes together.
fn unsplit(parts: &[Part], amounts: &[u64], epochs: usize) -> Option<Unsplit> {
    let total: u64 = amounts.iter().sum();
    let mut all = Unsplit { alone: vec![0.0; epochs], further: Vec::new() };
    for (part, amount) in parts.iter().zip(amounts) {
        #[expect(clippy::cast_precision_loss, reason = "an epoch's emission is below 2^53 rao")]
        let weight = *amount as f64 / total as f64;
        let of_part = part.season.unsplit.as_ref()?;
        for (sum, earned) in all.alone.iter_mut().zip(&of_part.alone) {
            *sum += weight * earned;
        }
        all.further.resize(of_part.further.len(), (0.0, 0.0));
        for (sum, (split, alone)) in all.further.iter_mut().zip(&of_part.further) {
            *sum = (sum.0 + weight * split, sum.1 + weight * alone);
        }
    }
    Some(all)
}

/// Incentive of the owner and the miners in one epoch, of 1.
fn combined(parts: &[Part], amounts: &[u64], epoch: usize, miners: usize) -> Vec<f64> {
    let mut outputs: Vec<_> = parts
        .iter()
        .zip(amounts)
        .map(|(part, amount)| {
            let shares = std::iter::once(part.season.burned[epoch])
                .chain(part.season.incentive[epoch].iter().copied());
            (of_incentive(shares), *amount)
        })
        .collect();
    let owner_only = std::iter::once(1.0).chain(std::iter::repeat_n(0.0, miners));
    outputs.push((of_incentive(owner_only), amounts.last().copied().unwrap_or(0)));
    let combined = mechanisms::combine(outputs).map(|output| output.incentive).unwrap_or_default();
    combined.into_iter().map(|share| f64::from(share) / f64::from(WHOLE)).collect()
}

fn of_incentive(shares: impl Iterator<Item = f64>) -> EpochOutput {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares lie within 0..=1 and were u16 parts of the whole"
    )]
    let part = |share: f64| libm::rint(share * f64::from(WHOLE)) as u16;
    EpochOutput { incentive: shares.map(part).collect(), ..EpochOutput::default() }
}

/// What each is worth in all classes together, for the plot.
fn worth(parts: &[Part], epoch: usize, miners: usize) -> Vec<Range> {
    let of = |miner: usize| {
        let worths = parts.iter().filter_map(|part| part.season.worth.get(epoch)?.get(miner));
        worths.fold(Range::default(), |sum, worth| sum + *worth)
    };
    (0..miners).map(of).collect()
}

/// What each class's miners got of all emission in the epochs that count and in which it paid anybody.
fn figures(parts: &[Part], amounts: &[u64]) -> Vec<(String, f64)> {
    let total: u64 = amounts.iter().sum();
    let of = |(part, amount): (&Part, &u64)| {
        let epochs = part.season.incentive.iter().zip(&part.season.burned);
        let (mut paid, mut all) = (0.0, 0.0);
        for (row, burned) in epochs.skip(warm_up(part.season.incentive.len())) {
            let sum: f64 = row.iter().sum();
            if sum <= 0.0 {
                // Nobody earned anything yet: burned, and no other class's.
                continue;
            }
            paid += sum;
            all += sum + burned;
        }
        #[expect(clippy::cast_precision_loss, reason = "an epoch's emission is below 2^53 rao")]
        let of_all = *amount as f64 / total as f64;
        let share = if all > 0.0 { of_all * paid / all } else { 0.0 };
        (format!("share of {}", part.class), share)
    };
    parts.iter().zip(amounts).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::Hyperparameters;
    use crate::native::{self, Rehearsal};
    use crate::package::{Package, Trials};
    use crate::star::Program;

    #[test]
    fn a_split_is_whole_whatever_the_shares() {
        for shares in [vec![0.24; 4], vec![1.0 / 3.0; 3], vec![1.0], vec![0.0, 0.5]] {
            let split = split(shares.iter().copied());
            assert_eq!(split.iter().map(|part| u32::from(*part)).sum::<u32>(), 65_535);
            assert_eq!(split.len(), shares.len() + 1);
        }
    }

    #[test]
    fn each_class_gets_its_quota_and_the_rest_is_burned_and_the_log_says_the_same() {
        let package = Package::shipped("quota").unwrap();
        let cast = "honest:4,lazy:1,copier:1,forger:1".parse().unwrap();
        let settings = Settings {
            epochs: 40,
            cast,
            validators: 2,
            seed: 3,
            chain: Hyperparameters::default(),
            panel: None,
        };
        let rehearsal = Rehearsal {
            venues: None,
            settings: &settings,
            trials: &Trials::default(),
            actors: &[],
            program: &Program::new("unused", &[]),
        };
        let mut log = Vec::new();
        let report = native::rehearse(&package, &rehearsal, &mut log).unwrap();
        let open = || Ok::<_, native::NativeError>(log.as_slice());
        let again = native::replay(rehearsal.program, open).unwrap();
        assert_eq!((again.head, again.parts.len()), (report.log_digest, 4));
        assert!(report.holds(), "{report:#?}");
        let burned = report.actors.iter().find(|actor| actor.kind == "burn").unwrap().share;
        // What no class is for, and the forecasts' quota in the 6 of 36 epochs that count and in which
        // `topic` pays nobody yet.
        let expected = 0.04 + 0.24 * 6.0 / 36.0;
        assert!((burned - expected).abs() < 0.001, "{burned}");
        assert!(
            report.bounds.iter().filter(|bound| bound.name.starts_with("share of")).count() == 8
        );
    }
}
