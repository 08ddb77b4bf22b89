//! Single functions against recorded tables.

use scoring::emission::prune::{Candidate, is_immune, to_prune};
use scoring::emission::share::{BarRule, Gate, Subnet, demand, tao_shares};
use scoring::emission::{burn, mechanisms};
use scoring::fixed::{I96F32, U64F64, U96F32};
use scoring::yuma::EpochOutput;
use serde::Deserialize;

#[derive(Deserialize)]
struct File<C> {
    cases: Vec<C>,
}

#[derive(Deserialize)]
struct Split {
    alpha: u64,
    mechanism_count: u8,
    #[serde(rename = "emission_split")]
    parts: Option<Vec<u16>>,
    #[serde(rename = "split")]
    amounts: Vec<u64>,
}

#[derive(Deserialize)]
struct Prune {
    n: usize,
    current_block: u64,
    immunity_period: u64,
    min_non_immune_uids: u16,
    owner_uid: Option<u16>,
    block_at_registration: Vec<u64>,
    emission: Vec<u64>,
    is_immune: Vec<bool>,
    pruned_uid: Option<u16>,
}

#[derive(Deserialize)]
struct BurnDecay {
    half_life: u16,
    decay_factor_q32: u64,
    mul_1e9: u64,
}

const UNBOUNDED: burn::Bounds = burn::Bounds { min: 0, max: u64::MAX };

fn cases<C: for<'de> Deserialize<'de>>(json: &str) -> Vec<C> {
    serde_json::from_str::<File<C>>(json).unwrap().cases
}

#[test]
fn emission_is_split_over_mechanisms_as_on_the_chain() {
    for case in cases::<Split>(include_str!("../../testdata/mechanisms.json")) {
        let split = mechanisms::split(case.alpha, case.mechanism_count, case.parts.as_deref());
        assert_eq!(split, case.amounts);
    }
}

#[test]
fn the_same_uid_makes_room_as_on_the_chain() {
    for case in cases::<Prune>(include_str!("../../testdata/prune.json")) {
        let candidate = |uid: usize| Candidate {
            emission: case.emission[uid],
            block_at_registration: case.block_at_registration[uid],
            immortal: case.owner_uid.map(usize::from) == Some(uid),
        };
        let candidates: Vec<Candidate> = (0..case.n).map(candidate).collect();
        let immune =
            |registered: &u64| is_immune(*registered, case.current_block, case.immunity_period);
        let pruned = to_prune(
            &candidates,
            case.current_block,
            case.immunity_period,
            case.min_non_immune_uids,
        );
        assert_eq!(
            case.block_at_registration.iter().map(immune).collect::<Vec<_>>(),
            case.is_immune
        );
        assert_eq!(pruned, case.pruned_uid);
    }
}

#[test]
fn the_registration_price_decays_as_on_the_chain() {
    #[derive(Deserialize)]
    struct Math {
        burn_decay: Vec<BurnDecay>,
    }
    let math: Math =
        serde_json::from_str(include_str!("../../testdata/weights_math.json")).unwrap();
    for case in math.burn_decay {
        let factor = burn::decay_factor(case.half_life);
        assert_eq!(factor, case.decay_factor_q32, "half life {}", case.half_life);
        assert_eq!(burn::decayed(1_000_000_000, factor, UNBOUNDED), case.mul_1e9);
    }
}

#[test]
fn a_price_that_does_not_decay_stays() {
    assert_eq!(burn::decayed(123, burn::decay_factor(0), UNBOUNDED), 123);
}

fn subnet(price: f64, burned: f64) -> Subnet {
    let (moving_price, miner_burned) = (I96F32::from_num(price), U96F32::from_num(burned));
    Subnet { moving_price, miner_burned, enabled: true }
}

fn close(share: U64F64, to: f64) -> bool {
    (share.to_num::<f64>() - to).abs() < 1e-6
}

#[test]
fn burned_incentive_lowers_a_subnets_share() {
    let shares = tao_shares(&[subnet(0.1, 0.5), subnet(0.1, 0.0)], None);
    assert!(close(shares[0], 1.0 / 3.0) && close(shares[1], 2.0 / 3.0), "{shares:?}");
}

#[test]
fn where_everything_is_burned_the_price_decides() {
    let shares = tao_shares(&[subnet(0.1, 1.0), subnet(0.3, 1.0)], None);
    assert!(close(shares[0], 0.25) && close(shares[1], 0.75), "{shares:?}");
}

#[test]
fn a_disabled_subnets_share_goes_to_the_others() {
    let off = Subnet { enabled: false, ..subnet(0.5, 0.0) };
    let shares = tao_shares(&[off, subnet(0.1, 0.0), subnet(0.1, 0.0)], None);
    assert!(shares[0] == 0 && close(shares[1], 0.5), "{shares:?}");
}

#[test]
fn the_gate_halves_a_subnet_at_the_bar_and_starves_one_below() {
    let subnets = [subnet(0.4, 0.0), subnet(0.2, 0.0), subnet(0.05, 0.0)];
    let bar = BarRule::Rank(2).bar(&demand(&subnets));
    let gate = Gate { bar, exponent: U64F64::from_num(3) };
    let shares = tao_shares(&subnets, Some(&gate));
    // Weights 0.4 × 8/9, 0.2 × 1/2 and 0.05 × 1/65.
    let total = 0.4 * 8.0 / 9.0 + 0.1 + 0.05 / 65.0;
    assert!(close(shares[1], 0.1 / total) && close(shares[2], 0.05 / 65.0 / total), "{shares:?}");
}

#[test]
fn the_bar_falls_to_the_smallest_where_ranks_run_out() {
    let shares = [U64F64::from_num(0.75), U64F64::from_num(0.25), U64F64::from_num(0)];
    assert_eq!(BarRule::Rank(32).bar(&shares), shares[1]);
    assert_eq!(BarRule::Quantile(U64F64::from_num(0.61)).bar(&shares), shares[0]);
    assert_eq!(BarRule::Rank(1).bar(&[]), U64F64::from_num(0));
}

#[test]
fn mechanisms_are_combined_by_what_they_divided() {
    let output = |incentive: u16, emission: u64, active: bool| EpochOutput {
        incentive: vec![incentive],
        emission: vec![emission],
        active: vec![active],
        ..EpochOutput::default()
    };
    let parts = vec![(output(40_000, 7, false), 75), (output(20_000, 5, true), 25)];
    let combined = mechanisms::combine(parts).unwrap();
    assert_eq!(combined.incentive, [35_000]);
    assert_eq!(combined.emission, [12]);
    assert_eq!(combined.active, [true]);
    let idle = mechanisms::combine(vec![(output(9, 0, true), 0), (output(5, 0, true), 0)]).unwrap();
    assert_eq!(idle.incentive, [9], "with nothing to divide the first counts whole");
}
