use std::collections::BTreeSet;

use super::*;
use crate::arena::worlds::forging::Forging;
use crate::arena::{Hyperparameters, Report, Settings, rehearse};
use crate::package::Package;

fn rule() -> Forge {
    Forge::new(Package::find("forge").unwrap().manifest).unwrap()
}

fn season(cast: &str, epochs: u64) -> Report {
    let (rule, seed) = (rule(), 3);
    let settings = Settings {
        epochs,
        cast: cast.parse().unwrap(),
        validators: 2,
        seed,
        chain: Hyperparameters::default(),
        panel: None,
    };
    rehearse(&rule, |seed| Forging::new(&rule, seed), &settings).unwrap()
}

#[test]
fn half_the_device_earns_half_and_three_identities_on_one_earn_one() {
    let report = season("honest:2,substitute:1,sybil:1x3,lazy:1,copier:1,forger:1,poison:1", 40);
    assert!(report.holds(), "{report:#?}");
    let share = |kind| report.actors.iter().find(|actor| actor.kind == kind).unwrap().share;
    let whole = share("honest") / 2.0;
    let (half, split) = (share("substitute") / whole, share("sybil") / whole);
    assert!((half - 0.5).abs() <= 0.05 && split <= 1.05, "{half} {split}");
    let convicted = |kind| report.actors.iter().find(|actor| actor.kind == kind).unwrap().convicted;
    assert!(["lazy", "copier", "forger"].into_iter().all(|kind| convicted(kind) == 1));
}

/// Rank over the integers modulo a prime.
fn rank(size: usize, entries: &[i8]) -> usize {
    const PRIME: i64 = 65_521;
    let mut rows: Vec<Vec<i64>> = entries
        .chunks_exact(size)
        .map(|row| row.iter().map(|entry| i64::from(*entry).rem_euclid(PRIME)).collect())
        .collect();
    let power = |base: i64, mut exponent: i64| {
        let (mut base, mut result) = (base, 1);
        while exponent > 0 {
            if exponent % 2 == 1 {
                result = result * base % PRIME;
            }
            base = base * base % PRIME;
            exponent /= 2;
        }
        result
    };
    let mut rank = 0;
    for column in 0..size {
        let Some(pivot) = (rank..size).find(|row| rows[*row][column] != 0) else { continue };
        rows.swap(rank, pivot);
        let inverse = power(rows[rank][column], PRIME - 2);
        let lead = rows[rank].clone();
        for row in &mut rows[rank + 1..] {
            let factor = row[column] * inverse % PRIME;
            row.iter_mut().zip(&lead).for_each(|(entry, lead)| {
                *entry = (*entry - factor * lead).rem_euclid(PRIME);
            });
        }
        rank += 1;
    }
    rank
}

#[test]
fn challenge_matrix_has_full_rank_structure() {
    let size = 48;
    let full = work::matrix(&Digest([5; 32]), 1, size);
    assert_eq!(rank(size, &full), size);
    // What is left of the matrix after taking away itself, shifted along the diagonal: a Hankel or
    // Toeplitz matrix leaves rank 2, and a product with it costs n² steps.
    for (down, right) in [(1, size - 1), (1, 1)] {
        let shifted =
            |row: usize, column: usize| full[(row + down) % size * size + (column + right) % size];
        let displaced: Vec<i8> = (0..size * size)
            .map(|at| full[at].wrapping_sub(shifted(at / size, at % size)))
            .collect();
        assert!(rank(size, &displaced) >= size - 1);
    }
}

#[test]
fn a_product_of_noughts_makes_no_later_step_free() {
    let (rule, entries) = (rule(), rule().params().size.pow(2));
    let draw = rule.draw(&mut Prf::from_seed(5), &Subject::Shared(Vec::new()), &());
    let nothing = vec![0; entries];
    let roots = vec![work::root(&nothing); draw.public.depth];
    let opening = Opening { before: nothing.clone(), product: nothing };
    assert_eq!(rule.examine(&draw, &roots, &vec![opening; 2]), [false, false]);
}

#[test]
fn one_changed_entry_is_caught() {
    let (rule, key) = (rule(), Digest([1; 32]));
    let size = rule.params().size;
    let products = work::chain(&key, size, 1);
    let (a, x) = (work::matrix(&key, 1, size), work::matrix(&key, 0, size));
    let mut prf = Prf::from_seed(1);
    assert!(work::checks(size, &a, &x, &products[0], &mut prf));
    let caught = (0..200).filter(|trial| {
        let mut changed = products[0].clone();
        changed[trial % (size * size)] += 1;
        !work::checks(size, &a, &x, &changed, &mut prf)
    });
    // Each passes with probability 2^-15.
    assert!(caught.count() >= 199);
}

#[test]
fn an_opening_that_is_not_the_committed_product_is_wrong() {
    let rule = rule();
    let draw = rule.draw(&mut Prf::from_seed(2), &Subject::Shared(Vec::new()), &());
    let products = work::chain(&draw.public.key, draw.public.size, draw.public.depth);
    let mut roots: Vec<_> = products.iter().map(|product| work::root(product)).collect();
    let open = |step: usize| Opening {
        before: if step == 1 { Vec::new() } else { products[step - 2].clone() },
        product: products[step - 1].clone(),
    };
    let openings = |roots: &[Digest]| -> Vec<_> {
        rule.to_open(draw.secret, roots).into_iter().map(open).collect()
    };
    assert_eq!(rule.examine(&draw, &roots, &openings(&roots)), [true, true]);
    assert_eq!(rule.examine(&draw, &roots, &[]), [false, false]);
    roots.fill(Digest([0; 32]));
    assert_eq!(rule.examine(&draw, &roots, &openings(&roots)), [false, false]);
}

#[test]
fn the_steps_to_open_are_not_known_before_the_roots() {
    let (rule, secret) = (rule(), Secret(Digest([4; 32])));
    let chosen: BTreeSet<_> =
        (0..40).map(|n| rule.to_open(secret, &[Digest([n; 32]); 4])).collect();
    assert!(chosen.len() > 6, "{chosen:?}");
}
