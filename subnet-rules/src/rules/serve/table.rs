//! A seeded table language model: what an engine is to the arena, at about a microsecond a token.
//!
//! The logits of a position are a row of a table, chosen by a hash of the prompt and the two tokens
//! before. A variant adds noise of its own to every logit, as quantisation does; its size is such that
//! the share of tokens which agree with the exact model is what was measured on SmolLM2-135M for that
//! arithmetic (T = 0.8, 64–96 tokens a sequence): a test holds each to its measured interval.

use serde::{Deserialize, Serialize};

use crate::prf::Prf;
use crate::tools::{GroupMeasure, TokenMeasure};

/// Tokens of the vocabulary; 0 ends a completion.
const VOCABULARY: usize = 16;
/// Rows of the table.
const CONTEXTS: usize = 512;
/// Standard deviation of logits: entropies around one nat at T = 0.8, as in running text.
const LOGIT_SPREAD: f64 = 2.2;
/// Logit of the ending token, below the mean: completions run for some forty tokens.
const END_LOGIT: f64 = -2.6;
/// The token that ends a completion.
const END: u32 = 0;

/// What arithmetic, or whose model, writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The named model in its named class.
    Exact,
    /// Weights and outputs rounded to bf16.
    Bf16,
    /// Weights in blocks of 8 bits.
    Q8,
    /// Weights in FP8.
    Fp8,
    /// Weights in blocks of 4 bits.
    Q4,
    /// Another, smaller model.
    Other,
}

impl Variant {
    /// All variants.
    pub const ALL: [Self; 6] =
        [Self::Exact, Self::Bf16, Self::Q8, Self::Fp8, Self::Q4, Self::Other];

    /// Standard deviation of the noise on each logit.
    fn noise(self) -> f64 {
        match self {
            Self::Exact => 0.0,
            Self::Bf16 => 0.028,
            Self::Q8 => 0.044,
            Self::Fp8 => 0.21,
            Self::Q4 => 0.80,
            Self::Other => 6.0,
        }
    }
}

/// Rows of logits, already divided by the temperature.
type Rows = Vec<[f64; VOCABULARY]>;

/// The model in all its variants.
#[derive(Debug, Clone)]
pub struct TableModel {
    rows: Vec<Rows>,
    entropies_mnat: Vec<u32>,
}

/// A completion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The tokens, with the one that ended it.
    pub tokens: Vec<u32>,
    /// Whether it ended by itself.
    pub stopped: bool,
}

impl TableModel {
    /// The model of a seed at a temperature.
    pub fn new(seed: u64, temperature: f32) -> Self {
        let temperature = f64::from(temperature);
        let mut prf = Prf::from_seed(seed).child("table-model");
        let mut exact: Rows = Vec::with_capacity(CONTEXTS);
        for _ in 0..CONTEXTS {
            let mut row = [0.0; VOCABULARY];
            for logit in &mut row {
                *logit = LOGIT_SPREAD * prf.normal() / temperature;
            }
            row[END as usize] = END_LOGIT / temperature;
            exact.push(row);
        }
        let entropies_mnat = exact.iter().map(entropy_mnat).collect();
        let rows = Variant::ALL
            .iter()
            .map(|variant| {
                let noise = variant.noise() / temperature;
                let shaken =
                    |row: &[f64; VOCABULARY]| row.map(|logit| logit + noise * prf.normal());
                exact.iter().map(shaken).collect()
            })
            .collect();
        Self { rows, entropies_mnat }
    }

    /// What a variant writes with a seed.
    pub fn generate(&self, variant: Variant, prompt: u64, seed: u64, most: u32) -> Completion {
        let mut context = Context::new(prompt);
        let mut tokens = Vec::with_capacity(most as usize);
        for position in 0..most {
            let row = &self.rows[variant as usize][context.row()];
            let (token, _) = race(row, seed, position);
            tokens.push(token);
            if token == END {
                return Completion { tokens, stopped: true };
            }
            context.push(token);
        }
        Completion { tokens, stopped: false }
    }

    /// Holds claimed tokens against the exact model's own draws.
    pub fn rescore(&self, prompt: u64, seed: u64, tokens: &[u32]) -> Vec<TokenMeasure> {
        let mut context = Context::new(prompt);
        let mut measures = Vec::with_capacity(tokens.len());
        for (position, token) in (0..).zip(tokens) {
            let at = context.row();
            let row = &self.rows[Variant::Exact as usize][at];
            let claimed = *token as usize % VOCABULARY;
            let (drawn, best) = race(row, seed, position);
            let behind = best - (row[claimed] + gumbel(seed, position, claimed));
            measures.push(TokenMeasure {
                entropy_mnat: self.entropies_mnat[at],
                margin_milli: thousandths(behind),
                matched: drawn == *token,
            });
            context.push(*token);
        }
        measures
    }
}

impl TableModel {
    /// How far a variant's own account of tokens lies from the exact model's pass: log-probabilities as an
    /// answer records them, and, for sketches, what each logit is off.
    #[expect(clippy::cast_precision_loss, reason = "groups and vocabularies are small")]
    pub fn account(&self, variant: Variant, prompt: u64, tokens: &[u32]) -> Vec<GroupMeasure> {
        let mut context = Context::new(prompt);
        let mut apart = Vec::with_capacity(tokens.len());
        for token in tokens {
            let at = context.row();
            let (own, exact) = (&self.rows[variant as usize][at], &self.rows[0][at]);
            let claimed = *token as usize % VOCABULARY;
            let likelihood = (recorded(own, claimed) - recorded(exact, claimed)).abs();
            let logits = own.iter().zip(exact).map(|(own, exact)| (own - exact).abs()).sum::<f64>();
            apart.push((likelihood, logits / VOCABULARY as f64));
            context.push(*token);
        }
        let of = |group: &[(f64, f64)]| {
            let count = group.len() as f64;
            let mean = |of: fn(&(f64, f64)) -> f64| group.iter().map(of).sum::<f64>() / count;
            GroupMeasure::new(mean(|one| one.0), mean(|one| one.1))
        };
        apart.chunks(GROUP).map(of).collect()
    }
}

/// Tokens of a group in an account.
const GROUP: usize = 8;

/// A log-probability in steps of 1/1024 nat.
fn recorded(row: &[f64; VOCABULARY], token: usize) -> f64 {
    let total: f64 = row.iter().map(|logit| libm::exp(*logit)).sum();
    libm::rint((row[token] - libm::log(total)) * 1024.0) / 1024.0
}

/// The winner of the Gumbel race and its perturbed score.
fn race(row: &[f64; VOCABULARY], seed: u64, position: u32) -> (u32, f64) {
    let mut best = (0, f64::NEG_INFINITY);
    for (id, logit) in (0..).zip(row) {
        let score = logit + gumbel(seed, position, id as usize);
        if score > best.1 {
            best = (id, score);
        }
    }
    best
}

/// −ln(−ln u), u uniform and fixed by its three coordinates.
fn gumbel(seed: u64, position: u32, token: usize) -> f64 {
    let word = mix(seed ^ mix(u64::from(position) << 32 | token as u64));
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let uniform = ((word >> 11) as f64 + 0.5) / 9_007_199_254_740_992.0;
    -libm::log(-libm::log(uniform))
}

/// The finaliser of `SplitMix64`: a fast, well mixed hash of a word.
pub(crate) fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// The prompt and the two tokens before.
struct Context {
    prompt: u64,
    before: (u32, u32),
}

impl Context {
    fn new(prompt: u64) -> Self {
        Self { prompt: mix(prompt), before: (END, END) }
    }

    fn row(&self) -> usize {
        let pair = u64::from(self.before.0) << 32 | u64::from(self.before.1);
        let row = mix(self.prompt ^ pair) % CONTEXTS as u64;
        usize::try_from(row).unwrap_or(0)
    }

    fn push(&mut self, token: u32) {
        self.before = (self.before.1, token);
    }
}

fn entropy_mnat(row: &[f64; VOCABULARY]) -> u32 {
    let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = row.iter().map(|logit| libm::exp(logit - most)).sum();
    let entropy: f64 = row
        .iter()
        .map(|logit| {
            let log_p = logit - most - libm::log(total);
            -libm::exp(log_p) * log_p
        })
        .sum();
    thousandths(entropy)
}

fn thousandths(x: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to a u32's range"
    )]
    let rounded = (x * 1000.0).round().clamp(0.0, f64::from(u32::MAX)) as u32;
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of tokens equal to the exact model's draws, and share of those that had a choice.
    fn match_rate(variant: Variant, floor_mnat: u32) -> (f64, usize) {
        let model = TableModel::new(7, 0.8);
        let (mut matched, mut all) = (0_u32, 0_u32);
        for sequence in 0..600_u64 {
            let written = model.generate(variant, sequence, sequence * 31, 64);
            for check in model.rescore(sequence, sequence * 31, &written.tokens) {
                if check.entropy_mnat >= floor_mnat {
                    matched += u32::from(check.matched);
                    all += 1;
                }
            }
        }
        (f64::from(matched) / f64::from(all), all as usize)
    }

    #[test]
    fn every_variant_matches_as_often_as_was_measured_on_the_real_model() {
        // Measured rates with the half-width of their 95 % interval at 12 sequences of 96 tokens.
        let measured = [
            (Variant::Exact, 1.0, 0.0),
            (Variant::Bf16, 0.984, 0.008),
            (Variant::Q8, 0.975, 0.010),
            (Variant::Fp8, 0.921, 0.016),
            (Variant::Q4, 0.731, 0.026),
        ];
        for (variant, rate, half_width) in measured {
            let (seen, _) = match_rate(variant, 0);
            assert!((seen - rate).abs() <= half_width, "{variant:?}: {seen} against {rate}");
        }
    }

    #[test]
    fn another_model_hardly_ever_matches() {
        let (seen, _) = match_rate(Variant::Other, 0);
        assert!(seen < 0.3, "{seen}");
    }

    #[test]
    fn most_tokens_have_a_choice() {
        let (_, counted) = match_rate(Variant::Exact, 500);
        let (_, all) = match_rate(Variant::Exact, 0);
        assert!(counted * 2 > all, "{counted} of {all}");
    }
}
