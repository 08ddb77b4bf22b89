//! One recorded subnet, block by block: pool, pots, prices, epochs, stakes.

use scoring::emission::dividends::{Earner, Family, Holding, Parent, Takes, divide, take};
use scoring::emission::pool::{PriceClock, injection, moving_price, root_proportion, tao_weight};
use scoring::emission::pots::{self, Pots};
use scoring::emission::share::{Subnet, tao_of, tao_shares};
use scoring::emission::{block_emission, burn, mintable};
use scoring::fixed::{I96F32, U64F64, U96F32};
use scoring::swap::{MAX_PRICE_RAO, Pool, QuoteWeight, Side, limit_of};
use scoring::variants::Rules;
use scoring::yuma::{EpochInput, EpochOutput, EpochParams, NeuronInput, epoch, total_stake};
use serde::Deserialize;

#[derive(Deserialize)]
struct Coinbase {
    block_emission_for_issuance: Vec<(u64, u64)>,
    calls: Vec<Call>,
    per_block: Vec<Block>,
    registrations: Vec<Registration>,
    stakes: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct Call {
    call: String,
    stake: Option<u64>,
}

#[derive(Deserialize)]
struct Block {
    s: State,
}

#[derive(Deserialize, Clone)]
struct State {
    block: u64,
    alpha_in: u64,
    alpha_out: u64,
    alpha_issuance: u64,
    subnet_tao: u64,
    price_u64f64_bits: String,
    quote_weight_perquintill: u64,
    moving_price: String,
    root_prop: String,
    burn: u64,
    emission_enabled: bool,
    excess_tao: u64,
    total_issuance: u64,
    pending_owner_cut: u64,
    pending_server: u64,
    pending_validator: u64,
    pending_root: u64,
    last_epoch_block: u64,
    #[serde(rename = "EPOCH")]
    epoch: Option<Epoch>,
}

#[derive(Deserialize, Clone)]
struct Epoch {
    bonds: Vec<Vec<(u16, u16)>>,
    consensus: Vec<u16>,
    dividends: Vec<u16>,
    emission: Vec<u64>,
    incentive: Vec<u16>,
    permit: Vec<bool>,
    stakes: Vec<Stake>,
    vtrust: Vec<u16>,
}

#[derive(Deserialize, Clone)]
struct Stake {
    hotkey_alpha: u64,
}

#[derive(Deserialize)]
struct Registration {
    block: u64,
    burn_before: u64,
    burn_after: u64,
    subnet_tao_before: u64,
    subnet_tao_after: u64,
}

/// The recorded subnet's settings: the chain's defaults, but a tempo of 20.
const OWNER_CUT: u16 = 11_796;
const HALF_LIFE: u16 = 360;
const BOUNDS: burn::Bounds = burn::Bounds { min: 500_000, max: 100_000_000_000 };
const FEE_RATE: u16 = 33;
const TEMPO: u16 = 20;
const TAO_WEIGHT: u64 = 971_718_665_099_567_868;
const DELEGATE_TAKE: u16 = 11_796;
const CHILDKEY_TAKE: u16 = 6_553;
/// `SubnetMovingAlpha` is 3 × 10⁻⁶; emission began in the block after 12, where the recording starts.
const CLOCK: PriceClock = PriceClock {
    alpha: I96F32::from_bits(12_885),
    halving_blocks: 201_600,
    first_emission_block: 13,
};

fn recorded() -> Coinbase {
    serde_json::from_str(include_str!("../../testdata/coinbase.json")).unwrap()
}

fn pool(state: &State) -> Pool {
    Pool {
        tao: state.subnet_tao,
        alpha: state.alpha_in,
        quote_weight: QuoteWeight::new(state.quote_weight_perquintill).unwrap(),
    }
}

fn pots(state: &State) -> Pots {
    Pots {
        owner: state.pending_owner_cut,
        server: state.pending_server,
        validator: state.pending_validator,
        root: state.pending_root,
    }
}

/// What a block does to the numbers that only the block changes.
struct Step {
    pool: Pool,
    alpha_out: u64,
    issuance: u64,
    pots: Pots,
    price: I96F32,
}

impl Step {
    fn from(before: &State, pool: Pool, alpha_out: u64, old_price: I96F32, enabled: bool) -> Self {
        let root = root_proportion(0, tao_weight(TAO_WEIGHT), before.alpha_issuance);
        let minted = block_emission(before.alpha_issuance);
        let subnet = Subnet { moving_price: old_price, miner_burned: U96F32::from_num(0), enabled };
        let tao = tao_of(tao_shares(&[subnet], None)[0], mintable(before.total_issuance));
        let entering = injection(tao, pool.price(), minted, root);
        let mut step = Self {
            pool,
            alpha_out: alpha_out + minted,
            issuance: before.total_issuance,
            pots: pots(before).plus(pots::split(minted, Some(OWNER_CUT), root)),
            price: old_price,
        };
        let excess: u64 = entering.excess_tao.to_num();
        if excess > 0 {
            let bought = step.pool.swap(Side::Buy, excess, 0, limit_of(MAX_PRICE_RAO)).unwrap();
            step.alpha_out += bought.paid_out;
        }
        let (tao_in, alpha_in) = (entering.tao_in.to_num(), entering.alpha_in.to_num());
        step.pool = step.pool.injected(tao_in, alpha_in).unwrap();
        step.issuance += excess + tao_in;
        step.price = moving_price(old_price, step.pool.price(), CLOCK, before.block + 1);
        step
    }
}

#[test]
fn block_emission_halves_with_issuance_as_on_the_chain() {
    for (issuance, emission) in recorded().block_emission_for_issuance {
        assert_eq!(block_emission(issuance), emission, "at {issuance} rao");
    }
    assert_eq!(block_emission(u64::MAX), 0);
}

#[test]
fn every_block_moves_pool_pots_and_prices_as_on_the_chain() {
    let recorded = recorded();
    let decay = burn::decay_factor(HALF_LIFE);
    let mut price = I96F32::from_num(0);
    let mut checked = 0;
    for pair in recorded.per_block.windows(2) {
        let (before, after) = (&pair[0].s, &pair[1].s);
        let (mut pool, mut alpha_out) = (pool(before), before.alpha_out);
        if after.block == 16 {
            // Three stakes were added in block 15, after its emission.
            for amount in [50_000_000_000, 100_000_000_000, 30_000_000_000] {
                let limit = limit_of(MAX_PRICE_RAO);
                alpha_out += pool.swap(Side::Buy, amount, FEE_RATE, limit).unwrap().paid_out;
            }
        }
        let step = Step::from(before, pool, alpha_out, price, after.emission_enabled);
        price = step.price;
        let block = after.block;
        assert_eq!(step.pool, self::pool(after), "pool of block {block}");
        assert_eq!(step.pool.price().to_bits().to_string(), after.price_u64f64_bits);
        assert_eq!(step.alpha_out, after.alpha_out, "alpha out of block {block}");
        assert_eq!(step.pool.alpha + step.alpha_out, after.alpha_issuance);
        assert_eq!(step.issuance, after.total_issuance, "issuance of block {block}");
        assert_eq!(step.price.to_string(), after.moving_price, "moving price of block {block}");
        assert_eq!(after.root_prop, "0");
        assert_eq!(burn::decayed(before.burn, decay, BOUNDS), after.burn, "burn of block {block}");
        let drained = after.last_epoch_block == block;
        let left = if drained { Pots::default() } else { step.pots };
        assert_eq!(left, pots(after), "pots of block {block}");
        let excess = step.issuance - before.total_issuance;
        assert!(after.excess_tao == excess, "excess of block {block}");
        checked += 1;
    }
    assert_eq!(checked, 69);
}

#[test]
fn stakes_bought_what_the_chain_says() {
    let recorded = recorded();
    let mut pool = pool(&recorded.per_block[3].s);
    let stakes = recorded.calls.iter().filter(|call| call.call.starts_with("add_stake"));
    for call in stakes {
        let amount = call.call.split(' ').next_back().unwrap().parse().unwrap();
        let swapped = pool.swap(Side::Buy, amount, FEE_RATE, limit_of(MAX_PRICE_RAO)).unwrap();
        assert_eq!(Some(swapped.paid_out), call.stake);
    }
}

#[test]
fn registrations_raise_the_price_and_pay_the_pool_as_on_the_chain() {
    let recorded = recorded();
    let multiplier = U64F64::from_num(1.26);
    for registration in &recorded.registrations {
        let raised = burn::raised(registration.burn_before, multiplier, BOUNDS);
        assert_eq!(raised, registration.burn_after);
        let fee = scoring::swap::fee_of(registration.burn_before, FEE_RATE);
        let paid = registration.subnet_tao_after - registration.subnet_tao_before;
        assert_eq!(registration.burn_before - fee, paid, "block {}", registration.block);
    }
    assert_eq!(recorded.registrations.len(), 7);
}

/// The subnet's neurons between epochs.
struct Subnetwork {
    stakes: Vec<u64>,
    permits: Vec<bool>,
    bonds: Vec<Vec<(u16, u16)>>,
    last_step: u64,
}

/// Uid 1 lends half of its stake to uid 2.
const LENT: u64 = u64::MAX / 2;

impl Subnetwork {
    fn families(&self) -> Vec<Family> {
        let holding = |uid: usize| Holding { alpha: self.stakes[uid], root: 0 };
        let mut families: Vec<Family> = (0..self.stakes.len())
            .map(|uid| Family { own: holding(uid), ..Family::default() })
            .collect();
        families[1].lent = vec![LENT];
        families[2].parents =
            vec![Parent { proportion: LENT, holding: holding(1), same_owner: false }];
        families
    }

    fn input(&self, block: u64, emission: u64) -> EpochInput {
        let registered = [10, 10, 10, 10, 10, 12, 12, 12];
        let neuron = |(uid, family): (usize, &Family)| NeuronInput {
            stake: total_stake(family.inherited().alpha, 0, TAO_WEIGHT),
            last_update: if uid < 3 { 15 } else { registered[uid] },
            block_at_registration: registered[uid],
            validator_permit: self.permits[uid],
            earliest_commit: None,
            weights: if uid < 3 { vec![(3, 65_535), (4, 32_768), (5, 16_384)] } else { vec![] },
            bonds: self.bonds[uid].clone(),
        };
        EpochInput {
            block,
            tempo: TEMPO,
            last_step_block: self.last_step,
            emission,
            params: EpochParams {
                activity_cutoff: 5_000,
                owner_uid: Some(0),
                stake_threshold: 0,
                max_allowed_validators: 64,
                kappa: 32_767,
                bonds_moving_average: 900_000,
                bonds_penalty: u16::MAX,
                yuma3: true,
                liquid_alpha: None,
                commit_reveal: false,
                consensus: scoring::yuma::ConsensusKind::Yuma,
            },
            neurons: self.families().iter().enumerate().map(neuron).collect(),
            previous_consensus: vec![],
        }
    }

    /// Pays an epoch: owner, miners, then validators through their families.
    fn pay(&mut self, output: &EpochOutput, pots: Pots) {
        let weight = tao_weight(TAO_WEIGHT);
        let takes = Takes { child: CHILDKEY_TAKE, recycled: 0 };
        let families = self.families();
        let mut earned = vec![0_u64; families.len()];
        for (uid, family) in families.iter().enumerate() {
            let shared = family.share(output.validator_emission[uid], weight, takes);
            earned[uid] += shared.own;
            shared.parents.iter().for_each(|paid| earned[1] += paid);
        }
        let earners: Vec<Earner> = earned
            .iter()
            .zip(&families)
            .map(|(rao, family)| Earner { dividend: U96F32::from_num(*rao), holding: family.own })
            .collect();
        let paid_to_miners = output.server_emission.iter().sum();
        let paid = divide(pots.validators_after(paid_to_miners), pots.root, weight, &earners);
        self.stakes[0] += pots.owner;
        for ((stake, paid), incentive) in
            self.stakes.iter_mut().zip(paid).zip(&output.server_emission)
        {
            let (taken, rest) = take(paid.alpha, DELEGATE_TAKE);
            *stake += incentive + taken + rest;
        }
    }
}

#[test]
fn every_epoch_pays_every_stake_as_on_the_chain() {
    let recorded = recorded();
    let stakes = recorded.stakes[0]["before"].as_array().unwrap();
    let mut subnet = Subnetwork {
        stakes: stakes.iter().map(|stake| stake["hotkey_alpha"].as_u64().unwrap()).collect(),
        permits: vec![true, true, true, false, false, false, false, false],
        bonds: vec![vec![]; 8],
        last_step: 0,
    };
    let mut epochs = 0;
    for pair in recorded.per_block.windows(2) {
        let (before, after) = (&pair[0].s, &pair[1].s);
        let Some(theirs) = &after.epoch else { continue };
        let pots =
            pots(before).plus(pots::split(1_000_000_000, Some(OWNER_CUT), U96F32::from_num(0)));
        let input = subnet.input(after.block, pots.divided());
        let ours = epoch(&input, &Rules::SPEC_425).unwrap();
        assert_eq!(ours.consensus, theirs.consensus);
        assert_eq!(ours.incentive, theirs.incentive);
        assert_eq!(ours.dividends, theirs.dividends);
        assert_eq!(ours.validator_trust, theirs.vtrust);
        assert_eq!(ours.emission, theirs.emission);
        assert_eq!(ours.validator_permit, theirs.permit);
        assert_eq!(ours.bonds[..3], theirs.bonds);
        subnet.pay(&ours, pots);
        let paid: Vec<u64> = theirs.stakes.iter().map(|stake| stake.hotkey_alpha).collect();
        assert_eq!(subnet.stakes, paid, "epoch of block {}", after.block);
        subnet.permits.clone_from(&ours.validator_permit);
        subnet.bonds.clone_from(&ours.bonds);
        subnet.last_step = after.block;
        epochs += 1;
    }
    assert_eq!(epochs, 3);
}

#[test]
fn a_family_inherits_and_shares_as_on_the_chain() {
    let recorded = recorded();
    let last = &recorded.stakes[1];
    let numbers = |list: &serde_json::Value| -> Vec<u64> {
        list.as_array().unwrap().iter().map(|number| number.as_u64().unwrap()).collect()
    };
    let subnet =
        Subnetwork { stakes: numbers(&last["own"]), permits: vec![], bonds: vec![], last_step: 0 };
    let families = subnet.families();
    let inherited: Vec<u64> = families.iter().map(|family| family.inherited().alpha).collect();
    assert_eq!(inherited, numbers(&last["inherited"]));
    for case in last["parent_child"].as_array().unwrap() {
        let takes = Takes { child: CHILDKEY_TAKE, recycled: 0 };
        let shared =
            families[2].share(case["dividend"].as_u64().unwrap(), tao_weight(TAO_WEIGHT), takes);
        let split: Vec<u64> =
            case["split"].as_array().unwrap().iter().map(|to| to[1].as_u64().unwrap()).collect();
        assert_eq!([shared.parents[0], shared.own], split[..]);
    }
}
