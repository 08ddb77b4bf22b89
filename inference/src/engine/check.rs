//! What one row of logits says about one claimed token.

use serde::{Deserialize, Serialize};

use crate::{
    kernel::{Isa, above, partition},
    sample::Sampling,
    shaping::{FAR, Shaped},
};

/// A claimed token held against the model's own draw.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenCheck {
    /// The claimed token.
    pub token: u32,
    /// Its log-probability under softmax(logits), in nats.
    pub logprob: f32,
    /// How many tokens are likelier.
    pub rank: u32,
    /// Entropy of the distribution drawn from, softmax(logits / T), in nats; 0 where T = 0.
    pub entropy_nat: f32,
    /// The claimed token's negative log-probability under that same distribution, in nats; 0 where
    /// T = 0. Its expectation for a token so drawn is `entropy_nat`.
    pub surprisal_nat: f32,
    /// The token that the seed draws here.
    pub seeded_token: u32,
    /// How far the claimed token's perturbed score lies behind the winner's; 0 where they agree.
    pub margin: f32,
}

impl TokenCheck {
    pub(crate) fn new(logits: &[f32], token: u32, sampling: &Sampling, position: u32) -> Self {
        let logit = logits[token as usize];
        let rank = above(Isa::detect(), logits, logit);
        let seeded_token = sampling.draw(logits, position);
        let (entropy_nat, surprisal_nat) = spread(logits, logit, sampling.temperature());
        let score = |id: u32| sampling.score(logits[id as usize], position, id);
        Self {
            token,
            logprob: logprob(logits, token),
            rank: u32::try_from(rank).unwrap_or(u32::MAX),
            entropy_nat,
            surprisal_nat,
            seeded_token,
            margin: score(seeded_token) - score(token),
        }
    }

    /// As [`Self::new`], where `gumbel-v2` draws from `logits` as `shaped`. The log-probability and the
    /// rank are those of the model itself; entropy, surprisal, draw and margin are of what is drawn from.
    pub(crate) fn shaped(
        logits: &[f32],
        shaped: &Shaped<'_>,
        token: u32,
        sampling: &Sampling,
        position: u32,
    ) -> Self {
        let temperature = sampling.temperature();
        let (entropy_nat, surprisal_nat) = spread(&shaped.left, shaped.logit(token), temperature);
        Self {
            token,
            logprob: logprob(logits, token),
            rank: u32::try_from(above(Isa::detect(), logits, logits[token as usize]))
                .unwrap_or(u32::MAX),
            entropy_nat,
            surprisal_nat: if shaped.forbids(token) { FAR } else { surprisal_nat },
            seeded_token: shaped.draw(sampling, position),
            margin: shaped.margin(sampling, position, token),
        }
    }

    /// True where the claimed token is the one the seed draws.
    pub const fn matches(&self) -> bool {
        self.token == self.seeded_token
    }
}

/// Log-probability of `token` under softmax(logits), in nats.
pub(crate) fn logprob(logits: &[f32], token: u32) -> f32 {
    let all = partition(Isa::detect(), logits, 1.0);
    #[expect(clippy::cast_possible_truncation, reason = "reported as f32")]
    let logprob = (f64::from(logits[token as usize] - all.most) - libm::log(all.sum)) as f32;
    logprob
}

/// The `count` likeliest tokens with their log-probabilities, likeliest first; ties: the lowest id.
pub(crate) fn likeliest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    if count == 0 {
        return Vec::new();
    }
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(count + 1);
    for (id, &logit) in (0..).zip(logits) {
        if best.len() == count && best.last().is_some_and(|&(_, least)| logit <= least) {
            continue;
        }
        let place = best.partition_point(|&(_, other)| other >= logit);
        best.insert(place, (id, logit));
        best.truncate(count);
    }
    best.iter().map(|&(id, _)| (id, logprob(logits, id))).collect()
}

/// Entropy of softmax(logits / T), and the negative log-probability of `logit` under it, in nats.
fn spread(logits: &[f32], logit: f32, temperature: f32) -> (f32, f32) {
    if temperature == 0.0 {
        return (0.0, 0.0);
    }
    let all = partition(Isa::detect(), logits, temperature);
    let log_sum = libm::log(all.sum);
    let scaled = f64::from((logit - all.most) / temperature);
    #[expect(clippy::cast_possible_truncation, reason = "reported as f32")]
    let pair = ((log_sum - all.weighted / all.sum).max(0.0) as f32, (log_sum - scaled) as f32);
    pair
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uniform_row_has_the_entropy_of_its_width() {
        let check = TokenCheck::new(&[2.0; 8], 3, &Sampling::new(1.0, 1).unwrap(), 0);
        assert!((check.entropy_nat - 8_f32.ln()).abs() < 1e-5);
        assert!((check.logprob + 8_f32.ln()).abs() < 1e-5);
        assert!((check.surprisal_nat - check.entropy_nat).abs() < 1e-5);
        assert_eq!(check.rank, 0);
    }

    #[test]
    fn the_likeliest_tokens_come_in_order() {
        let ids = |count| likeliest(&[1.0, 4.0, 2.5, 4.0], count).iter().map(|t| t.0).collect();
        let best: Vec<u32> = ids(3);
        assert_eq!(best, [1, 3, 2]);
        assert!(likeliest(&[1.0], 0).is_empty());
    }

    #[test]
    fn greedy_draws_carry_no_entropy_and_an_exact_margin() {
        let check = TokenCheck::new(&[1.0, 4.0, 2.5], 2, &Sampling::greedy(), 0);
        assert_eq!((check.seeded_token, check.rank), (1, 1));
        assert!((check.margin - 1.5).abs() < 1e-6 && check.entropy_nat.abs() < 1e-9);
        assert!(!check.matches());
    }
}
