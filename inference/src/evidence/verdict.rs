//! From readings to a verdict: over one answer, or over everything a server ever sent.

use serde::Serialize;

use super::{
    calibration::Pair,
    reading::Reading,
    sequential::{EProcess, log_mean},
};

/// Chance that an honest server is ever convicted.
pub const ALPHA: f64 = 1e-6;

/// Tokens with a choice below which nothing is said for a server: about half of all servers with
/// 4-bit weights would pass with fewer.
pub const MIN_EVIDENCE_TOKENS: usize = 8;

/// What is made of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// Enough was seen, and nothing speaks against the server.
    #[serde(rename = "pass")]
    Pass,
    /// No honest server sends this, but with chance [`ALPHA`].
    #[serde(rename = "fail")]
    Fail,
    /// The tokens had no choice: any model would have written them.
    #[serde(rename = "no evidence")]
    NoEvidence,
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::NoEvidence => "no evidence",
        })
    }
}

/// The evidence against one server so far.
#[derive(Clone, Debug)]
pub struct Standing {
    seed: EProcess,
    states: Option<(EProcess, EProcess)>,
    surprisal: Option<EProcess>,
    /// Tokens with a choice, so far.
    pub evidence_tokens: usize,
    /// Evidence tokens at which the server was convicted.
    pub convicted_at: Option<usize>,
}

/// Which numbers a standing listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Only to whether the seed draws the tokens.
    Seed,
    /// To the seed, to log-probabilities and to fingerprints.
    All,
    /// Only to how surprising tokens are: servers without a seed. Weaker.
    Surprisal,
}

impl Standing {
    /// Nothing seen yet of a server that should look as `pair` says.
    pub fn new(pair: &Pair, listen: Listen) -> Self {
        let process = |spread: &super::calibration::Spread| EProcess::new(&spread.tails);
        let seed =
            if listen == Listen::Surprisal { EProcess::new(&[]) } else { process(&pair.margin) };
        Self {
            seed,
            states: (listen == Listen::All)
                .then(|| (process(&pair.dlogprob), process(&pair.fingerprint))),
            surprisal: (listen == Listen::Surprisal).then(|| process(&pair.surprisal)),
            evidence_tokens: 0,
            convicted_at: None,
        }
    }

    /// Takes an answer's numbers in the order of its tokens.
    pub fn observe(&mut self, reading: &Reading) {
        for group in &reading.groups {
            for &margin in &group.margins {
                self.seed.observe(margin);
                self.evidence_tokens += 1;
                self.judge();
            }
            self.evidence_tokens += group.evidence - group.margins.len();
            if let Some((dlogprobs, distances)) = &mut self.states {
                group.dlogprob.into_iter().for_each(|x| dlogprobs.observe(x));
                group.distance.into_iter().for_each(|x| distances.observe(x));
            }
            if let Some(surprisal) = &mut self.surprisal {
                surprisal.observe(group.surprise);
            }
            self.judge();
        }
    }

    /// Logarithm of the e-value against the server, in nats.
    pub fn log_e(&self) -> f64 {
        match (&self.states, &self.surprisal) {
            (Some((dlogprobs, distances)), _) => {
                log_mean([self.seed.log_e(), dlogprobs.log_e(), distances.log_e()].into_iter())
            }
            (None, Some(surprisal)) => surprisal.log_e(),
            (None, None) => self.seed.log_e(),
        }
    }

    /// Evidence once strong enough stays so: Ville's inequality bounds the supremum.
    fn judge(&mut self) {
        if self.convicted_at.is_none() && self.log_e() >= -ALPHA.ln() {
            self.convicted_at = Some(self.evidence_tokens);
        }
    }

    /// The verdict on everything seen.
    pub fn verdict(&self) -> Verdict {
        if self.convicted_at.is_some() {
            Verdict::Fail
        } else if self.evidence_tokens < MIN_EVIDENCE_TOKENS {
            Verdict::NoEvidence
        } else {
            Verdict::Pass
        }
    }
}

/// The auditor's report on one answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// What is made of it.
    pub verdict: Verdict,
    /// Tokens of the completion.
    pub tokens: usize,
    /// Those with a choice.
    pub evidence_tokens: usize,
    /// Share of these that the seed draws; `None` without such tokens or a seed.
    pub seed_match: Option<f64>,
    /// Mean distance of these behind the seed's tokens, in nats.
    pub margin_mean: Option<f64>,
    /// Mean distance of recorded and own log-probabilities, in nats; `None` where none are recorded.
    pub dlogprob_mean: Option<f64>,
    /// Largest distance of fingerprints; `None` where none are recorded.
    pub fingerprint_max: Option<f64>,
    /// Why, in words.
    pub reasons: Vec<String>,
}

impl Report {
    /// Judges one answer by itself.
    pub fn new(reading: &Reading, pair: &Pair, seeded: bool) -> Self {
        let listen = if seeded { Listen::All } else { Listen::Surprisal };
        let mut standing = Standing::new(pair, listen);
        standing.observe(reading);
        Self {
            verdict: standing.verdict(),
            tokens: reading.tokens,
            evidence_tokens: reading.evidence_tokens(),
            seed_match: reading.seed_match(),
            margin_mean: reading.margin_mean(),
            dlogprob_mean: reading.dlogprob_mean(),
            fingerprint_max: reading.fingerprint_max(),
            reasons: reasons(reading, pair, &standing, seeded),
        }
    }
}

fn reasons(reading: &Reading, pair: &Pair, standing: &Standing, seeded: bool) -> Vec<String> {
    let mut reasons = Vec::new();
    let evidence = reading.evidence_tokens();
    let decades = standing.log_e() / std::f64::consts::LN_10;
    match standing.verdict() {
        Verdict::NoEvidence => reasons.push(format!(
            "only {evidence} of {} tokens had a choice: any model would have written this",
            reading.tokens
        )),
        Verdict::Fail => reasons.push(format!(
            "convicted after {} tokens with a choice: evidence 10^{decades:.1} (10^{:.0} convicts)",
            standing.convicted_at.unwrap_or(evidence),
            -ALPHA.log10()
        )),
        Verdict::Pass => reasons.push(format!(
            "{evidence} tokens had a choice, and the evidence against the server is 10^{decades:.1} \
             (10^{:.0} convicts)",
            -ALPHA.log10()
        )),
    }
    if reading.mismatches > 0 {
        reasons.push(format!(
            "{} of {} tokens are not the ones that the seed draws",
            reading.mismatches, reading.tokens
        ));
    }
    if let Some(far) = reading.fingerprint_max().filter(|&far| far > pair.fingerprint.max) {
        reasons.push(format!(
            "fingerprints lie up to {far:.4} apart; honest ones at most {:.4}",
            pair.fingerprint.max
        ));
    }
    if pair.exact {
        reasons.push("same class and engine: equality to the bit is demanded".to_owned());
    }
    if !seeded {
        reasons.push(
            "no seed fixed the tokens: judged by surprisal alone, which is weaker and sees no forger"
                .to_owned(),
        );
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::super::{
        calibration::{Drawn, Side},
        reading::Group,
        states::Scheme,
    };
    use super::*;
    use crate::{ModelId, NumericClass};

    fn side(class: NumericClass) -> Side {
        Side { model: ModelId { digest: [1; 32], class }, engine: "ganglion-cpu/1".to_owned() }
    }

    fn reading(margins: &[f64], distance: f64) -> Reading {
        let group = Group {
            tokens: margins.len(),
            margins: margins.to_vec(),
            evidence: margins.len(),
            dlogprob: Some(distance),
            distance: Some(distance),
            surprise: 0.1,
        };
        let mismatches = margins.iter().filter(|&&m| m > 0.0).count();
        Reading { tokens: margins.len(), mismatches, groups: vec![group] }
    }

    fn equality() -> Pair {
        Pair::equality(&side(NumericClass::F32), &side(NumericClass::F32)).unwrap()
    }

    #[test]
    fn equal_bits_pass_and_few_choices_say_nothing() {
        let pass = Report::new(&reading(&[0.0; 20], 0.0), &equality(), true);
        assert_eq!((pass.verdict, pass.seed_match), (Verdict::Pass, Some(1.0)));
        let little = Report::new(&reading(&[0.0; 7], 0.0), &equality(), true);
        assert_eq!(little.verdict, Verdict::NoEvidence);
    }

    #[test]
    fn one_slip_convicts_nobody_and_three_do() {
        let mut margins = [0.0; 30];
        margins[4] = 0.2;
        let one = Report::new(&reading(&margins, 0.0), &equality(), true);
        assert_eq!(one.verdict, Verdict::Pass);
        margins[9] = 0.2;
        margins[14] = 0.2;
        let three = Report::new(&reading(&margins, 0.0), &equality(), true);
        assert_eq!(three.verdict, Verdict::Fail);
    }

    #[test]
    fn a_forger_with_perfect_states_is_convicted_by_the_seed_alone() {
        let forged = Report::new(&reading(&[0.3, 0.0, 0.7, 0.1, 0.0, 2.0], 0.0), &equality(), true);
        assert_eq!(forged.verdict, Verdict::Fail);
    }

    #[test]
    fn equality_is_not_demanded_of_another_class() {
        let (f32, bf16) = (side(NumericClass::F32), side(NumericClass::Bf16));
        assert!(Pair::equality(&bf16, &f32).is_none());
        // Nor of one whose sums depend on the batch.
        let metal = Side { engine: "candle-metal/1".to_owned(), ..f32 };
        assert!(Pair::equality(&metal, &metal).is_none());
        let honest: Vec<Reading> = (0..200).map(|_| reading(&[0.0; 19], 0.0)).collect();
        let drawn = Drawn { seed: 1, temperature: 1.0, scheme: Scheme::default() };
        let pair = Pair::of(bf16, f32, drawn, &honest);
        assert!(!pair.exact && pair.margin.tails[0].rate > 1e-4);
    }
}
