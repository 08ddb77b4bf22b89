//! Bad input: a proper error code, no panic that reaches anybody, and a state that did not move.

use crate::client::{Signing, connect, hex, public, transfer};
use codec::{Decode, Encode};
use jsonrpsee::core::ClientError;
use localnet::{Config, Genesis};
use node_subtensor_runtime::{
    AccountId, RuntimeCall, subtensor,
    types::{NetUid, TaoBalance},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

const INVALID_PARAMS: i32 = -32602;

#[tokio::test]
async fn wrong_parameters_are_invalid_params() {
    let client = connect(Config::test()).await;
    let cases: [(&str, Vec<Value>); 13] = [
        ("state_getStorage", vec![]),
        ("state_getStorage", vec![json!(5)]),
        ("state_getStorage", vec![json!("0x0")]),
        ("state_getStorage", vec![json!("0x00"), json!("0x1234")]),
        ("state_call", vec![json!("Core_version")]),
        ("state_getKeysPaged", vec![json!("0x"), json!(u64::MAX)]),
        ("state_queryStorageAt", vec![json!("0x00")]),
        ("chain_getBlockHash", vec![json!({})]),
        ("chain_getHeader", vec![json!("latest")]),
        ("system_accountNextIndex", vec![json!("5GrwvaEF")]),
        ("author_submitExtrinsic", vec![json!("zz")]),
        ("dev_mine", vec![json!(u64::MAX)]),
        ("dev_warpToEpoch", vec![json!(70_000)]),
    ];
    for (method, params) in cases {
        let refused = client.refusal(method, params.clone()).await;
        assert_eq!(refused.0, INVALID_PARAMS, "{method} {params:?}: {refused:?}");
    }
}

#[tokio::test]
async fn an_unknown_method_block_or_runtime_call_has_the_code_clients_look_for() {
    let client = connect(Config::test()).await;
    assert_eq!(client.refusal("state_nothing", []).await.0, -32601);
    let unknown = json!(hex([7; 32]));
    let refused = client.refusal("state_getStorage", [json!("0x00"), unknown]).await;
    assert_eq!(refused.0, 4003);
    let refused = client.refusal("state_call", [json!("No_method"), json!("0x")]).await;
    assert_eq!(refused.0, 4003);
    assert!(refused.1.contains("Exported method No_method is not found"), "{refused:?}");
}

#[tokio::test]
async fn a_runtime_call_with_garbage_is_an_error_and_the_chain_goes_on() {
    let client = connect(Config::test()).await;
    let refused = client.refusal("state_call", [json!("Core_execute_block"), json!("0x01")]).await;
    assert_eq!(refused.0, 4003);
    assert_eq!(client.chain.mine(1).unwrap().number, 2);
}

/// Mutations in a run: few by default; `GANGLION_MUTATIONS=10000` for the whole measure.
fn mutations() -> usize {
    std::env::var("GANGLION_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_500)
}

/// Any one mutation can be made again from it.
const SEED: u64 = 0x6a6e_676c;

/// A call of each kind that a neuron or a staker sends.
fn calls() -> Vec<RuntimeCall> {
    let (netuid, hotkey) = (NetUid(1), AccountId::from(public("//Alice//hot")));
    vec![
        transfer("//Bob", 1),
        RuntimeCall::SubtensorModule(subtensor::Call::set_weights {
            netuid,
            dests: vec![0, 1],
            weights: vec![1, u16::MAX],
            version_key: 0,
        }),
        RuntimeCall::SubtensorModule(subtensor::Call::add_stake {
            hotkey: hotkey.clone(),
            netuid,
            amount_staked: TaoBalance(1_000_000_000),
        }),
        RuntimeCall::SubtensorModule(subtensor::Call::burned_register {
            netuid,
            hotkey: hotkey.clone(),
        }),
        RuntimeCall::SubtensorModule(subtensor::Call::set_children {
            hotkey,
            netuid,
            children: vec![(u64::MAX, public("//Bob").into())],
        }),
        RuntimeCall::SubtensorModule(subtensor::Call::serve_axon {
            netuid,
            version: 1,
            ip: 0x7f00_0001,
            port: 8_091,
            ip_type: 4,
            protocol: 4,
            placeholder1: 0,
            placeholder2: 0,
        }),
        RuntimeCall::Utility(pallet_utility::Call::batch_all { calls: vec![transfer("//Bob", 2)] }),
        RuntimeCall::Sudo(pallet_sudo::Call::sudo { call: Box::new(transfer("//Bob", 3)) }),
    ]
}

fn development() -> Config {
    Config { genesis: Genesis { development: true, ..Genesis::default() }, ..Config::test() }
}

#[tokio::test]
async fn mutated_extrinsics_are_refused_and_leave_the_state_as_it_was() {
    let client = connect(development()).await;
    let mut valid = Vec::new();
    for call in calls() {
        valid.push(client.signed("//Alice", &call).await);
    }
    let (root, mut random) = (client.state_root().await, StdRng::seed_from_u64(SEED));
    for round in 0..mutations() {
        let valid = &valid[round % valid.len()];
        let mutated = mutate(valid, &mut random);
        if mutated == *valid {
            continue;
        }
        let (code, why) = client.refusal("author_submitExtrinsic", [hex(&mutated).into()]).await;
        assert!(matches!(code, 1002 | 1010 | 1011), "seed {SEED}, round {round}: {code} {why}");
    }
    assert_eq!(client.state_root().await, root);
    client.submit(&valid[0]).await;
}

#[tokio::test]
async fn calls_with_mutated_arguments_signed_well_never_stop_the_chain() {
    let client = connect(development()).await;
    let calls: Vec<Vec<u8>> = calls().iter().map(Encode::encode).collect();
    let (mut random, mut nonce) = (StdRng::seed_from_u64(SEED), 0);
    for round in 0..mutations() {
        let mutated = mutate(&calls[round % calls.len()], &mut random);
        // Sudo would let a mutation be root, which may break the chain in good order.
        if RuntimeCall::decode(&mut &mutated[..]).is_ok_and(|call| is_sudo(&call)) {
            continue;
        }
        let signing = Signing { nonce, tip: 0 };
        let extrinsic = client.sign_bytes("//Alice", &mutated, signing).await;
        match client.try_ask("author_submitExtrinsic", [hex(&extrinsic).into()]).await {
            Ok(_) => nonce += 1,
            Err(ClientError::Call(error)) => {
                let known = matches!(error.code(), 1002 | 1010 | 1011);
                assert!(known, "seed {SEED}, round {round}: {error:?}");
            }
            Err(other) => panic!("seed {SEED}, round {round}: {other:?}"),
        }
    }
    assert!(nonce > 0, "some mutations are calls");
    let head = client.chain.mine(1).unwrap();
    client.chain.verify(head.hash).unwrap();
}

fn is_sudo(call: &RuntimeCall) -> bool {
    matches!(call, RuntimeCall::Sudo(_))
}

#[tokio::test]
async fn an_extrinsic_for_another_genesis_has_a_bad_signature_here() {
    let ours = connect(Config::test()).await;
    let genesis = Genesis { sudo: "//Bob".to_owned(), ..Genesis::default() };
    let theirs = connect(Config { genesis, ..Config::test() }).await;
    let extrinsic = theirs.signed("//Alice", &transfer("//Bob", 1)).await;
    let (code, why) = ours.refusal("author_submitExtrinsic", [hex(&extrinsic).into()]).await;
    assert_eq!(code, 1010);
    assert!(why.contains("bad signature"), "{why}");
}

#[tokio::test]
async fn a_commit_over_the_bound_is_no_extrinsic() {
    /// The chain's `MAX_CRV3_COMMIT_SIZE_BYTES`.
    const BOUND: usize = 5_000;
    let client = connect(development()).await;
    let root = client.state_root().await;
    let commit = |bytes: usize| {
        let fitting = RuntimeCall::SubtensorModule(subtensor::Call::commit_timelocked_weights {
            netuid: NetUid(1),
            commit: vec![].try_into().unwrap(),
            reveal_round: 1_000,
            commit_reveal_version: 4,
        })
        .encode();
        let (pallet_call_netuid, empty) = (4, 1);
        let (head, tail) = fitting.split_at(pallet_call_netuid);
        [head, &vec![0_u8; bytes].encode(), &tail[empty..]].concat()
    };
    let signing = || Signing { nonce: 0, tip: 0 };
    let over = client.sign_bytes("//Alice", &commit(BOUND + 1), signing()).await;
    let (code, _) = client.refusal("author_submitExtrinsic", [hex(&over).into()]).await;
    assert_eq!((code, client.state_root().await), (1002, root));
    // One that fits is read, and refused for what it says: //Alice has no neuron.
    let within = client.sign_bytes("//Alice", &commit(BOUND), signing()).await;
    let (code, _) = client.refusal("author_submitExtrinsic", [hex(&within).into()]).await;
    assert_eq!(code, 1010);
}

/// One to four bits flipped, or the bytes cut, or a stretch of them replaced or doubled.
fn mutate(valid: &[u8], random: &mut StdRng) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    let at = random.gen_range(0..bytes.len());
    match random.gen_range(0..4) {
        0 => {
            for _ in 0..random.gen_range(1..=4) {
                let at = random.gen_range(0..bytes.len());
                bytes[at] ^= 1 << random.gen_range(0..8);
            }
        }
        1 => bytes.truncate(at),
        2 => bytes[at..].iter_mut().take(8).for_each(|byte| *byte = random.gen_range(0..=255)),
        _ => bytes.extend_from_within(at..),
    }
    bytes
}
