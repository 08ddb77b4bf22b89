//! Bad input: a proper error code, no panic that reaches anybody, and a state that did not move.

use crate::client::{connect, hex, transfer};
use localnet::Config;
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

#[tokio::test]
async fn mutated_extrinsics_are_refused_and_leave_the_state_as_it_was() {
    /// Mutations in this run; the seed makes any one of them reproducible.
    const MUTATIONS: usize = 2_000;
    const SEED: u64 = 0x6a6e_676c;
    let client = connect(Config::test()).await;
    let valid = client.signed("//Alice", &transfer("//Bob", 1)).await;
    let (root, mut random) = (client.state_root().await, StdRng::seed_from_u64(SEED));
    for round in 0..MUTATIONS {
        let mutated = mutate(&valid, &mut random);
        if mutated == valid {
            continue;
        }
        let (code, why) = client.refusal("author_submitExtrinsic", [hex(&mutated).into()]).await;
        assert!(matches!(code, 1002 | 1010 | 1011), "seed {SEED}, round {round}: {code} {why}");
    }
    assert_eq!(client.state_root().await, root);
    client.submit(&valid).await;
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
