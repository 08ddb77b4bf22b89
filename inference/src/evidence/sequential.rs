//! Tests that may be looked at after every token.
//!
//! The null says: an honest server's number exceeds `cut` with probability at most `rate`, whatever
//! came before. Against it bets a likelihood ratio for a higher rate `p`,
//!
//! ```text
//! W ← W · p/rate           where the number exceeds the cut
//! W ← W · (1−p)/(1−rate)   where it does not
//! ```
//!
//! whose expectation under the null never exceeds 1. The wealth averaged over several cuts and rates
//! keeps that property, so by Ville's inequality the chance that it *ever* reaches 1/α for an honest
//! server is at most α (e-processes: Ramdas, Grünwald, Vovk, Shafer, *Game-theoretic statistics and
//! safe anytime-valid inference*, 2023). Averaging asks for no guess of what a cheat looks like.

use serde::{Deserialize, Serialize};

/// Rates bet on above each cut's honest rate, spread evenly in the logarithm.
const ALTERNATIVES: u32 = 6;

/// The highest rate bet on.
const HIGHEST: f64 = 0.95;

/// How often an honest server's number exceeds `cut`, at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tail {
    /// The bound that is exceeded.
    pub cut: f64,
    /// Probability of that, at most; within 0..1.
    pub rate: f64,
}

impl Tail {
    pub(super) fn is_sound(&self) -> bool {
        self.cut >= 0.0 && self.cut.is_finite() && self.rate > 0.0 && self.rate < 1.0
    }

    /// Rates worth betting on.
    fn alternatives(self) -> impl Iterator<Item = f64> {
        (1..=ALTERNATIVES).map(move |step| {
            self.rate * (HIGHEST / self.rate).powf(f64::from(step) / f64::from(ALTERNATIVES))
        })
    }
}

/// Evidence against one null: a bet for each cut and rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EProcess {
    bets: Vec<Bet>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Bet {
    cut: f64,
    /// Added to the log wealth where the cut is exceeded.
    above: f64,
    /// Added where it is not.
    below: f64,
    log_wealth: f64,
}

impl EProcess {
    /// A fresh process; tails whose rate leaves nothing to bet on are passed over.
    pub fn new(tails: &[Tail]) -> Self {
        let worthwhile = tails.iter().filter(|tail| tail.is_sound() && tail.rate < HIGHEST);
        let bets = worthwhile.flat_map(|&tail| {
            tail.alternatives().map(move |p| Bet {
                cut: tail.cut,
                above: (p / tail.rate).ln(),
                below: ((1.0 - p) / (1.0 - tail.rate)).ln(),
                log_wealth: 0.0,
            })
        });
        Self { bets: bets.collect() }
    }

    /// Takes one number. NaN counts as exceeding everything: no honest server sends it.
    pub fn observe(&mut self, x: f64) {
        for bet in &mut self.bets {
            bet.log_wealth += if x <= bet.cut { bet.below } else { bet.above };
        }
    }

    /// Logarithm of the e-value, in nats; 0 before anything was seen.
    pub fn log_e(&self) -> f64 {
        log_mean(self.bets.iter().map(|bet| bet.log_wealth))
    }
}

/// `ln(mean(eˣ))`; 0 for nothing.
pub(super) fn log_mean(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return 0.0;
    }
    let (sum, count) = logs.fold((0.0, 0.0), |(sum, n), x| (sum + (x - most).exp(), n + 1.0));
    most + (sum / count).ln()
}

/// The least rate that `exceeded` of `samples` does not contradict at confidence `1 − delta`
/// (Chernoff's bound: `n·KL(k/n ‖ rate) = ln 1/δ`).
#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2⁵³")]
pub(super) fn upper_rate(exceeded: usize, samples: usize, delta: f64) -> f64 {
    if samples == 0 {
        return 1.0;
    }
    let (n, seen) = (samples as f64, exceeded as f64 / samples as f64);
    let budget = -delta.ln() / n;
    let term = |a: f64, b: f64| if a == 0.0 { 0.0 } else { a * (a / b).ln() };
    let divergence = |rate: f64| term(seen, rate) + term(1.0 - seen, 1.0 - rate);
    let (mut low, mut high) = (seen, 1.0);
    for _ in 0..BISECTIONS {
        let middle = f64::midpoint(low, high);
        if divergence(middle) > budget { high = middle } else { low = middle }
    }
    high
}

/// Halvings of an interval of width 1: beyond f64's resolution of any rate in use.
const BISECTIONS: u32 = 60;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::philox;

    const TAILS: [Tail; 2] = [Tail { cut: 0.0, rate: 0.02 }, Tail { cut: 1.0, rate: 0.001 }];

    fn uniform(run: u32, index: u32) -> f64 {
        f64::from(philox([index, run, 0, 0], [9, 9])[0]) / f64::from(u32::MAX)
    }

    /// One stream where a share `rate` of numbers is 0.5 and the rest 0; where it convicts, if ever.
    fn convicted_at(run: u32, rate: f64, length: u32) -> Option<u32> {
        let mut process = EProcess::new(&TAILS);
        (0..length).find(|&index| {
            process.observe(if uniform(run, index) < rate { 0.5 } else { 0.0 });
            process.log_e() >= 1e3_f64.ln()
        })
    }

    #[test]
    fn an_honest_stream_at_the_very_rate_is_rarely_convicted() {
        let convicted = (0..1000).filter(|&run| convicted_at(run, 0.02, 2000).is_some()).count();
        assert!(convicted <= 3, "{convicted} of 1000 at α = 10⁻³");
    }

    #[test]
    fn a_stream_at_ten_times_the_rate_is_convicted_soon() {
        let mut at: Vec<u32> = (0..100).filter_map(|run| convicted_at(run, 0.2, 500)).collect();
        at.sort_unstable();
        assert!(at.len() == 100 && at[50] < 60, "{} {:?}", at.len(), at.get(50));
    }

    #[test]
    fn no_number_is_evidence_against_the_server() {
        let mut process = EProcess::new(&TAILS);
        process.observe(f64::NAN);
        assert!(process.log_e() > 0.0);
    }

    #[test]
    fn the_upper_rate_covers_what_was_seen() {
        assert!((upper_rate(0, 1000, 0.01) - 0.0046).abs() < 1e-4);
        let some = upper_rate(17, 1000, 0.01);
        assert!(some > 0.017 && some < 0.035, "{some}");
        assert!((upper_rate(0, 0, 0.01) - 1.0).abs() < 1e-12);
        assert!(upper_rate(5, 5, 0.01) > 0.999);
    }
}
