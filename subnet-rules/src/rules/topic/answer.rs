//! The miner's hand in `topic`: a forecaster that is good in one regime, with readings of its own.

use std::sync::Arc;

use chain_metadata::Hotkey;
use serde_json::Value;

use super::Question;
use crate::arena::Kind;
use crate::digest::Digest;
use crate::exchange::Phase;
use crate::prf::Prf;
use crate::work::{Job, Work, WorkError, answered, asked};
use crate::world::series::{CONTEXTS, HISTORY, HORIZON, PERIOD, Series, thousandths};

/// Standard deviation of what a forecaster's own model adds: as much as what nobody can forecast.
pub(super) const OWN_NOISE: f64 = 0.1;

/// Forecasts every series in one way.
#[derive(Debug, Clone)]
pub struct Forecaster {
    /// Which way: its number modulo [`CONTEXTS`].
    specialty: usize,
    /// Standard deviation of its own readings.
    noise: f64,
    /// What its readings are drawn from.
    seed: u64,
}

impl Forecaster {
    /// A forecaster of this way, whose own readings have `times` the usual noise.
    pub fn new(specialty: usize, times: f64, seed: u64) -> Self {
        Self { specialty, noise: OWN_NOISE * times, seed }
    }

    fn forecasts(&self, question: &Question, task: &Digest) -> Vec<i32> {
        let key = Digest::of("ganglion/topic/own", &[&self.seed.to_le_bytes(), &task.0]);
        let mut prf = Prf::new(key.0);
        let one = |series: &Series| {
            let whole = series.history.len() == HISTORY;
            let own = self.noise * prf.normal();
            if whole { thousandths(expert(self.specialty, series) + own) } else { 0 }
        };
        question.series.iter().map(one).collect()
    }
}

impl Work for Forecaster {
    fn answer(&self, job: &Job<'_>) -> Result<Value, WorkError> {
        if job.phase == Phase::Open {
            return Err(WorkError::Task("the framework opens what it has sealed".into()));
        }
        answered(&self.forecasts(&asked(job.body)?, &job.task))
    }
}

/// An operator's way of forecasting, by its number: each is right in one regime.
pub(super) fn expert(operator: usize, series: &Series) -> f64 {
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

/// A hand of this kind. Each honest one is good in the regime that its hotkey says.
pub(super) fn worker(miner: &Hotkey, kind: Kind) -> Option<Arc<dyn Work>> {
    let mut own = Prf::new(Digest::of("ganglion/topic/forecaster", &[miner.as_bytes()]).0);
    let specialty = own.index(CONTEXTS);
    let times = match kind {
        Kind::Honest | Kind::Sybil => 1.0,
        Kind::Substitute => 4.0,
        Kind::Colluder => return None,
        _ => return Some(Arc::new(Nought)),
    };
    Some(Arc::new(Forecaster::new(specialty, times, own.next_u64())))
}

/// Forecasts noughts: nothing was looked at, and nothing of others can be seen.
#[derive(Debug)]
struct Nought;

impl Work for Nought {
    fn answer(&self, job: &Job<'_>) -> Result<Value, WorkError> {
        let question: Question = asked(job.body)?;
        answered(&vec![0; question.series.len()])
    }
}
