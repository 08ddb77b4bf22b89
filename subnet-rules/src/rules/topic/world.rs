//! The miners of `topic`: real forecasters, each good in one regime, with their own readings.

use serde_json::json;

use super::answer::{OWN_NOISE, expert};
use super::{Topic, TopicDraw};
use crate::arena::cast::{Identity, Kind};
use crate::arena::seals::Seals;
use crate::arena::season::{Moment, World};
use crate::exchange::{Fault, Message, Phase, Sending};
use crate::prf::Prf;
use crate::world::series::{HISTORY, Series, thousandths};

/// The same of a forecaster with cheaper means.
const CHEAP_NOISE: f64 = 0.4;
/// What a copier adds to look different: a twentieth of an honest forecaster's own noise.
const COPY_NOISE: f64 = 0.005;
/// Microseconds until an honest seal comes, and how much later a copy can come at the earliest.
const THINKING_US: u64 = 200_000;
const COPYING_US: u64 = 50_000;

/// The world.
#[derive(Debug, Clone)]
pub struct Forecasting {
    prf: Prf,
    seals: Seals,
    /// What the first honest miner has sealed in this phase.
    leaked: Option<Vec<i32>>,
    work: (u64, u64),
}

impl Forecasting {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        Self {
            prf: Prf::from_seed(seed).child("forecasting"),
            seals: Seals::default(),
            leaked: None,
            work: (0, 0),
        }
    }

    /// An operator's forecasts with noise of this size.
    fn forecasts(&mut self, operator: usize, noise: f64, draw: &TopicDraw) -> Vec<i32> {
        self.work.1 += (draw.public.series.len() * HISTORY) as u64;
        let noisy = |series: &Series| {
            let own = noise * self.prf.normal();
            thousandths(expert(operator, series) + own)
        };
        draw.public.series.iter().map(noisy).collect()
    }

    /// What an identity seals, and when; `leaked` is the answer of the first honest miner.
    fn answer(
        &mut self,
        who: &Identity,
        draw: &TopicDraw,
        leaked: Option<&[i32]>,
    ) -> Option<(Vec<i32>, u64)> {
        let operator = who.operator;
        let thinking = THINKING_US + self.prf.below(COPYING_US);
        let nothing = vec![0; draw.public.series.len()];
        Some(match who.kind {
            Kind::Honest | Kind::Forger => (self.forecasts(operator, OWN_NOISE, draw), thinking),
            Kind::Substitute => (self.forecasts(operator, CHEAP_NOISE, draw), thinking),
            // The data of one, divided: with a k-th of it each is noisier by the root of k.
            Kind::Sybil => {
                let parts = u32::try_from(who.siblings).unwrap_or(u32::MAX);
                let noise = OWN_NOISE * libm::sqrt(f64::from(parts));
                (self.forecasts(operator, noise, draw), thinking)
            }
            Kind::Lazy | Kind::EarlyEnd => (nothing, 1_000),
            Kind::Copier => {
                let shaken = |value: &i32| value + thousandths(COPY_NOISE * self.prf.normal());
                let copied = leaked.map(|leaked| leaked.iter().map(shaken).collect());
                (copied.unwrap_or(nothing), thinking + COPYING_US)
            }
            Kind::Poison if self.prf.chance(0.5) => (vec![i32::MAX; 4096], 1_000),
            Kind::Poison => (vec![i32::MIN; nothing.len()], 1_000),
            Kind::Colluder => return None,
        })
    }
}

impl World<Topic> for Forecasting {
    fn reply(
        &mut self,
        _: Moment,
        who: &Identity,
        sending: &Sending,
        draw: &TopicDraw,
    ) -> Result<Message, Fault> {
        if sending.phase == Phase::Open {
            return self.opened(who, sending);
        }
        self.work.0 += draw.public.series.len() as u64;
        let answer =
            self.answer(who, draw, self.leaked.clone().as_deref()).ok_or(Fault::Timeout)?;
        Ok(self.sealed(who, sending, answer))
    }

    /// The leak comes first: what the first honest miner seals is what a copier copies.
    fn replies(
        &mut self,
        moment: Moment,
        batch: &[(Identity, Sending)],
        draws: &[&TopicDraw],
    ) -> Vec<Result<Message, Fault>> {
        let mut all = batch.iter().zip(draws).enumerate();
        let first = all.find(|(_, ((who, sending), _))| {
            who.kind == Kind::Honest && sending.phase == Phase::Commit
        });
        self.leaked = None;
        let early = first.and_then(|(at, ((who, sending), draw))| {
            let answer = self.answer(who, draw, None)?;
            self.work.0 += draw.public.series.len() as u64;
            self.leaked = Some(answer.0.clone());
            Some((at, self.sealed(who, sending, answer)))
        });
        let each = batch.iter().zip(draws).enumerate();
        each.map(|(at, ((who, sending), draw))| match &early {
            Some((first, message)) if *first == at => Ok(message.clone()),
            _ => self.reply(moment, who, sending, draw),
        })
        .collect()
    }

    fn work(&self) -> (u64, u64) {
        self.work
    }
}

impl Forecasting {
    fn sealed(&mut self, who: &Identity, sending: &Sending, answer: (Vec<i32>, u64)) -> Message {
        let (answer, at) = answer;
        self.seals.seal(&mut self.prf, &who.hotkey, sending.task, json!(answer), at)
    }

    fn opened(&mut self, who: &Identity, sending: &Sending) -> Result<Message, Fault> {
        self.seals.open(&who.hotkey, sending.task, THINKING_US, |answer| {
            if who.kind == Kind::Forger
                && let Some(values) = answer.as_array_mut()
            {
                // It opens what it likes better once the others are open.
                for value in values {
                    *value = json!(value.as_i64().unwrap_or(0) + 1);
                }
            }
        })
    }
}
