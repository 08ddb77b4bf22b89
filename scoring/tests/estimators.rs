//! Estimators against an independent oracle (scipy: `oracle/estimators.py`) and against what their
//! error rates promise.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]
#![expect(clippy::cast_precision_loss, reason = "counts of tests fit a double")]

use scoring::copies::shared_errors;
use scoring::estimators::{Beta, EProcess, Estimator, Sequence, Sprt, State, Verdict};
use scoring::evidence::{Evidence, Grade, Margin};
use scoring::hedge::weights;
use scoring::ranking::bradley_terry;
use scoring::robust::weighted_median;
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    beta: Vec<(f64, f64, f64, f64)>,
    sprt: Vec<(f64, f64, f64)>,
    bits: Vec<bool>,
    margins: Vec<f64>,
    wealth: f64,
    scores: Vec<f64>,
    sequence: Vec<(usize, f64, f64)>,
    wins: Vec<Vec<f64>>,
    strengths: Vec<f64>,
    medians: Vec<(Vec<(f64, f64)>, f64)>,
    hedge: Vec<(Vec<f64>, f64, Vec<f64>)>,
    shared: Vec<(u64, u64, f64, f64)>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("oracle/estimators.json")).unwrap()
}

/// What the grid of quantiles allows.
const GRID_ERROR: f64 = 1e-6;

#[test]
fn beta_quantiles_are_scipys() {
    for (a, b, low, high) in golden().beta {
        // The last success comes as evidence, the others as the prior.
        let (prior_passed, prior_failed) = (a - 1.0, b);
        let beta = Beta { prior_passed, prior_failed, confidence: 0.95, memory: 1.0 };
        let estimator = Estimator::Beta(beta);
        let mut state = estimator.start();
        estimator.observe(&mut state, &Evidence::Trials { passed: 1, failed: 0 }, 0).unwrap();
        let estimate = estimator.estimate(&state).unwrap();
        assert!((estimate.low - low).abs() < GRID_ERROR, "Beta({a}, {b}): {}", estimate.low);
        assert!((estimate.high - high).abs() < GRID_ERROR, "Beta({a}, {b}): {}", estimate.high);
    }
}

#[test]
fn the_likelihood_ratio_is_the_oracles() {
    let Golden { sprt, bits, .. } = golden();
    for (honest, cheat, expected) in sprt {
        // Boundaries so far away that no test ends.
        let sprt = Sprt { honest, cheat, alpha: 1e-300, beta: 1e-300, fresh_epochs: 1 };
        let estimator = Estimator::Sprt(sprt);
        let mut state = estimator.start();
        estimator.observe(&mut state, &Evidence::Matches(bits.clone()), 0).unwrap();
        let State::Test(test) = state else { panic!("{state:?}") };
        assert!((test.llr - expected).abs() < 1e-9, "{honest} {cheat}: {}", test.llr);
    }
}

#[test]
fn the_bettors_wealth_is_the_oracles() {
    let Golden { margins, wealth, .. } = golden();
    let estimator = Estimator::EProcess(EProcess { alpha: 0.05 });
    let mut state = estimator.start();
    let margins = margins.into_iter().map(|x| Margin::new(x).unwrap()).collect();
    estimator.observe(&mut state, &Evidence::Margins(margins), 0).unwrap();
    let State::Wealth(account) = state else { panic!("{state:?}") };
    assert!((account.log - wealth).abs() < 1e-12, "{} against {wealth}", account.log);
}

fn interval(scores: &[f64]) -> (f64, f64) {
    let estimator = Estimator::Sequence(Sequence { alpha: 0.05 });
    let mut state = estimator.start();
    for score in scores {
        let score = Evidence::Score(Grade::new(*score).unwrap());
        estimator.observe(&mut state, &score, 0).unwrap();
    }
    let estimate = estimator.estimate(&state).unwrap();
    (estimate.low, estimate.high)
}

#[test]
fn the_confidence_sequence_is_the_oracles() {
    let Golden { scores, sequence, .. } = golden();
    for (count, low, high) in sequence {
        let seen = interval(&scores[..count]);
        assert!((seen.0 - low).abs() < 1e-12 && (seen.1 - high).abs() < 1e-12, "{count}: {seen:?}");
    }
}

#[test]
fn the_confidence_sequence_never_leaves_the_mean_in_nineteen_of_twenty_runs() {
    let strays = (1..=200).filter(|seed| {
        let scores: Vec<_> = bits(*seed, 0.3).take(400).map(|up| f64::from(u8::from(up))).collect();
        (1..=400).step_by(9).any(|count| {
            let (low, high) = interval(&scores[..count]);
            !(low..=high).contains(&0.3)
        })
    });
    // 5 % of 200, plus three sigma.
    assert!(strays.count() <= 19);
}

#[test]
fn strengths_are_the_oracles_maximum() {
    let Golden { wins, strengths, .. } = golden();
    let found = bradley_terry(&wins).unwrap();
    for (found, wanted) in found.iter().zip(strengths) {
        assert!((found / wanted - 1.0).abs() < 1e-6, "{found} against {wanted}");
    }
}

#[test]
fn medians_mixtures_and_shared_errors_are_the_oracles() {
    let Golden { medians, hedge, shared, .. } = golden();
    for (values, wanted) in medians {
        assert_eq!(weighted_median(&values).map(f64::to_bits), Some(wanted.to_bits()));
    }
    for (losses, rate, wanted) in hedge {
        let close = |(a, b): (f64, &f64)| (a - b).abs() < 1e-12;
        assert!(weights(&losses, rate).into_iter().zip(&wanted).all(close), "{losses:?}");
    }
    for (wrong, same, chance, wanted) in shared {
        let tail = shared_errors(wrong, same, chance).unwrap();
        assert!((tail - wanted).abs() < GRID_ERROR, "{wrong} {same}: {tail}");
    }
}

/// A seeded stream of bits that are true at `rate`.
fn bits(seed: u64, rate: f64) -> impl Iterator<Item = bool> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ((state >> 11) as f64) < rate * 9_007_199_254_740_992.0
    })
}

/// Tokens until the first verdict.
fn until_verdict(sprt: Sprt, seed: u64, rate: f64) -> (Verdict, usize) {
    let estimator = Estimator::Sprt(sprt);
    let mut state = estimator.start();
    for (tokens, matched) in (1..).zip(bits(seed, rate)) {
        estimator.observe(&mut state, &Evidence::Matches(vec![matched]), 0).unwrap();
        let verdict = estimator.verdict(&state, 0);
        if verdict != Verdict::NoEvidence {
            return (verdict, tokens);
        }
    }
    unreachable!("the stream is endless")
}

const SERVE: Sprt =
    Sprt { honest: 0.999_999, cheat: 0.975, alpha: 1e-8, beta: 1e-2, fresh_epochs: 20 };

#[test]
fn four_bits_are_convicted_within_the_tokens_that_wald_predicts() {
    let tokens: Vec<_> = (0..400).map(|seed| until_verdict(SERVE, seed, 0.731)).collect();
    assert!(tokens.iter().all(|(verdict, _)| *verdict == Verdict::Fail));
    let mean = tokens.iter().map(|(_, tokens)| *tokens as f64).sum::<f64>() / 400.0;
    let predicted = SERVE.expected_tokens(0.731);
    // The last step overshoots the boundary by at most one miss.
    assert!(mean > predicted * 0.9 && mean < predicted * 1.5, "{mean} against {predicted}");
}

#[test]
fn an_engine_that_always_matches_passes_at_token_182() {
    assert_eq!(until_verdict(SERVE, 1, 1.0), (Verdict::Pass, 182));
}

#[test]
fn the_honest_are_never_convicted_in_a_million_tokens() {
    let estimator = Estimator::Sprt(SERVE);
    let mut state = estimator.start();
    let matches: Vec<_> = bits(3, SERVE.honest).take(1_000_000).collect();
    estimator.observe(&mut state, &Evidence::Matches(matches), 0).unwrap();
    assert_eq!(estimator.verdict(&state, 0), Verdict::Pass);
}

#[test]
fn a_fair_game_is_hardly_ever_taken_for_a_favourable_one() {
    let process = EProcess { alpha: 0.05 };
    let accepted = (0..400).filter(|seed| {
        let estimator = Estimator::EProcess(process);
        let mut state = estimator.start();
        let fair = bits(*seed, 0.5).take(1_000);
        let margins = fair.map(|up| Margin::new(if up { 0.5 } else { -0.5 }).unwrap()).collect();
        estimator.observe(&mut state, &Evidence::Margins(margins), 0).unwrap();
        estimator.verdict(&state, 0) == Verdict::Pass
    });
    // Ville: at most 5 % of 400, plus three sigma.
    assert!(accepted.count() <= 33);
}

#[test]
fn any_bits_through_the_pay_path_give_weights_or_a_named_refusal() {
    use chain_metadata::{Hotkey, Uid};
    use scoring::pay::Shape;
    use scoring::weigh::{Burn, Payee, shares, weigh};
    let burn = Burn { always: 0.1, unearned: false };
    let mut words = (1_u64..).map(|n| {
        let mixed = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
    });
    for _ in 0..50_000 {
        let payees: Vec<_> = (1..=4_u16)
            .map(|uid| Payee {
                hotkey: Hotkey::from_bytes([0; 32]),
                uid: Some(Uid(uid)),
                worth: f64::from_bits(words.next().unwrap() >> (uid % 3)),
            })
            .collect();
        let valid = payees.iter().all(|payee| payee.worth.is_finite() && payee.worth >= 0.0);
        match shares(&payees, &Shape::Proportional { exponent: 1.5 }, burn) {
            Ok(Some(shares)) => {
                let total: f64 =
                    shares.paid.iter().map(|(_, share)| share).sum::<f64>() + shares.burned;
                assert!(valid && (total - 1.0).abs() < 1e-9, "{payees:?}");
                assert!(weigh(&shares, Some(Uid(0))).unwrap().is_some());
            }
            Ok(None) => assert!(payees.iter().all(|payee| payee.worth == 0.0), "{payees:?}"),
            Err(_) => assert!(!valid, "{payees:?}"),
        }
    }
}
