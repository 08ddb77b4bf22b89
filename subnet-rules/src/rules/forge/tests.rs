use std::collections::BTreeSet;

use super::world::Forging;
use super::*;
use crate::arena::{Hyperparameters, Report, Settings, rehearse};
use crate::package::Package;
use crate::secret::TaskKey;

fn rule() -> Forge {
    Forge::new(Package::find("forge").unwrap().manifest).unwrap()
}

fn season(cast: &str, epochs: u64) -> Report {
    let (rule, seed) = (Arc::new(rule()), 3);
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
    assert!(["lazy", "copier"].into_iter().all(|kind| convicted(kind) == 1));
    // It opens what luck asks for, and hides the rest: not convicted, and not paid.
    assert!(share("forger") <= 0.01, "{}", share("forger"));
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

/// What one miner's roots and openings of a seed's task are measured as.
fn measured(change: impl FnOnce(&mut Vec<Vec<i32>>, &mut Roots)) -> Vec<bool> {
    let (rule, key, miner) = (rule(), TaskKey::from_seed(2), Hotkey::from_bytes([1; 32]));
    let draw = rule.draw(&mut key.draw(), &Subject::Miner(miner), &());
    let asked = Asked { draw: &draw, miner, task: Digest([7; 32]), key };
    let mut products = work::chain(&draw.public.key, draw.public.size, draw.public.depth);
    let mut roots = answer::roots(&products);
    change(&mut products, &mut roots);
    let commit = Message::of(&roots, 1);
    let steps = rule.to_open(&asked, &commit.body);
    let opening = Message::of(&answer::open(&products, &steps), 2);
    rule.examine(&asked, &roots, &commit, &opening)
}

#[test]
fn work_that_was_done_is_right_in_every_step() {
    assert_eq!(measured(|_, _| ()), [true, true]);
}

#[test]
fn a_product_of_noughts_makes_no_later_step_free() {
    let nothing = measured(|products, roots| {
        for product in products.iter_mut() {
            product.fill(0);
        }
        *roots = answer::roots(products);
    });
    assert_eq!(nothing, [false, false]);
}

#[test]
fn an_opening_that_is_not_the_committed_product_is_wrong() {
    assert_eq!(measured(|_, roots| roots.roots.fill(Digest([0; 32]))), [false, false]);
    assert_eq!(measured(|products, _| products.clear()), [false, false]);
}

#[test]
fn the_steps_to_open_are_not_known_before_the_roots_nor_without_the_key() {
    let (rule, miner) = (rule(), Hotkey::from_bytes([1; 32]));
    let draw = rule.draw(&mut Prf::from_seed(2), &Subject::Miner(miner), &());
    let chosen = |seed: u64, roots: u8| {
        let (task, key) = (Digest([7; 32]), TaskKey::from_seed(seed));
        rule.to_open(&Asked { draw: &draw, miner, task, key }, &[roots])
    };
    let by_roots: BTreeSet<_> = (0..40).map(|roots| chosen(1, roots)).collect();
    let by_key: BTreeSet<_> = (0..40).map(|seed| chosen(seed, 1)).collect();
    assert!(by_roots.len() > 6 && by_key.len() > 6, "{by_roots:?} {by_key:?}");
}
