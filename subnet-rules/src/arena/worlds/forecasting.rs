//! The miners of `topic`: real forecasters, each good in one regime, with their own readings.

use super::super::cast::{Identity, Kind};
use super::super::season::{Moment, World};
use crate::digest::Digest;
use crate::examiner::MeasuredOf;
use crate::prf::Prf;
use crate::rule::{Measured, Subject};
use crate::sealed::{Opening, Sealed};
use crate::topic::{Measurement, Topic, TopicDraw};
use crate::world::series::{CONTEXTS, HISTORY, HORIZON, PERIOD, Series, thousandths};

/// Standard deviation of what a forecaster's own model adds: as much as what nobody can forecast.
const OWN_NOISE: f64 = 0.1;
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
    work: (u64, u64),
}

impl Forecasting {
    /// The world of a seed.
    pub fn new(seed: u64) -> Self {
        Self { prf: Prf::from_seed(seed).child("forecasting"), work: (0, 0) }
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
            Kind::Lazy => (nothing, 1_000),
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

    fn sealed(&mut self, who: &Identity, (answer, at): (Vec<i32>, u64)) -> Measurement {
        let salt = Digest::of("ganglion/arena/salt", &[&self.prf.next_u64().to_le_bytes()]);
        let mut opening = Opening { answer, salt };
        let seal = opening.seal(&who.hotkey)?;
        if who.kind == Kind::Forger {
            // It opens what it likes better once the others are open.
            opening.answer.iter_mut().for_each(|value| *value += 1);
        }
        Some(Sealed { seal, sealed_us: at, opening: Some(opening) })
    }
}

/// An operator's way of forecasting, by its number: each is right in one regime.
fn expert(operator: usize, series: &Series) -> f64 {
    let value = |back: usize| f64::from(series.history[HISTORY - back]) / 1000.0;
    match operator % CONTEXTS {
        0 => value(1),
        1 => (value(2) + value(4) - value(1) - value(3)) / 4.0,
        2 => f64::midpoint(value(1 + PERIOD - HORIZON), value(1 + 2 * PERIOD - HORIZON)),
        _ => line(series),
    }
}

/// The least-squares line through the history, continued.
fn line(series: &Series) -> f64 {
    let points = (0..).zip(&series.history).map(|(at, value)| (f64::from(at), f64::from(*value)));
    let (mut count, mut x, mut y, mut xx, mut xy) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (at, value) in points {
        count += 1.0;
        x += at;
        y += value;
        xx += at * at;
        xy += at * value;
    }
    let slope = (count * xy - x * y) / (count * xx - x * x);
    let steps = u32::try_from(HISTORY - 1 + HORIZON).unwrap_or(u32::MAX);
    let level = (y - slope * x) / count + slope * f64::from(steps);
    level / 1000.0
}

impl World<Topic> for Forecasting {
    fn subjects(&self, identities: &[Identity]) -> Vec<Subject> {
        vec![Subject::Shared(identities.iter().map(|one| one.hotkey).collect())]
    }

    fn measure(
        &mut self,
        _moment: Moment,
        draw: &TopicDraw,
        who: &[Identity],
    ) -> Vec<MeasuredOf<Topic>> {
        let first = who.iter().find(|one| one.kind == Kind::Honest);
        let leaked = first.and_then(|one| self.answer(one, draw, None));
        let mut measured = Vec::with_capacity(who.len());
        for one in who {
            let answer = match (&leaked, first) {
                (Some(answer), Some(first)) if first == one => Some(answer.clone()),
                _ => self.answer(one, draw, leaked.as_ref().map(|(values, _)| values.as_slice())),
            };
            let measurement = answer.and_then(|answer| self.sealed(one, answer));
            self.work.0 += draw.public.series.len() as u64;
            measured.push(Measured { hotkey: one.hotkey, measurement });
        }
        measured
    }

    fn work(&self) -> (u64, u64) {
        self.work
    }
}
