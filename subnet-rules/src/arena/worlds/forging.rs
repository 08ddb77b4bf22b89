//! The miners of `forge`: the work is really done, and really checked; only the clock is played.

use std::collections::BTreeMap;

use super::super::cast::{Identity, Kind};
use super::super::season::{Moment, World};
use crate::digest::Digest;
use crate::examiner::MeasuredOf;
use crate::forge::work::{chain, root};
use crate::forge::{Forge, ForgeDraw, Measurement, Opening};
use crate::prf::Prf;
use crate::rule::{Measured, Subject};

/// Relative spread of times.
const JITTER: f64 = 0.02;
/// Time that a device with cheaper means takes, in units of the named one.
const CHEAP_PACE: f64 = 2.0;
/// What an answer without work takes, microseconds.
const IDLE_US: u64 = 1_000;

/// The world.
#[derive(Debug, Clone)]
pub struct Forging {
    rule: Forge,
    prf: Prf,
    /// The latest honest products that each validator saw: what a copier sends.
    latest: BTreeMap<u16, Vec<Vec<i32>>>,
    work: (u64, u64),
}

impl Forging {
    /// The world of a seed.
    pub fn new(rule: &Forge, seed: u64) -> Self {
        let prf = Prf::from_seed(seed).child("forging");
        Self { rule: rule.clone(), prf, latest: BTreeMap::new(), work: (0, 0) }
    }

    /// The products an identity sends, and how long it took in units of the allowed time.
    fn products(
        &mut self,
        who: &Identity,
        validator: u16,
        draw: &ForgeDraw,
    ) -> (Vec<Vec<i32>>, f64) {
        let task = &draw.public;
        let entries = task.size * task.size;
        let mut done = |steps: usize| {
            self.work.1 += (steps * entries * task.size) as u64;
            chain(&task.key, task.size, steps)
        };
        let nothing = || vec![vec![0; entries]; task.depth];
        match who.kind {
            Kind::Honest => {
                let products = done(task.depth);
                self.latest.insert(validator, products.clone());
                (products, 1.0)
            }
            Kind::Substitute => (done(task.depth), CHEAP_PACE),
            Kind::Sybil => {
                let parts = u32::try_from(who.siblings).unwrap_or(u32::MAX);
                (done(task.depth), f64::from(parts))
            }
            // Half of the chain; the rest is made up.
            Kind::Forger => {
                let mut products = done(task.depth / 2);
                products.resize_with(task.depth, || vec![1; entries]);
                (products, 0.5)
            }
            Kind::Copier => (self.latest.get(&validator).cloned().unwrap_or_else(nothing), 0.0),
            Kind::Poison => (vec![vec![i32::MIN; entries / 2]; task.depth], 0.0),
            Kind::Lazy | Kind::Colluder => (nothing(), 0.0),
        }
    }

    fn answer(&mut self, who: &Identity, validator: u16, draw: &ForgeDraw) -> Measurement {
        let malformed = who.kind == Kind::Poison && self.prf.chance(0.5);
        if malformed || who.kind == Kind::Colluder {
            return Measurement::Unanswered;
        }
        let (products, pace) = self.products(who, validator, draw);
        let roots: Vec<Digest> = products.iter().map(|product| root(product)).collect();
        let product = |step: usize| products.get(step.wrapping_sub(1)).cloned().unwrap_or_default();
        let open = |step: usize| Opening { before: product(step - 1), product: product(step) };
        let openings: Vec<_> =
            self.rule.to_open(draw.secret, &roots).into_iter().map(open).collect();
        let right = self.rule.examine(draw, &roots, &openings);
        // A check multiplies three matrices with a vector.
        let entries = draw.public.size * draw.public.size;
        self.work.0 += (3 * entries * right.len()) as u64;
        Measurement::Worked { roots, right, total_us: self.time_us(pace) }
    }

    fn time_us(&mut self, pace: f64) -> u64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds in microseconds, and a factor above 0"
        )]
        let taken = {
            let shaken = pace * (1.0 + JITTER * self.prf.normal());
            (self.rule.params().allowed_us as f64 * shaken.max(0.0)) as u64
        };
        taken.max(IDLE_US)
    }
}

impl World<Forge> for Forging {
    fn subjects(&self, identities: &[Identity]) -> Vec<Subject> {
        identities.iter().map(|one| Subject::Miner(one.hotkey)).collect()
    }

    fn measure(
        &mut self,
        moment: Moment,
        draw: &ForgeDraw,
        who: &[Identity],
    ) -> Vec<MeasuredOf<Forge>> {
        let measured = |one: &Identity| Measured {
            hotkey: one.hotkey,
            measurement: self.answer(one, moment.validator, draw),
        };
        who.iter().map(measured).collect()
    }

    fn work(&self) -> (u64, u64) {
        self.work
    }
}
