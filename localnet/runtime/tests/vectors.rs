//! Single calls against what the real chain answered to them.

use codec::Encode;
use frame_support::traits::Hooks;
use node_subtensor_runtime as runtime;
use runtime::subtensor::{self, Error, GenesisNeuron, GenesisSubnet};
use runtime::types::{AlphaBalance, MechId, NetUid, NetUidStorageIndex, TaoBalance};
use runtime::{AccountId, Runtime, RuntimeOrigin, SubtensorModule, System};
use serde_json::Value;
use sp_core::H256;
use sp_io::TestExternalities;
use sp_runtime::{BuildStorage, DispatchError, DispatchResult};
use std::collections::VecDeque;

const NET: NetUid = NetUid(1);
const INDEX: NetUidStorageIndex = NetUidStorageIndex(1);
const ALPHA: u64 = 1_000_000_000;

/// Encrypted for round 1000 of the real chain's beacon by neuron 0: weight 41950 on uid 0.
const TIMELOCKED: &str = "a419e056ff5ea56c49f81f5e31c29fe1420ee55404b81e8acdec76489785de23d0add8f34c8896ffac83\
    533767c585c3081990dcf06b59c53fe9ef253e8e4a75f9a92a61c35eeb32e19c0f2f1a97b489a062080f2a3d29ce\
    2f71ec4763df88b3200000000000000083d6b099ada9f392035e28f3142674b93a1cd394a7e9e984874d4961b5d5\
    cf7a20000000000000005ec80f640d6c835401541fa78257d4da703a148802d771741789e0c6e06caf005b000000\
    000000003f0000000000000063abb88b1f52cf11cba671c437d595403fb5354f3fc2aac61ff6f8677973cc24b90a\
    eb3f15abd28be881f080a97dcb83ea47b7f69b99d55698597093716b010c00000000000000000efec87c5749ec11\
    57912e08000000000000004145535f47434d5f";
const ROUND: u64 = 1_000;
const SIGNATURE: &str = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125e342b73a8dd2bacbe47e\
    4b6b63ed5e39";

fn account(kind: u8, index: u16) -> AccountId {
    let mut bytes = [0; 32];
    bytes[0] = kind;
    bytes[1..3].copy_from_slice(&index.to_le_bytes());
    bytes[31] = 1;
    AccountId::new(bytes)
}

fn hot(index: u16) -> AccountId {
    account(0xAA, index)
}

fn cold(index: u16) -> AccountId {
    account(0xCC, index)
}

fn signed(index: u16) -> RuntimeOrigin {
    RuntimeOrigin::signed(hot(index))
}

fn cases(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

fn numbers<N: TryFrom<u64>>(value: &Value) -> Vec<N> {
    let to_number = |value: &Value| N::try_from(value.as_u64().unwrap()).ok().unwrap();
    value.as_array().unwrap().iter().map(to_number).collect()
}

fn name(result: DispatchResult) -> String {
    match result {
        Ok(()) => "Ok".into(),
        Err(DispatchError::Module(error)) => error.message.unwrap().into(),
        Err(other) => format!("{other:?}"),
    }
}

/// Netuid 1 with neurons `hot(0)`.. at block 500; an account that is no neuron owns it. The first
/// three have 1,000 alpha and a permit.
fn chain(neurons: u16) -> TestExternalities {
    let subnet = GenesisSubnet {
        netuid: NET,
        owner: cold(9_000),
        owner_hotkey: hot(0),
        tao_in: 1_000 * ALPHA,
        alpha_in: 1_000 * ALPHA,
        started: true,
        emission_enabled: false,
        neurons: (1..neurons)
            .map(|uid| GenesisNeuron {
                hotkey: hot(uid),
                coldkey: cold(uid),
                stake: if uid < 3 { 1_000 * ALPHA } else { 0 },
                root_stake: 0,
            })
            .collect(),
        tempo: Some(10),
        commit_reveal: Some(false),
        weights_rate_limit: Some(0),
        immunity_period: None,
        max_allowed_uids: None,
        max_allowed_validators: None,
        min_allowed_weights: Some(0),
        burn: Some(ALPHA),
        serving_rate_limit: Some(0),
    };
    let genesis = runtime::RuntimeGenesisConfig {
        balances: pallet_balances::GenesisConfig {
            balances: vec![(cold(0), 1_000_000 * ALPHA), (cold(500), 1_000_000 * ALPHA)],
            ..Default::default()
        },
        aura: runtime::aura::pallet::GenesisConfig {
            spec_version: Some(425),
            ..Default::default()
        },
        subtensor_module: subtensor::GenesisConfig { subnets: vec![subnet], ..Default::default() },
        ..Default::default()
    };
    let mut chain = TestExternalities::new(genesis.build_storage().unwrap());
    chain.execute_with(|| {
        System::set_block_number(500);
        subtensor::SubnetOwnerHotkey::<Runtime>::insert(NET, hot(9_000));
        let permits = (0..neurons).map(|uid| uid < 3).collect::<Vec<_>>();
        subtensor::ValidatorPermit::<Runtime>::insert(NET, permits);
        subtensor::LastUpdate::<Runtime>::insert(INDEX, vec![500; usize::from(neurons)]);
        subtensor::LastEpochBlock::<Runtime>::insert(NET, 499);
    });
    chain
}

/// Runs the steps of the blocks up to one.
fn step_to(block: u32) {
    while System::block_number() < block {
        let next = System::block_number() + 1;
        System::set_block_number(next);
        SubtensorModule::on_initialize(next);
    }
}

fn stored(uid: u16) -> Vec<(u16, u16)> {
    subtensor::Weights::<Runtime>::get(INDEX, uid)
}

/// What a case of `set_weights` changed before its call.
fn prepare(case: &str) {
    match case {
        "low_stake" => subtensor::StakeThreshold::<Runtime>::put(500 * ALPHA),
        "version_low" | "version_equal" | "version_high" => {
            subtensor::WeightsVersionKey::<Runtime>::insert(NET, 5);
        }
        "rate_limited" | "rate_limit_exact" => {
            System::set_block_number(1_000);
            subtensor::WeightsSetRateLimit::<Runtime>::insert(NET, 100);
        }
        "no_permit_owner" => subtensor::SubnetOwnerHotkey::<Runtime>::insert(NET, hot(5)),
        "owner_low_stake" => {
            subtensor::StakeThreshold::<Runtime>::put(500 * ALPHA);
            subtensor::SubnetOwnerHotkey::<Runtime>::insert(NET, hot(5));
        }
        "below_min_allowed" => subtensor::MinAllowedWeights::<Runtime>::insert(NET, 3),
        "min_allowed_capped_by_n" | "self_single_below_min" => {
            subtensor::MinAllowedWeights::<Runtime>::insert(NET, 20);
        }
        "empty_min1" => subtensor::MinAllowedWeights::<Runtime>::insert(NET, 1),
        "cr_enabled_set_weights" => {
            subtensor::CommitRevealWeightsEnabled::<Runtime>::insert(NET, true);
        }
        _ => {}
    }
}

#[test]
fn setting_weights_answers_and_stores_as_the_real_chain() {
    for case in cases(include_str!("vectors/set_weights.json")) {
        chain(8).execute_with(|| {
            let what = case["name"].as_str().unwrap();
            let caller = case["caller_uid"].as_u64().unwrap() as u16;
            prepare(what);
            let before = numbers::<u64>(&case["last_update_before"]);
            subtensor::LastUpdate::<Runtime>::insert(INDEX, before);
            let result = SubtensorModule::set_weights(
                signed(caller),
                NetUid(case["netuid"].as_u64().unwrap() as u16),
                numbers(&case["dests"]),
                numbers(&case["weights"]),
                case["version_key"].as_u64().unwrap(),
            );
            assert_eq!(name(result), case["result"].as_str().unwrap(), "{what}");
            let row = serde_json::to_value(stored(caller)).unwrap();
            assert_eq!(row, case["stored_weights"], "{what}");
            let updates = subtensor::LastUpdate::<Runtime>::get(INDEX);
            assert_eq!(updates, numbers::<u64>(&case["last_update_after"]), "{what}");
        });
    }
}

fn hash_of(salt: u16) -> H256 {
    SubtensorModule::commit_hash(&hot(0), INDEX, &[1, 2], &[1, 2], &[salt], 0)
}

fn reveal(salt: u16) -> DispatchResult {
    SubtensorModule::reveal_weights(signed(0), NET, vec![1, 2], vec![1, 2], vec![salt], 0)
}

/// Does what a line of the recording says.
fn act(action: &str) -> Option<DispatchResult> {
    let salt = |text: &str| text.split(' ').next().unwrap().parse::<u16>().unwrap();
    let commit = |who, hash| SubtensorModule::commit_weights(signed(who), NET, hash);
    Some(match action {
        "set_weights while CR on" => {
            SubtensorModule::set_weights(signed(0), NET, vec![1, 2], vec![1, 2], 0)
        }
        "reveal without commit" | "reveal same epoch" => reveal(1),
        "reveal wrong salt" => reveal(999),
        "unregistered commit" => commit(77, hash_of(1)),
        "commit with CR off" => {
            subtensor::CommitRevealWeightsEnabled::<Runtime>::insert(NET, false);
            commit(0, hash_of(1))
        }
        _ => match (action.strip_prefix("commit salt="), action.strip_prefix("reveal salt=")) {
            (Some(text), _) => commit(0, hash_of(salt(text))),
            (_, Some(text)) => reveal(salt(text)),
            _ => return None,
        },
    })
}

#[test]
fn commits_by_hash_are_kept_revealed_and_dropped_as_on_the_real_chain() {
    chain(8).execute_with(|| {
        subtensor::CommitRevealWeightsEnabled::<Runtime>::insert(NET, true);
        // What keeps the permit of neuron 0 over the epochs.
        let staker = RuntimeOrigin::signed(cold(500));
        SubtensorModule::add_stake(staker, hot(0), NET, TaoBalance(100 * ALPHA)).unwrap();
        for line in cases(include_str!("vectors/commit_reveal.json")) {
            let action = line["action"].as_str().unwrap();
            step_to(line["block"].as_u64().unwrap() as u32);
            if let Some(result) = act(action) {
                assert_eq!(name(result), line["result"].as_str().unwrap(), "{action}");
            }
            let pending = subtensor::WeightCommits::<Runtime>::get(INDEX, hot(0))
                .map(|queue: VecDeque<_>| queue.len());
            assert_eq!(serde_json::to_value(pending).unwrap(), line["pending_commits"], "{action}");
            assert_eq!(serde_json::to_value(stored(0)).unwrap(), line["stored"], "{action}");
            let epochs = subtensor::SubnetEpochIndex::<Runtime>::get(NET);
            assert_eq!(epochs, line["epoch_index"].as_u64().unwrap(), "{action}");
            let last = subtensor::LastEpochBlock::<Runtime>::get(NET);
            assert_eq!(last, line["last_epoch_block"].as_u64().unwrap(), "{action}");
            let updated = subtensor::LastUpdate::<Runtime>::get(INDEX)[0];
            assert_eq!(updated, line["last_update0"].as_u64().unwrap(), "{action}");
        }
    });
}

#[test]
fn timelocked_commits_open_with_their_pulse_and_copies_and_garbage_are_lost() {
    chain(8).execute_with(|| {
        subtensor::CommitRevealWeightsEnabled::<Runtime>::insert(NET, true);
        let bytes = hex::decode(TIMELOCKED).unwrap();
        let commit = |uid, bytes: &[u8], version| {
            name(SubtensorModule::commit_timelocked_weights(
                signed(uid),
                NET,
                bytes.to_vec().try_into().unwrap(),
                ROUND,
                version,
            ))
        };
        assert_eq!(commit(0, &bytes, 3), "IncorrectCommitRevealVersion");
        assert_eq!(commit(0, &bytes, 4), "Ok");
        assert_eq!(commit(1, &bytes, 4), "Ok");
        assert_eq!(commit(2, &[1, 2, 3], 4), "Ok");
        let pending = |epoch| subtensor::TimelockedWeightCommits::<Runtime>::get(INDEX, epoch);
        assert_eq!(pending(0).len(), 3);
        assert_eq!(SubtensorModule::awaited_rounds(), [ROUND]);
        step_to(509);
        assert_eq!(pending(0).len(), 3, "no pulse yet");

        let signature = hex::decode(SIGNATURE).unwrap();
        let pulse = runtime::drand::pallet::Pulse {
            round: ROUND,
            randomness: sp_io::hashing::sha2_256(&signature).to_vec().try_into().unwrap(),
            signature: signature.try_into().unwrap(),
        };
        runtime::drand::pallet::Pulses::<Runtime>::insert(ROUND, pulse);
        step_to(510);
        assert_eq!(pending(0).len(), 0);
        assert_eq!(SubtensorModule::awaited_rounds(), Vec::<u64>::new());
        assert_eq!(stored(0), [(0, u16::MAX)]);
        assert_eq!((stored(1), stored(2)), (Vec::new(), Vec::new()), "a copy, garbage");
        step_to(522);
        assert_eq!(subtensor::LastUpdate::<Runtime>::get(INDEX)[..3], [500, 500, 500]);
    });
}

#[test]
fn endpoints_are_checked_as_on_the_real_chain() {
    for case in cases(include_str!("vectors/axon.json")) {
        chain(2).execute_with(|| {
            let ip: u128 = case["ip"].as_str().unwrap().parse().unwrap();
            let port = case["port"].as_u64().unwrap() as u16;
            let ip_type = case["ip_type"].as_u64().unwrap() as u8;
            let axon = SubtensorModule::serve_axon(signed(1), NET, 1, ip, port, ip_type, 4, 0, 0);
            assert_eq!(name(axon), case["serve_axon"].as_str().unwrap(), "{case}");
            let metrics = SubtensorModule::serve_prometheus(signed(1), NET, 1, ip, port, ip_type);
            assert_eq!(name(metrics), case["serve_prometheus"].as_str().unwrap(), "{case}");
            let axon = subtensor::Axons::<Runtime>::get(NET, hot(1));
            let text = axon.map(|axon| format!("{axon:?}"));
            assert_eq!(serde_json::to_value(text).unwrap(), case["stored"]);
        });
    }
}

#[test]
fn endpoints_are_limited_in_rate() {
    chain(2).execute_with(|| {
        subtensor::ServingRateLimit::<Runtime>::insert(NET, 50);
        let serve = |who| name(SubtensorModule::serve_axon(signed(who), NET, 1, 1, 1, 4, 4, 0, 0));
        for (block, expected) in [
            (500, "Ok"),
            (500, "ServingRateLimitExceeded"),
            (510, "ServingRateLimitExceeded"),
            (549, "ServingRateLimitExceeded"),
            (550, "Ok"),
            (551, "ServingRateLimitExceeded"),
        ] {
            System::set_block_number(block);
            assert_eq!(serve(1), expected, "{block}");
        }
        assert_eq!(serve(77), "HotKeyNotRegisteredInNetwork");
    });
}

#[test]
fn the_neuron_that_gives_way_is_the_real_chains() {
    for case in cases(include_str!("vectors/prune.json")) {
        let n = case["n"].as_u64().unwrap() as u16;
        chain(n).execute_with(|| {
            System::set_block_number(case["current_block"].as_u64().unwrap() as u32);
            let period = case["immunity_period"].as_u64().unwrap() as u16;
            subtensor::ImmunityPeriod::<Runtime>::insert(NET, period);
            let least = case["min_non_immune_uids"].as_u64().unwrap() as u16;
            subtensor::MinNonImmuneUids::<Runtime>::insert(NET, least);
            if let Some(owner) = case["owner_uid"].as_u64() {
                subtensor::SubnetOwnerHotkey::<Runtime>::insert(NET, hot(owner as u16));
            }
            subtensor::SubnetOwner::<Runtime>::insert(NET, cold(9_999));
            let blocks = numbers::<u64>(&case["block_at_registration"]);
            for (block, uid) in blocks.into_iter().zip(0u16..) {
                subtensor::BlockAtRegistration::<Runtime>::insert(NET, uid, block);
            }
            let emission: Vec<_> =
                numbers::<u64>(&case["emission"]).into_iter().map(AlphaBalance).collect();
            subtensor::Emission::<Runtime>::insert(NET, emission);
            let pruned = SubtensorModule::neuron_to_prune(NET);
            assert_eq!(serde_json::to_value(pruned).unwrap(), case["pruned_uid"], "{case}");
        });
    }
}

#[test]
fn registrations_raise_the_price_and_the_pool_as_on_the_real_chain() {
    chain(1).execute_with(|| {
        System::set_block_number(10);
        for case in cases(include_str!("vectors/registrations.json")) {
            step_to(case["block"].as_u64().unwrap() as u32);
            let price = || subtensor::Burn::<Runtime>::get(NET).0;
            let pool = || subtensor::SubnetTAO::<Runtime>::get(NET).0;
            assert_eq!(price(), case["burn_before"].as_u64().unwrap());
            assert_eq!(pool(), case["subnet_tao_before"].as_u64().unwrap());
            let uid = case["uid"].as_u64().unwrap() as u16;
            let buyer = RuntimeOrigin::signed(cold(500));
            SubtensorModule::burned_register(buyer, NET, hot(uid)).unwrap();
            assert_eq!(subtensor::Uids::<Runtime>::get(NET, hot(uid)), Some(uid));
            assert_eq!(price(), case["burn_after"].as_u64().unwrap());
            assert_eq!(pool(), case["subnet_tao_after"].as_u64().unwrap());
        }
    });
}

#[test]
fn mechanisms_are_stored_under_the_real_chains_index() {
    for case in cases(include_str!("vectors/storage_index.json")) {
        let number = |field: &str| case[field].as_u64().unwrap();
        let index = NetUid(number("netuid") as u16).index(MechId(number("mecid") as u8));
        assert_eq!(u64::from(index.0), number("storage_index"));
        assert_eq!(index.encode(), (number("storage_index") as u16).encode());
    }
}

#[test]
fn an_unaffordable_registration_changes_nothing() {
    chain(1).execute_with(|| {
        let root = || sp_io::storage::root(sp_runtime::StateVersion::V1);
        let before = root();
        let poor = RuntimeOrigin::signed(cold(77));
        let result = frame_support::storage::with_storage_layer(|| {
            SubtensorModule::burned_register(poor, NET, hot(1))
        });
        assert_eq!(result, Err(Error::<Runtime>::NotEnoughBalanceToStake.into()));
        assert_eq!(root(), before);
        let none = TaoBalance(0);
        assert_eq!(SubtensorModule::spendable(&cold(77)), none);
    });
}
