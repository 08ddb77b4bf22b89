//! What one prefill says about one answer, as numbers that a test can take.

use super::{
    answer::{Answer, nats_apart, quantised},
    fingerprint::GROUP_TOKENS,
};
use crate::Audit;

/// Entropy, in nats, from which a token had a choice: below it every server draws the same token, and
/// agreement says nothing.
pub const EVIDENCE_NATS: f32 = 0.5;

/// Margins beyond this many nats are all the same to a mean.
const MARGIN_CLIP: f64 = 10.0;

/// An answer against the verifier's own pass.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// Tokens of the completion.
    pub tokens: usize,
    /// Tokens of any entropy that the seed does not draw.
    pub mismatches: usize,
    /// One for each [`GROUP_TOKENS`] tokens.
    pub(super) groups: Vec<Group>,
}

/// Numbers of a group of tokens.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Group {
    pub(super) tokens: usize,
    /// For each token with a choice: how far it lies behind the seed's, in nats. Empty without a seed.
    pub(super) margins: Vec<f64>,
    /// Tokens with a choice.
    pub(super) evidence: usize,
    /// Mean nats between the recorded log-probabilities and the verifier's, where recorded.
    pub(super) dlogprob: Option<f64>,
    /// Distance of the fingerprints that end here, where recorded.
    pub(super) distance: Option<f64>,
    /// How far the mean surprisal lies from the mean entropy, in nats.
    pub(super) surprise: f64,
}

impl Reading {
    /// Compares. `audit` is the verifier's of the answer's own ids.
    pub fn new(answer: &Answer, audit: &Audit) -> Self {
        let seeded = answer.sampler.is_seeded();
        let (mut logprobs, tokens) = (answer.logprobs.iter(), audit.checks.len());
        let (distances, each) =
            (answer.fingerprint.distances(&audit.states), audit.states.scheme().tokens());
        let groups = audit.checks.chunks(GROUP_TOKENS).enumerate().map(|(index, checks)| {
            let choices = || checks.iter().filter(|check| check.entropy_nat >= EVIDENCE_NATS);
            let apart = checks.iter().map_while(|check| {
                logprobs.next().map(|&claimed| nats_apart(claimed, quantised(check.logprob)))
            });
            // With the last group that a fingerprint covers.
            let from = index * GROUP_TOKENS;
            let ends = (from + checks.len()).is_multiple_of(each) || from + checks.len() == tokens;
            let distance = if ends { distances.get(from / each).copied() } else { None };
            let excess = checks.iter().map(|c| f64::from(c.surprisal_nat - c.entropy_nat));
            Group {
                tokens: checks.len(),
                margins: if seeded {
                    choices().map(|c| f64::from(c.margin).min(MARGIN_CLIP)).collect()
                } else {
                    Vec::new()
                },
                evidence: choices().count(),
                dlogprob: mean(apart),
                distance,
                surprise: mean(excess).unwrap_or(0.0).abs(),
            }
        });
        let groups = groups.collect();
        let mismatches =
            if seeded { audit.checks.iter().filter(|check| !check.matches()).count() } else { 0 };
        Self { tokens: audit.checks.len(), mismatches, groups }
    }

    /// For each group of [`GROUP_TOKENS`] tokens, how far the server's account of them lies from the
    /// verifier's pass: mean nats between log-probabilities, and the distance of the sketches. `None`
    /// where a group has no account, or one of another scheme.
    pub fn accounts(&self) -> impl Iterator<Item = Option<(f64, f64)>> {
        self.groups.iter().map(|group| group.dlogprob.zip(group.distance))
    }

    /// Both answers' numbers, as of one server.
    #[must_use]
    pub fn then(mut self, later: Self) -> Self {
        self.tokens += later.tokens;
        self.mismatches += later.mismatches;
        self.groups.extend(later.groups);
        self
    }

    /// Tokens with a choice.
    pub fn evidence_tokens(&self) -> usize {
        self.groups.iter().map(|group| group.evidence).sum()
    }

    /// Share of the tokens with a choice that the seed draws; `None` without such tokens or a seed.
    pub fn seed_match(&self) -> Option<f64> {
        mean(self.margins().map(|margin| if margin <= 0.0 { 1.0 } else { 0.0 }))
    }

    /// Mean margin of the tokens with a choice, in nats, each at most 10.
    pub fn margin_mean(&self) -> Option<f64> {
        mean(self.margins())
    }

    /// Mean nats between the recorded log-probabilities and the verifier's, over all tokens.
    pub fn dlogprob_mean(&self) -> Option<f64> {
        mean(self.groups.iter().filter_map(|group| group.dlogprob))
    }

    /// Largest distance of fingerprints.
    pub fn fingerprint_max(&self) -> Option<f64> {
        self.groups.iter().filter_map(|group| group.distance).reduce(f64::max)
    }

    fn margins(&self) -> impl Iterator<Item = f64> {
        self.groups.iter().flat_map(|group| group.margins.iter().copied())
    }
}

/// The mean; `None` of nothing.
pub(super) fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = numbers.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    (count > 0.0).then(|| sum / count)
}
