//! The pool against what the chain's own pool did.

use scoring::swap::case::{Asked, Outcome};
use scoring::swap::{Pool, QuoteWeight, Side, SwapError, limit_of};
use serde::Deserialize;

#[derive(Deserialize)]
struct Recorded {
    #[serde(flatten)]
    asked: Asked,
    price_u64f64_bits: String,
    buy_alpha_with_tao: Outcome,
    sell_alpha_for_tao: Outcome,
}

#[derive(Deserialize)]
struct File {
    cases: Vec<Recorded>,
}

const TAO: u64 = 1_000_000_000;

fn pool(tao: u64, alpha: u64) -> Pool {
    Pool { tao, alpha, quote_weight: QuoteWeight::HALF }
}

#[test]
fn every_recorded_swap_matches_the_chain() {
    let file: File = serde_json::from_str(include_str!("../testdata/swap.json")).unwrap();
    assert_eq!(file.cases.len(), 24);
    for case in file.cases {
        let answer = case.asked.answer().unwrap();
        assert_eq!(answer.price_u64f64_bits, case.price_u64f64_bits);
        assert_eq!(answer.buy_alpha_with_tao, case.buy_alpha_with_tao);
        assert_eq!(answer.sell_alpha_for_tao, case.sell_alpha_for_tao);
    }
}

#[test]
fn an_injection_keeps_the_price() {
    let before = pool(1_000 * TAO, 3_000 * TAO);
    let after = before.injected(TAO, 0).unwrap();
    let drift = before.price().to_bits().abs_diff(after.price().to_bits());
    assert!(drift < 1 << 8, "price moved by {drift} of 2^64");
    assert_ne!(after.quote_weight, before.quote_weight);
}

#[test]
fn an_injection_that_would_leave_the_bounds_is_refused() {
    assert_eq!(pool(TAO, TAO).injected(1_000 * TAO, 0), None);
}

#[test]
fn a_buy_stops_at_its_limit() {
    let mut pool = pool(1_000 * TAO, 1_000 * TAO);
    let limit = limit_of(1_210_000_000);
    let swapped = pool.swap(Side::Buy, 900 * TAO, 0, limit).unwrap();
    assert_eq!(swapped.paid_in, 100 * TAO - 1, "sqrt(1.21) - 1 of the reserve, truncated");
    assert!(limit.to_bits().abs_diff(pool.price().to_bits()) < 1 << 40);
}

#[test]
fn a_sale_stops_at_its_limit_and_pays_its_fee_on_top() {
    let pool = pool(1_000 * TAO, 1_000 * TAO);
    let swapped = pool.quote_within(Side::Sell, 900 * TAO, 33, limit_of(640_000_000)).unwrap();
    assert_eq!(swapped.paid_in, 250 * TAO);
    assert_eq!(swapped.fee, 125_950_352, "33/65502 of the input, truncated");
}

#[test]
fn swaps_are_refused_by_the_chains_names() {
    let deep = pool(1_000 * TAO, 1_000 * TAO);
    let beyond = deep.quote_within(Side::Buy, TAO, 0, limit_of(TAO)).unwrap_err();
    assert!(matches!(beyond, SwapError::PriceLimitExceeded { .. }));
    let huge = deep.quote(Side::Sell, u64::MAX, 0).unwrap_err();
    assert_eq!(huge.name(), "SwapInputTooLarge");
    let dry = pool(1_000 * TAO, 999_999).quote(Side::Buy, TAO, 0).unwrap_err();
    assert_eq!(dry, SwapError::ReservesTooLow { reserve: 999_999 });
}
