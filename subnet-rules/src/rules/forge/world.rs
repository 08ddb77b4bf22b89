//! The miners of `forge`: the work is really done, and really checked; only the clock is played.

use std::collections::BTreeMap;

use chain_metadata::Hotkey;

use super::answer::{open, roots};
use super::ask::Steps;
use super::work::chain;
use super::{Forge, ForgeDraw};
use crate::arena::cast::{Identity, Kind};
use crate::arena::season::{Moment, World};
use crate::exchange::{Fault, Message, Phase, Sending};
use crate::prf::Prf;

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
    /// What each has committed to, until it is opened.
    held: BTreeMap<Hotkey, Vec<Vec<i32>>>,
    work: (u64, u64),
}

impl Forging {
    /// The world of a seed.
    pub fn new(rule: &Forge, seed: u64) -> Self {
        let prf = Prf::from_seed(seed).child("forging");
        let (latest, held) = (BTreeMap::new(), BTreeMap::new());
        Self { rule: rule.clone(), prf, latest, held, work: (0, 0) }
    }

    /// The products an identity commits to, and how long it took in units of the allowed time.
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
            // Half of the chain; the rest is made up, and opened only where it is of the first half.
            Kind::Forger => {
                let mut products = done(task.depth / 2);
                products.resize_with(task.depth, || vec![1; entries]);
                (products, 0.5)
            }
            Kind::Copier => (self.latest.get(&validator).cloned().unwrap_or_else(nothing), 0.0),
            Kind::Poison => (vec![vec![i32::MIN; entries / 2]; task.depth], 0.0),
            Kind::Lazy | Kind::Colluder | Kind::EarlyEnd => (nothing(), 0.0),
        }
    }

    fn opened(
        &mut self,
        who: &Identity,
        sending: &Sending,
        depth: usize,
    ) -> Result<Message, Fault> {
        let products = self.held.remove(&who.hotkey).ok_or(Fault::Malformed)?;
        let asked = serde_json::from_value((*sending.body).clone());
        let Steps { steps } = asked.map_err(|_| Fault::Malformed)?;
        if who.kind == Kind::Forger && steps.iter().any(|step| *step > depth / 2) {
            return Err(Fault::Timeout);
        }
        // A check multiplies three matrices with a vector.
        let entries = self.rule.params().size.pow(2);
        self.work.0 += (3 * entries * steps.len()) as u64;
        Ok(Message::of(&open(&products, &steps), IDLE_US))
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
    fn reply(
        &mut self,
        moment: Moment,
        who: &Identity,
        sending: &Sending,
        draw: &ForgeDraw,
    ) -> Result<Message, Fault> {
        if sending.phase == Phase::Open {
            return self.opened(who, sending, draw.public.depth);
        }
        if who.kind == Kind::Poison && self.prf.chance(0.5) {
            return Ok(Message::at(b"{\"roots\":[7,".as_slice(), IDLE_US));
        }
        if who.kind == Kind::Colluder {
            return Err(Fault::Timeout);
        }
        let (products, pace) = self.products(who, moment.validator, draw);
        let roots = roots(&products);
        self.held.insert(who.hotkey, products);
        Ok(Message::of(&roots, self.time_us(pace)))
    }

    fn work(&self) -> (u64, u64) {
        self.work
    }
}
