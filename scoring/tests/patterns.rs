//! The scoring path over numbers of any bit pattern: NaN, infinities, subnormals and all.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use chain_metadata::{Hotkey, Uid};
use scoring::pay::Shape;
use scoring::weigh::{Burn, Payee, shares, weigh};

/// Payees of one epoch.
const PAYEES: u64 = 16;

/// `SplitMix64`: every 64-bit pattern comes up.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// A worth of any bits at all, or, three times in four, of any bits that are a worth: otherwise one bad
/// number among sixteen would hide the others.
fn worth(state: &mut u64, wild: bool) -> f64 {
    let bits = next(state);
    let any = f64::from_bits(bits);
    if wild || (any.is_finite() && any >= 0.0) { any } else { f64::from_bits(bits >> 2) }
}

/// Pays `epochs` epochs of random worths; how many ended in shares, in nothing, in a refusal.
fn pay(epochs: u64, seed: u64) -> (u64, u64, u64) {
    let shapes = [
        Shape::Proportional { exponent: 1.0 },
        Shape::Proportional { exponent: 3.7 },
        Shape::TopK { k: 5, ramp: 2.0 },
    ];
    let (mut state, mut counts) = (seed, (0, 0, 0));
    for epoch in 0..epochs {
        let wild = epoch % 4 == 0;
        let payees: Vec<Payee> = (0..PAYEES)
            .map(|n| Payee {
                hotkey: Hotkey::from_bytes([u8::try_from(n).unwrap(); 32]),
                uid: Some(Uid(u16::try_from(n).unwrap() + 1)),
                worth: worth(&mut state, wild),
            })
            .collect();
        let shape = &shapes[usize::try_from(epoch % 3).unwrap()];
        let burn = Burn { always: 0.0, unearned: epoch % 2 == 0 };
        match shares(&payees, shape, burn) {
            Err(_) => counts.2 += 1,
            Ok(None) => counts.1 += 1,
            Ok(Some(paid)) => {
                counts.0 += 1;
                let total: f64 =
                    paid.paid.iter().map(|(_, share)| share).sum::<f64>() + paid.burned;
                assert!((total - 1.0).abs() < 1e-9, "epoch {epoch}: {paid:?}");
                let sound = |share: f64| share.is_finite() && share >= 0.0;
                assert!(
                    paid.paid.iter().all(|(_, share)| sound(*share)),
                    "epoch {epoch}: {paid:?}"
                );
                if let Some(weights) = weigh(&paid, Some(Uid(0))).unwrap() {
                    assert_eq!(weights.values().into_iter().max(), Some(u16::MAX), "epoch {epoch}");
                }
            }
        }
    }
    counts
}

#[test]
fn any_bits_end_in_weights_in_none_or_in_a_refusal() {
    let (paid, _, refused) = pay(20_000, 1);
    assert!(paid > 10_000 && refused > 1_000, "{paid} paid, {refused} refused");
}

#[test]
#[ignore = "10^8 numbers: a minute in release"]
fn a_hundred_million_bit_patterns_end_in_weights_in_none_or_in_a_refusal() {
    pay(100_000_000 / PAYEES, 2);
}
