//! `gumbel-v1`: sampling that a verifier can repeat.
//!
//! The token at generated position `i` is
//!
//! ```text
//! argmax_v  logit_v / T + G(seed, i, v)          ties: the lowest id; T = 0: argmax_v logit_v
//! ```
//!
//! which draws from softmax(logits / T) (the Gumbel-max trick), with every random number fixed by
//! the seed. `G` is defined bit for bit:
//!
//! - `w = philox4x32-10(key = [seed₀, seed₁], counter = [⌊v/4⌋, i, 0x6762_6c31, 0])[v mod 4]`, where
//!   `seed₀` is the seed's low and `seed₁` its high half (Salmon et al., *Parallel random numbers: as
//!   easy as 1, 2, 3*, SC 2011);
//! - `u = (2w + 1) / 2³³`, exact in f64, never 0 and never 1;
//! - `G = −ln(−ln u)`, both logarithms in f64 as fdlibm computes them, then rounded to f32.
//!
//! Division and sum are single f32 operations. Given equal logits, any implementation draws equal
//! tokens; given nearly equal logits, tokens differ only where two candidates almost tie, which is
//! what [`TokenCheck::margin`](crate::TokenCheck) measures.

#![expect(
    clippy::inline_always,
    reason = "a kernel is compiled with its caller's instructions only if it is inlined there"
)]

use serde::{Deserialize, Serialize};

use crate::kernel::{Isa, Kernel};

/// Name of the sampler, as receipts and evidence give it.
pub const SAMPLER: &str = "gumbel-v1";

/// Third word of the Philox counter (`gbl1`): keeps these draws apart from any other use of a seed.
const DOMAIN: u32 = 0x6762_6c31;

/// Largest temperature accepted: beyond it logits no longer matter.
pub const MAX_TEMPERATURE: f32 = 100.0;

/// Temperatures below this one are greedy: logits divided by them overflow, and the likeliest token wins
/// long before.
const LEAST_TEMPERATURE: f32 = 1e-30;

/// How tokens are drawn from logits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawSampling", into = "RawSampling")]
pub struct Sampling {
    temperature: f32,
    seed: u64,
}

#[derive(Serialize, Deserialize)]
struct RawSampling {
    temperature: f32,
    seed: u64,
}

impl Sampling {
    /// `temperature` within 0..=[`MAX_TEMPERATURE`]; 0 is greedy, and so is one so small that logits
    /// overflow.
    pub fn new(temperature: f32, seed: u64) -> Result<Self, SamplingError> {
        if (0.0..=MAX_TEMPERATURE).contains(&temperature) {
            let temperature = if temperature < LEAST_TEMPERATURE { 0.0 } else { temperature };
            Ok(Self { temperature, seed })
        } else {
            Err(SamplingError::Temperature(temperature))
        }
    }

    /// The likeliest token, always.
    pub const fn greedy() -> Self {
        Self { temperature: 0.0, seed: 0 }
    }

    /// The divisor of logits; 0 is greedy.
    pub const fn temperature(&self) -> f32 {
        self.temperature
    }

    /// What fixes the draws.
    pub const fn seed(&self) -> u64 {
        self.seed
    }

    /// The token that `gumbel-v1` draws at generated position `position` from `logits`.
    ///
    /// # Panics
    /// Never for a non-empty slice; an empty one yields token 0.
    pub fn draw(&self, logits: &[f32], position: u32) -> u32 {
        if self.temperature == 0.0 {
            return argmax(logits.iter().copied()).0;
        }
        Isa::detect().run(Run(Race::new(self, position), logits))
    }

    /// The perturbed score of one token; [`Self::draw`] is the argmax of these.
    pub fn score(&self, logit: f32, position: u32, token: u32) -> f32 {
        if self.temperature == 0.0 {
            return logit;
        }
        logit / self.temperature + gumbel(self.seed, position, token)
    }
}

impl TryFrom<RawSampling> for Sampling {
    type Error = SamplingError;

    fn try_from(raw: RawSampling) -> Result<Self, SamplingError> {
        Self::new(raw.temperature, raw.seed)
    }
}

impl From<Sampling> for RawSampling {
    fn from(sampling: Sampling) -> Self {
        Self { temperature: sampling.temperature, seed: sampling.seed }
    }
}

/// Sampling parameters that mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SamplingError {
    /// NaN, negative or beyond [`MAX_TEMPERATURE`].
    #[error("temperature {0} is not within 0..={MAX_TEMPERATURE}")]
    Temperature(f32),
}

/// Index and value of the first largest element; NaN loses to everything.
fn argmax(values: impl Iterator<Item = f32>) -> (u32, f32) {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in (0..).zip(values) {
        if value > best.1 {
            best = (index, value);
        }
    }
    best
}

/// One position's competition among all tokens.
///
/// A token far behind the leader needs a large `G`, hence a large `w`: comparing `w` with a bound
/// spares the two logarithms for all but a few tokens. The winner is the one of the definition.
struct Race {
    key: [u32; 2],
    position: u32,
    temperature: f32,
}

/// Whole nats for which [`least_word`] is tabulated; `G` never exceeds 22.9.
pub(crate) const DEFICITS: usize = 24;

/// Nats taken off a deficit before the table is asked, plus [`RELATIVE_SLACK`] of the leader's
/// score: more than the f32 roundings of the definition can add up to.
const SLACK: f32 = 0.01;
const RELATIVE_SLACK: f32 = 1e-6;

/// Least `w` whose `G` can exceed `deficit`: `G(w) > d  ⇔  u > exp(−exp(−d))`.
pub(crate) fn least_word(deficit: usize) -> u32 {
    #[expect(clippy::cast_precision_loss, reason = "deficit < 24")]
    let u = libm::exp(-libm::exp(-(deficit as f64)));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "u is within 0..1, so the product fits"
    )]
    let word = (u * 4_294_967_296.0) as u32;
    word
}

impl Race {
    fn new(sampling: &Sampling, position: u32) -> Self {
        Self { key: halves(sampling.seed), position, temperature: sampling.temperature }
    }

    /// The winner, and its score.
    #[inline(always)]
    fn run(&self, logits: &[f32]) -> (u32, f32) {
        let bounds: [u32; DEFICITS] = std::array::from_fn(least_word);
        let mut best = (0, f32::NEG_INFINITY);
        for (index, group) in (0..).zip(logits.chunks(GROUP)) {
            let words = philox_group(index * GROUP_QUADS, self.position, self.key);
            // The likeliest token with the luckiest word: hopeless together, all are.
            let likeliest = group.iter().fold(f32::NEG_INFINITY, |a, &b| if b > a { b } else { a });
            let luckiest = words.iter().flatten().copied().max().unwrap_or(u32::MAX);
            if self.hopeless(best.1, likeliest, luckiest, &bounds) {
                continue;
            }
            for (place, &logit) in group.iter().enumerate() {
                let word = words[place % 4][place / 4];
                if self.hopeless(best.1, logit, word, &bounds) {
                    continue;
                }
                let score = logit / self.temperature + gumbel_of_word(word);
                if score > best.1 {
                    #[expect(clippy::cast_possible_truncation, reason = "below 64")]
                    let token = index * GROUP as u32 + place as u32;
                    best = (token, score);
                }
            }
        }
        best
    }

    /// True when a token of this logit and word surely stays below `best`.
    #[inline(always)]
    fn hopeless(&self, best: f32, logit: f32, word: u32, bounds: &[u32; DEFICITS]) -> bool {
        let deficit = best - logit / self.temperature - SLACK - RELATIVE_SLACK * best.abs();
        hopeless(deficit, word, bounds)
    }
}

/// Philox blocks computed side by side.
const GROUP_QUADS: u32 = 16;

/// Tokens whose words these are.
const GROUP: usize = 64;

/// Words of [`GROUP`] tokens from quad `first` on: token `4·q + v` has word `[v][q]`.
#[inline(always)]
fn philox_group(first: u32, position: u32, mut key: [u32; 2]) -> [[u32; GROUP_QUADS as usize]; 4] {
    let mut counter = [[0; GROUP_QUADS as usize]; 4];
    for (quad, word) in (first..).zip(&mut counter[0]) {
        *word = quad;
    }
    counter[1].fill(position);
    counter[2].fill(DOMAIN);
    for _ in 0..ROUNDS {
        let [c0, c1, c2, c3] = &mut counter;
        for lane in 0..GROUP_QUADS as usize {
            let [low0, high0] = halves(MULTIPLIERS[0] * u64::from(c0[lane]));
            let [low1, high1] = halves(MULTIPLIERS[1] * u64::from(c2[lane]));
            c0[lane] = high1 ^ c1[lane] ^ key[0];
            c2[lane] = high0 ^ c3[lane] ^ key[1];
            (c1[lane], c3[lane]) = (low1, low0);
        }
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

/// A race over logits, compiled for each instruction set.
struct Run<'a>(Race, &'a [f32]);

impl Kernel for Run<'_> {
    type Output = u32;

    #[inline(always)]
    fn run(self) -> u32 {
        self.0.run(self.1).0
    }
}

/// True when `G(word)` surely stays below `deficit`.
#[inline(always)]
fn hopeless(deficit: f32, word: u32, bounds: &[u32; DEFICITS]) -> bool {
    if deficit.is_nan() || deficit < 0.0 {
        return false;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "non-negative, and the cast saturates"
    )]
    let whole = (deficit as usize).min(DEFICITS - 1);
    word < bounds[whole]
}

/// `G(seed, position, token)` of the module's definition.
pub fn gumbel(seed: u64, position: u32, token: u32) -> f32 {
    let words = philox([token / 4, position, DOMAIN, 0], halves(seed));
    gumbel_of_word(words[(token % 4) as usize])
}

fn gumbel_of_word(word: u32) -> f32 {
    let u = f64::from(word).mul_add(2.0, 1.0) / 8_589_934_592.0;
    #[expect(clippy::cast_possible_truncation, reason = "the definition rounds to f32")]
    let g = -libm::log(-libm::log(u)) as f32;
    g
}

#[expect(clippy::cast_possible_truncation, reason = "the halves of a u64")]
#[inline(always)]
pub(crate) const fn halves(seed: u64) -> [u32; 2] {
    [seed as u32, (seed >> 32) as u32]
}

/// Constants of Philox4x32.
const MULTIPLIERS: [u64; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: u32 = 10;

/// Philox4x32 with ten rounds.
pub(crate) fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..ROUNDS {
        let [low0, high0] = halves(MULTIPLIERS[0] * u64::from(counter[0]));
        let [low1, high1] = halves(MULTIPLIERS[1] * u64::from(counter[2]));
        counter = [high1 ^ counter[1] ^ key[0], low1, high0 ^ counter[3] ^ key[1], low0];
        key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the generator's authors (Random123, `kat_vectors`).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(
            philox([u32::MAX; 4], [u32::MAX; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn the_shortcut_draws_what_the_definition_draws() {
        for seed in 0..200_u64 {
            let sampling = Sampling::new(0.7, seed).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small integers")]
            let logits: Vec<f32> =
                (0..999_u64).map(|v| ((v * 7919 + seed * 31) % 101) as f32 / 9.0).collect();
            let scores = (0..).zip(&logits).map(|(v, &l)| sampling.score(l, 5, v));
            assert_eq!(sampling.draw(&logits, 5), argmax(scores).0, "seed {seed}");
        }
    }

    #[test]
    fn blocks_side_by_side_are_the_blocks_one_by_one() {
        let group = philox_group(112, 7, [3, 9]);
        for (quad, lane) in (112..).zip(0..GROUP_QUADS as usize) {
            let alone = philox([quad, 7, DOMAIN, 0], [3, 9]);
            assert_eq!(group.map(|words| words[lane]), alone);
        }
    }

    #[test]
    fn draws_follow_the_softmax() {
        let logits = [0.0_f32, 1.0, 2.0];
        let draws = 20_000_u32;
        let mut seen = [0_u32; 3];
        for seed in 0..draws {
            let sampling = Sampling::new(1.0, seed.into()).unwrap();
            seen[sampling.draw(&logits, 0) as usize] += 1;
        }
        let total: f64 = logits.iter().map(|&l| f64::from(l).exp()).sum();
        for (count, logit) in seen.iter().zip(logits) {
            let expected = f64::from(logit).exp() / total;
            let got = f64::from(*count) / f64::from(draws);
            assert!((got - expected).abs() < 0.015, "{got} against {expected}");
        }
    }

    #[test]
    fn zero_temperature_takes_the_first_of_the_likeliest() {
        assert_eq!(Sampling::greedy().draw(&[1.0, 3.0, 3.0, f32::NAN], 9), 1);
    }

    #[test]
    fn temperatures_that_overflow_are_greedy() {
        for tiny in [1e-38, 1e-45, 9.9e-31] {
            let sampling = Sampling::new(tiny, 7).unwrap();
            assert_eq!(sampling.draw(&[30.0, 31.0, -31.0], 0), 1, "{tiny}");
        }
        assert!(Sampling::new(1e-30, 7).unwrap().temperature() > 0.0);
    }

    #[test]
    fn absurd_temperatures_are_refused() {
        for bad in [f32::NAN, f32::INFINITY, -0.5, 101.0] {
            assert!(Sampling::new(bad, 0).is_err(), "{bad}");
        }
    }
}
