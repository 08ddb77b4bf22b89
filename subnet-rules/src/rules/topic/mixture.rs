//! The mixture of one round: clusters, weights by context, the loss with and without each.

use std::collections::BTreeMap;

use chain_metadata::Hotkey;
use scoring::copies::{leaders, rms_distance};
use scoring::evidence::Grade;
use scoring::hedge;

use super::{Memory, Params, Record, TopicDraw};
use crate::world::series::{CONTEXTS, context};

/// Losses of 1 that everybody is taken to have had in a context before the first: a newcomer has no
/// say until it was seen to be good.
const PRIOR_LOSSES: f64 = 2.0;

/// Forecasts that are nobody's copy, with their weight in each context.
#[derive(Debug)]
pub(super) struct Mixture<'p, 'm> {
    params: &'p Params,
    leaders: Vec<(Hotkey, &'m [i32])>,
    /// Leaders that have copies, each with its copies.
    clusters: Vec<Vec<Hotkey>>,
    /// `weights[context][leader]`.
    weights: Vec<Vec<f64>>,
    contexts: Vec<usize>,
}

impl<'p, 'm> Mixture<'p, 'm> {
    /// The mixture of the opened forecasts, in the order in which they were sealed.
    pub(super) fn of(
        params: &'p Params,
        draw: &TopicDraw,
        opened: &[(Hotkey, &'m [i32])],
        state: &Memory,
    ) -> Self {
        let reach: Vec<_> = opened.iter().map(|one| reach(params, draw, *one, state)).collect();
        let values: Vec<Vec<f64>> = opened.iter().map(|(_, forecast)| doubles(forecast)).collect();
        let alike = |a: usize, b: usize| {
            let near = params.alike * f64::min(reach[a], reach[b]);
            rms_distance(&values[a], &values[b]).is_some_and(|distance| distance <= near)
        };
        let leader_of = leaders(opened.len(), alike);
        let cluster = |leader: usize| -> Vec<Hotkey> {
            let members = (0..opened.len()).filter(|one| leader_of[*one] == leader);
            members.map(|one| opened[one].0).collect()
        };
        let clusters = (0..opened.len()).map(cluster).filter(|all| all.len() > 1).collect();
        let leaders: Vec<_> = (0..opened.len())
            .filter(|one| leader_of[*one] == *one)
            .map(|one| opened[one])
            .collect();
        let weights = (0..CONTEXTS).map(|at| weights(state.contexts.get(at), &leaders)).collect();
        let contexts = draw.public.series.iter().map(context).collect();
        Self { params, leaders, clusters, weights, contexts }
    }

    /// Mean loss of the mixture, and of the mixture without each leader.
    fn losses(&self, draw: &TopicDraw) -> (f64, Vec<f64>) {
        let mut with = 0.0;
        let mut without = vec![0.0; self.leaders.len()];
        for (at, truth) in draw.secret.0.iter().enumerate() {
            let weights = &self.weights[self.contexts[at]];
            let total = self.mixed(at);
            with += self.params.loss(total, *truth);
            for (leader, sum) in without.iter_mut().enumerate() {
                let (weight, value) = (weights[leader], f64::from(self.leaders[leader].1[at]));
                // Weights sum to 1; what is left of them without a leader that had them all is none.
                let rest = (1.0 - weight).max(f64::MIN_POSITIVE);
                *sum += self.params.loss((total - weight * value) / rest, *truth);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 256 series")]
        let count = draw.secret.0.len().max(1) as f64;
        (with / count, without.into_iter().map(|sum| sum / count).collect())
    }

    /// The mixture's forecast for a series.
    fn mixed(&self, at: usize) -> f64 {
        let weights = &self.weights[self.contexts[at]];
        let terms = self.leaders.iter().zip(weights);
        terms.map(|((_, forecast), weight)| weight * f64::from(forecast[at])).sum()
    }

    /// What each leader adds: the part of the loss without it that it takes away. Whoever makes the
    /// mixture worse adds nothing; whoever is alone adds all.
    pub(super) fn gains(&self, draw: &TopicDraw) -> Vec<(Hotkey, Grade)> {
        let (with, without) = self.losses(draw);
        let alone = self.leaders.len() == 1;
        let gain = |lost: f64| {
            let part = if alone { 1.0 - with } else { (lost - with) / lost };
            // 0/0 where nobody loses anything without it: it added nothing.
            Grade::new(part.clamp(0.0, 1.0)).unwrap_or(Grade::ZERO)
        };
        self.leaders.iter().zip(without).map(|((hotkey, _), lost)| (*hotkey, gain(lost))).collect()
    }

    /// What is known after the round; of copies too, so that nobody starts afresh by leaving a cluster.
    pub(super) fn remembered(
        &self,
        draw: &TopicDraw,
        opened: &[(Hotkey, &[i32])],
        present: &[Hotkey],
        mut state: Memory,
    ) -> Memory {
        state.contexts.resize_with(CONTEXTS, BTreeMap::new);
        for records in &mut state.contexts {
            records.retain(|hotkey, _| present.contains(hotkey));
            for record in records.values_mut() {
                record.loss *= self.params.memory;
                record.count *= self.params.memory;
            }
        }
        state.workers.retain(|hotkey, _| present.contains(hotkey));
        state.distinct = self.leaders.len();
        state.clusters.clone_from(&self.clusters);
        state.rounds = state.rounds.saturating_add(1);
        for (at, truth) in draw.secret.0.iter().enumerate() {
            for (hotkey, forecast) in opened {
                let loss = self.params.loss(f64::from(forecast[at]), *truth);
                state.contexts[self.contexts[at]].entry(*hotkey).or_default().add(loss);
                state.workers.entry(*hotkey).or_default().add(loss);
            }
            if !self.leaders.is_empty() {
                state.synthesis.add(self.params.loss(self.mixed(at), *truth));
            }
        }
        state
    }
}

impl Record {
    fn add(&mut self, loss: f64) {
        self.loss += loss;
        self.count += 1.0;
    }

    /// Mean loss, the prior ones included.
    fn mean(&self) -> f64 {
        (self.loss + PRIOR_LOSSES) / (self.count + PRIOR_LOSSES)
    }
}

impl Params {
    /// min(1, (error / scale)²).
    fn loss(&self, forecast: f64, truth: i32) -> f64 {
        let error = (forecast - f64::from(truth)) / f64::from(self.scale);
        (error * error).min(1.0)
    }
}

/// Hedge over mean losses, as if each had been there as long as the longest.
fn weights(records: Option<&BTreeMap<Hotkey, Record>>, leaders: &[(Hotkey, &[i32])]) -> Vec<f64> {
    let record = |hotkey| records.and_then(|records| records.get(hotkey)).copied();
    let known: Vec<_> =
        leaders.iter().map(|(hotkey, _)| record(hotkey).unwrap_or_default()).collect();
    let rounds = known.iter().map(|record| record.count).fold(0.0, f64::max);
    let losses: Vec<_> = known.iter().map(|record| record.mean() * rounds).collect();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a discounted count of losses: positive and far below 2^53"
    )]
    let rate = hedge::rate(leaders.len(), rounds.ceil() as u64);
    hedge::weights(&losses, rate)
}

/// Error of a forecaster in the context it is best in, thousandths: what independent errors would
/// leave between two of them is more than a part of it. Before anything is known, this round's own.
fn reach(
    params: &Params,
    draw: &TopicDraw,
    (hotkey, forecast): (Hotkey, &[i32]),
    state: &Memory,
) -> f64 {
    let known = state.contexts.iter().filter_map(|records| records.get(&hotkey));
    let least = known
        .filter(|record| record.count >= 1.0)
        .map(|record| record.loss / record.count)
        .fold(f64::INFINITY, f64::min);
    let mean_square = if least.is_finite() {
        least
    } else {
        let pairs = forecast.iter().zip(&draw.secret.0);
        let losses = pairs.map(|(value, truth)| params.loss(f64::from(*value), *truth));
        losses.fold(1.0, f64::min)
    };
    libm::sqrt(mean_square) * f64::from(params.scale)
}

fn doubles(forecast: &[i32]) -> Vec<f64> {
    forecast.iter().map(|value| f64::from(*value)).collect()
}
