//! `gumbel-v2`: [`gumbel-v1`](crate::sample) over shaped logits.
//!
//! What a caller asks of the distribution is done to the logits first, in this order; the race of
//! `gumbel-v1` then runs among what is left, with the same temperature, seed and position. Nothing asked
//! is `gumbel-v1` itself.
//!
//! 1. `repetition_penalty` r: `l ← l / r` where `l > 0`, else `l · r`, for each token that the prompt or
//!    the text so far has (Keskar et al., *CTRL*, 2019).
//! 2. `l ← l − frequency_penalty · count − presence_penalty · [count > 0]`, `count` in the text so far.
//! 3. `l ← l + logit_bias`.
//! 4. Tokens that the [`Form`] forbids after the text so far are out.
//! 5. `top_k`: all but the k first are out; the larger logit is first, of equal ones the lower id.
//! 6. `top_p`: of the order of 5, the shortest beginning whose weights come to at least `top_p` of all
//!    weights stays, `w = exp((l − max l) / T)`.
//! 7. `min_p`: what weighs less than `min_p` is out; the likeliest weighs 1.
//!
//! 5 to 7 each look at what the one before left, and do nothing at temperature 0. Each of 1 to 3 is one
//! f32 operation for each factor and term; weights are f32 and their sums f64. A draw is a function of
//! logits, prompt, text so far, seed and these parameters, so that whoever has them repeats it. Where two
//! implementations' logits differ in the last bits, what stays may differ by a token at the edge:
//! `Shaped::margin` is then small.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    form::{Form, FormError, Matcher},
    kernel::{Isa, exp, partition},
    sample::{SAMPLER, Sampling},
};

/// Name of the sampler, as receipts and evidence give it.
pub const SHAPED_SAMPLER: &str = "gumbel-v2";

/// Most tokens with a bias of their own.
pub const MAX_BIASES: usize = 1024;

/// Nats that stand for "no arithmetic comes there": the margin and the surprisal of a token that the
/// form forbids. Finite, so that JSON carries it.
pub const FAR: f32 = 1e6;

/// What is done to logits before a token is drawn. The default does nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shaping {
    /// So many of the likeliest tokens; 0 for all.
    #[serde(skip_serializing_if = "is_zero")]
    pub top_k: u32,
    /// The likeliest tokens that come to this probability together, 0..=1.
    #[serde(skip_serializing_if = "is_one")]
    pub top_p: f32,
    /// Least share of the likeliest token's probability, 0..=1.
    #[serde(skip_serializing_if = "is_nought")]
    pub min_p: f32,
    /// Taken off for each time a token was written; within ±[`MAX_PENALTY`].
    #[serde(skip_serializing_if = "is_nought")]
    pub frequency_penalty: f32,
    /// Taken off once a token was written; within ±[`MAX_PENALTY`].
    #[serde(skip_serializing_if = "is_nought")]
    pub presence_penalty: f32,
    /// Factor on tokens of the prompt and the text so far; above 0, at most [`MAX_PENALTY`].
    #[serde(skip_serializing_if = "is_one")]
    pub repetition_penalty: f32,
    /// Added to logits, by token id; within ±[`MAX_PENALTY`].
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<u32, f32>,
    /// What form the text is held to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
}

/// Largest penalty and bias: beyond it logits no longer matter.
pub const MAX_PENALTY: f32 = 100.0;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_nought(value: &f32) -> bool {
    value.abs() == 0.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_one(value: &f32) -> bool {
    (value - 1.0).abs() == 0.0
}

impl Default for Shaping {
    fn default() -> Self {
        Self {
            top_k: 0,
            top_p: 1.0,
            min_p: 0.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            repetition_penalty: 1.0,
            logit_bias: BTreeMap::new(),
            form: None,
        }
    }
}

/// Parameters that mean nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapingError {
    /// A number out of its bounds.
    #[error("{name} {value} is not within {bounds}")]
    Bounds {
        /// Which.
        name: &'static str,
        /// What it is.
        value: f32,
        /// What it may be.
        bounds: &'static str,
    },
    /// A bias for a token that the model does not have, or for too many.
    #[error(
        "logit_bias takes up to {MAX_BIASES} tokens below the vocabulary's {vocab}, within ±100"
    )]
    Bias {
        /// Words of the model.
        vocab: usize,
    },
    /// A form that no text can be held to.
    #[error(transparent)]
    Form(#[from] FormError),
}

impl Shaping {
    /// True where nothing is asked: then the sampler is `gumbel-v1`.
    pub fn is_neutral(&self) -> bool {
        *self == Self::default()
    }

    /// The sampler's name.
    pub fn sampler(&self) -> &'static str {
        if self.is_neutral() { SAMPLER } else { SHAPED_SAMPLER }
    }

    /// Checks every number; the form is checked when it is compiled.
    pub fn check(&self, vocab: usize) -> Result<(), ShapingError> {
        let penalties = -MAX_PENALTY..=MAX_PENALTY;
        for (name, value, fits, bounds) in [
            ("top_p", self.top_p, (0.0..=1.0).contains(&self.top_p), "0..=1"),
            ("min_p", self.min_p, (0.0..=1.0).contains(&self.min_p), "0..=1"),
            (
                "frequency_penalty",
                self.frequency_penalty,
                penalties.contains(&self.frequency_penalty),
                "-100..=100",
            ),
            (
                "presence_penalty",
                self.presence_penalty,
                penalties.contains(&self.presence_penalty),
                "-100..=100",
            ),
            (
                "repetition_penalty",
                self.repetition_penalty,
                (0.01..=MAX_PENALTY).contains(&self.repetition_penalty),
                "0.01..=100",
            ),
        ] {
            if !fits {
                return Err(ShapingError::Bounds { name, value, bounds });
            }
        }
        let wrong = |(id, bias): (&u32, &f32)| *id as usize >= vocab || !penalties.contains(bias);
        if self.logit_bias.len() > MAX_BIASES || self.logit_bias.iter().any(wrong) {
            return Err(ShapingError::Bias { vocab });
        }
        Ok(())
    }

    fn repeats(&self) -> bool {
        !is_one(&self.repetition_penalty)
    }

    fn counts(&self) -> bool {
        !is_nought(&self.frequency_penalty) || !is_nought(&self.presence_penalty)
    }
}

/// Follows one text, and says how each next row of logits is shaped.
#[derive(Debug)]
pub(crate) struct Shaper {
    shaping: Arc<Shaping>,
    /// How often each token was written; 0 for one that only the prompt has.
    written: HashMap<u32, u32>,
    matcher: Option<Matcher>,
}

impl Shaper {
    /// For a text after `prompt`; `matcher` is that of the shaping's form.
    pub(crate) fn new(shaping: Shaping, prompt: &[u32], matcher: Option<Matcher>) -> Self {
        let written = if shaping.repeats() {
            prompt.iter().map(|&id| (id, 0)).collect()
        } else {
            HashMap::new()
        };
        Self { shaping: Arc::new(shaping), written, matcher }
    }

    /// How the next row is shaped.
    pub(crate) fn next(&mut self) -> Shape {
        let mask = self.matcher.as_mut().map(Matcher::mask);
        let mut written: Vec<(u32, u32)> = self.written.iter().map(|(&id, &n)| (id, n)).collect();
        written.sort_unstable();
        Shape { shaping: Arc::clone(&self.shaping), written, mask }
    }

    /// Takes the token that was written.
    pub(crate) fn push(&mut self, id: u32) {
        if self.shaping.repeats() || self.shaping.counts() {
            *self.written.entry(id).or_insert(0) += 1;
        }
        if let Some(matcher) = &mut self.matcher {
            matcher.push(id);
        }
    }

    /// True where the text has its form and nothing can be added to it.
    pub(crate) fn is_complete(&self) -> bool {
        self.matcher.as_ref().is_some_and(Matcher::is_complete)
    }

    /// Why the form cannot be followed any further, if so.
    pub(crate) fn failure(&self) -> Option<String> {
        self.matcher.as_ref().and_then(Matcher::failure)
    }
}

/// Which tokens a form allows.
#[derive(Clone, Debug)]
pub(crate) enum Mask {
    /// A bit for each token.
    Some(Arc<[u32]>),
    /// The text so far is none of the form's: whatever follows is forbidden.
    None,
}

impl Mask {
    fn allows(&self, id: u32) -> bool {
        match self {
            Self::Some(bits) => {
                bits.get(id as usize / 32).is_some_and(|word| word >> (id % 32) & 1 == 1)
            }
            Self::None => false,
        }
    }

    /// Takes out what is not allowed. Where nothing is, all stays: the caller says so.
    fn apply(&self, logits: &mut [f32]) {
        let Self::Some(bits) = self else { return };
        for (index, group) in logits.chunks_mut(32).enumerate() {
            match bits.get(index).copied().unwrap_or(0) {
                u32::MAX => {}
                0 => group.fill(f32::NEG_INFINITY),
                word => {
                    for (place, logit) in group.iter_mut().enumerate() {
                        if word >> place & 1 == 0 {
                            *logit = f32::NEG_INFINITY;
                        }
                    }
                }
            }
        }
    }
}

/// How one row is shaped.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    shaping: Arc<Shaping>,
    written: Vec<(u32, u32)>,
    mask: Option<Mask>,
}

impl Shape {
    /// Shapes one row of logits, to check a token.
    pub(crate) fn of(&self, logits: &[f32], temperature: f32) -> Shaped<'_> {
        let penalised = self.penalised(logits);
        let mut left = penalised.clone();
        self.truncate(&mut left, temperature);
        Shaped { shape: self, penalised, left }
    }

    /// The token that is drawn from one row of logits.
    pub(crate) fn draw(&self, logits: &[f32], sampling: &Sampling, position: u32) -> u32 {
        let mut left = self.penalised(logits);
        self.truncate(&mut left, sampling.temperature());
        sampling.draw(&left, position)
    }

    /// After penalties, biases and the form.
    fn penalised(&self, logits: &[f32]) -> Vec<f32> {
        let mut penalised = logits.to_vec();
        self.penalise(&mut penalised);
        if let Some(mask) = &self.mask {
            mask.apply(&mut penalised);
        }
        penalised
    }

    fn penalise(&self, logits: &mut [f32]) {
        let Shaping { frequency_penalty, presence_penalty, repetition_penalty, .. } = *self.shaping;
        for &(id, count) in &self.written {
            let Some(logit) = logits.get_mut(id as usize) else { continue };
            if *logit > 0.0 {
                *logit /= repetition_penalty;
            } else {
                *logit *= repetition_penalty;
            }
            if count > 0 {
                #[expect(clippy::cast_precision_loss, reason = "counts are below 2²⁴")]
                let often = frequency_penalty * count as f32;
                *logit -= often;
                *logit -= presence_penalty;
            }
        }
        for (&id, bias) in &self.shaping.logit_bias {
            if let Some(logit) = logits.get_mut(id as usize) {
                *logit += bias;
            }
        }
    }

    /// Leaves the likeliest, where the temperature leaves a choice.
    fn truncate(&self, logits: &mut [f32], temperature: f32) {
        let Shaping { top_k, top_p, min_p, .. } = *self.shaping;
        if temperature == 0.0 {
            return;
        }
        if top_k > 0 && (top_k as usize) < logits.len() {
            let mut order: Vec<u32> = ids(logits, f32::NEG_INFINITY);
            if order.len() > top_k as usize {
                order.select_nth_unstable_by(top_k as usize, |a, b| before(logits, *a, *b));
                for &id in &order[top_k as usize..] {
                    logits[id as usize] = f32::NEG_INFINITY;
                }
            }
        }
        if top_p < 1.0 {
            nucleus(logits, temperature, top_p);
        }
        if min_p > 0.0 {
            let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            for logit in logits.iter_mut() {
                if exp((*logit - most) / temperature) < min_p {
                    *logit = f32::NEG_INFINITY;
                }
            }
        }
    }
}

/// Ids of what lies above `bound`, ascending.
fn ids(logits: &[f32], bound: f32) -> Vec<u32> {
    (0..).zip(logits).filter(|(_, logit)| **logit > bound).map(|(id, _)| id).collect()
}

/// The order of tokens: the larger logit first, of equal ones the lower id.
fn before(logits: &[f32], a: u32, b: u32) -> std::cmp::Ordering {
    logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b))
}

/// Nats below the likeliest within which a nucleus is looked for first: most are narrower.
const FIRST_DEPTH: f32 = 3.0;

/// Takes out all but the likeliest tokens that weigh `top_p` together.
fn nucleus(logits: &mut [f32], temperature: f32, top_p: f32) {
    let all = partition(Isa::detect(), logits, temperature);
    let wanted = f64::from(top_p) * all.sum;
    let weight = |logit: f32| f64::from(exp((logit - all.most) / temperature));
    let mut depth = FIRST_DEPTH;
    // Only what lies within the depth is put in order; where that weighs too little, more is.
    let kept = loop {
        let bound = all.most - temperature * depth;
        let mut order = ids(logits, bound.min(all.most.next_down()));
        order.sort_unstable_by(|a, b| before(logits, *a, *b));
        let mut sum = 0.0;
        let enough = order.iter().position(|id| {
            sum += weight(logits[*id as usize]);
            sum >= wanted
        });
        // Below 90 nats weights are zero: then that is all there is.
        if enough.is_some() || depth > 90.0 {
            order.truncate(enough.map_or(order.len(), |last| last + 1));
            break order;
        }
        depth *= 2.0;
    };
    let kept: Vec<(u32, f32)> = kept.into_iter().map(|id| (id, logits[id as usize])).collect();
    logits.fill(f32::NEG_INFINITY);
    for (id, logit) in kept {
        logits[id as usize] = logit;
    }
}

/// A row of logits, shaped.
pub(crate) struct Shaped<'a> {
    shape: &'a Shape,
    /// After penalties, biases and the form.
    penalised: Vec<f32>,
    /// What is left to draw from; −∞ elsewhere.
    pub(crate) left: Vec<f32>,
}

impl Shaped<'_> {
    /// The token drawn.
    pub(crate) fn draw(&self, sampling: &Sampling, position: u32) -> u32 {
        sampling.draw(&self.left, position)
    }

    /// True where no text of the form has this token here.
    pub(crate) fn forbids(&self, id: u32) -> bool {
        self.shape.mask.as_ref().is_some_and(|mask| !mask.allows(id))
    }

    /// The logit that a token is drawn by: where truncation took it out, the one before.
    pub(crate) fn logit(&self, id: u32) -> f32 {
        self.penalised[id as usize]
    }

    /// Least shift of scaled logits, in nats, after which `token` is the one drawn: 0 for the one that
    /// is. Each that is ahead must fall behind, or drop out at the edge of what is left, whichever is
    /// less; and a token that is out must first come in.
    pub(crate) fn margin(&self, sampling: &Sampling, position: u32, token: u32) -> f32 {
        if self.forbids(token) {
            return FAR;
        }
        let claimed = self.logit(token);
        let scale = if sampling.temperature() == 0.0 { 1.0 } else { sampling.temperature() };
        let edge = self.edge();
        let score = sampling.score(claimed, position, token);
        let mut margin = if self.left[token as usize] > f32::NEG_INFINITY {
            0.0
        } else {
            let least = self.left.iter().copied().filter(|l| l.is_finite()).fold(FAR, f32::min);
            ((least - claimed) / scale).max(0.0)
        };
        for (id, &logit) in (0..).zip(&self.left) {
            // No perturbation exceeds 22.9 nats: hopeless ones need no logarithm.
            if logit == f32::NEG_INFINITY || (logit / scale + 24.0 < score) {
                continue;
            }
            let ahead = sampling.score(logit, position, id) - score;
            if id != token && ahead > margin {
                margin = margin.max(ahead.min((logit - edge) / scale));
            }
        }
        margin.min(FAR)
    }

    /// The largest logit that truncation took out; −∞ where it took none.
    fn edge(&self) -> f32 {
        let out = self.left.iter().zip(&self.penalised).filter(|(l, _)| **l == f32::NEG_INFINITY);
        out.map(|(_, &logit)| logit).fold(f32::NEG_INFINITY, f32::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(shaping: Shaping) -> Shape {
        Shaper::new(shaping, &[], None).next()
    }

    /// Which tokens are left of `logits`.
    fn left(shaping: Shaping, logits: &[f32], temperature: f32) -> Vec<u32> {
        ids(&shape(shaping).of(logits, temperature).left, f32::NEG_INFINITY)
    }

    /// Logits without a pattern.
    fn row(seed: u64, width: u64) -> Vec<f32> {
        let mixed = |v: u64| {
            let word = v.wrapping_add(seed * 1000).wrapping_mul(6_364_136_223_846_793_005);
            word.rotate_left(29) % 1009
        };
        #[expect(clippy::cast_precision_loss, reason = "small integers")]
        let logit = |v| mixed(v) as f32 / 60.0;
        (0..width).map(logit).collect()
    }

    #[test]
    fn the_likeliest_are_left_and_of_equal_ones_the_lowest() {
        let logits = [1.0, 3.0, 2.0, 3.0, 2.0];
        let top_k = |top_k| left(Shaping { top_k, ..Shaping::default() }, &logits, 1.0);
        assert_eq!(top_k(1), [1]);
        assert_eq!(top_k(3), [1, 2, 3]);
        assert_eq!(top_k(9), [0, 1, 2, 3, 4]);
        // weights 1, 1, e⁻¹, e⁻¹, e⁻² of 2.87
        let top_p = |top_p| left(Shaping { top_p, ..Shaping::default() }, &logits, 1.0);
        assert_eq!(top_p(0.0), [1]);
        assert_eq!(top_p(0.34), [1]);
        assert_eq!(top_p(0.36), [1, 3]);
        assert_eq!(top_p(0.8), [1, 2, 3]);
        assert_eq!(top_p(1.0), [0, 1, 2, 3, 4]);
        let min_p = |min_p| left(Shaping { min_p, ..Shaping::default() }, &logits, 1.0);
        assert_eq!(min_p(0.3), [1, 2, 3, 4]);
        assert_eq!(min_p(0.4), [1, 3]);
    }

    #[test]
    fn a_nucleus_is_the_shortest_that_weighs_enough() {
        for (seed, temperature) in (0..42_u64).zip([0.4, 1.0, 1.9].into_iter().cycle()) {
            let logits = row(seed, 700);
            for top_p in [0.001, 0.3, 0.9, 0.999, 0.999_999] {
                let kept = left(Shaping { top_p, ..Shaping::default() }, &logits, temperature);
                let mut order: Vec<u32> = (0..700).collect();
                order.sort_by(|a, b| before(&logits, *a, *b));
                let most = f64::from(logits[order[0] as usize]);
                let weight = |id: &u32| {
                    ((f64::from(logits[*id as usize]) - most) / f64::from(temperature)).exp()
                };
                let all: f64 = order.iter().map(weight).sum();
                let mut naive = Vec::new();
                let mut sum = 0.0;
                for id in order {
                    if sum >= f64::from(top_p) * all && !naive.is_empty() {
                        break;
                    }
                    sum += weight(&id);
                    naive.push(id);
                }
                naive.sort_unstable();
                let apart = kept.len().abs_diff(naive.len());
                assert!(apart <= 1, "seed {seed}, top_p {top_p}: {apart} tokens apart");
            }
        }
    }

    #[test]
    fn penalties_and_biases_follow_the_text() {
        let shaping = Shaping {
            frequency_penalty: 0.5,
            presence_penalty: 1.0,
            repetition_penalty: 2.0,
            logit_bias: BTreeMap::from([(3, 4.0)]),
            ..Shaping::default()
        };
        let mut shaper = Shaper::new(shaping, &[0, 1], None);
        for id in [1, 2, 2] {
            shaper.push(id);
        }
        let shape = shaper.next();
        let shaped = shape.of(&[2.0, 2.0, -2.0, 0.0], 1.0);
        // In the prompt; there and once written; twice written; biased.
        assert_eq!(shaped.penalised, [1.0, -0.5, -6.0, 4.0]);
    }

    #[test]
    fn draws_follow_what_is_left() {
        let logits = [0.0, 1.0, 2.0, -1.0];
        let shape = shape(Shaping { top_k: 2, ..Shaping::default() });
        let (mut seen, draws) = ([0_u32; 4], 10_000_u32);
        for seed in 0..draws {
            let sampling = Sampling::new(1.0, seed.into()).unwrap();
            seen[shape.of(&logits, 1.0).draw(&sampling, 0) as usize] += 1;
        }
        let share = f64::from(seen[2]) / f64::from(draws);
        assert_eq!((seen[0], seen[3]), (0, 0));
        assert!((share - 1.0 / (1.0 + (-1.0_f64).exp())).abs() < 0.02, "{share}");
    }

    /// Each draw is the margin's zero; and where a margin says that a shift of the logits by less would
    /// not do, a shift by half of it does not.
    #[test]
    fn a_margin_is_the_least_shift_that_explains_a_token() {
        for seed in 0..60_u64 {
            let logits = row(seed, 40);
            let sampling = Sampling::new(1.3, seed).unwrap();
            let shape = shape(Shaping { top_p: 0.8, ..Shaping::default() });
            let shaped = shape.of(&logits, 1.3);
            let drawn = shaped.draw(&sampling, 2);
            for token in 0..40 {
                let margin = shaped.margin(&sampling, 2, token);
                assert_eq!(margin == 0.0, token == drawn, "seed {seed}, token {token}: {margin}");
                assert!(margin.is_finite());
            }
        }
        let sampling = Sampling::greedy();
        let shape = shape(Shaping { top_k: 1, ..Shaping::default() });
        let shaped = shape.of(&[1.0, 4.0, 2.5], 0.0);
        assert!((shaped.margin(&sampling, 0, 2) - 1.5).abs() < 1e-6);
    }

    #[test]
    fn a_token_that_almost_stayed_has_a_small_margin() {
        // Two tokens hold 0.8 of the weight but for a hair; the third is as likely as the second.
        let logits = [3.0, 2.0, 1.999_99, -5.0];
        let shape = shape(Shaping { top_k: 2, ..Shaping::default() });
        let shaped = shape.of(&logits, 1.0);
        for seed in 0..200 {
            let sampling = Sampling::new(1.0, seed).unwrap();
            let unshaped = sampling.draw(&logits[..3], 0);
            if unshaped == 2 {
                assert!(shaped.margin(&sampling, 0, 2) < 1e-3, "seed {seed}");
            }
        }
    }

    #[test]
    fn absurd_parameters_are_refused() {
        for wrong in [
            Shaping { top_p: 1.5, ..Shaping::default() },
            Shaping { min_p: f32::NAN, ..Shaping::default() },
            Shaping { repetition_penalty: 0.0, ..Shaping::default() },
            Shaping { frequency_penalty: f32::INFINITY, ..Shaping::default() },
            Shaping { logit_bias: BTreeMap::from([(9, 1.0)]), ..Shaping::default() },
        ] {
            assert!(wrong.check(9).is_err(), "{wrong:?}");
        }
        assert!(Shaping::default().check(9).is_ok() && Shaping::default().is_neutral());
    }
}
