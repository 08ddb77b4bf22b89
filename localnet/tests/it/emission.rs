//! Spec 461 from the coinbase to a stake: what weights earn is paid to the hotkeys they name.

use crate::client::{Client, connect, hex, public, unhex};
use codec::{Decode, Encode};
use localnet::{Config, Genesis, GenesisNeuron, GenesisSubnet, TAO};
use node_subtensor_runtime::{RuntimeCall, subtensor, types::NetUid};
use serde_json::json;

const NETUID: NetUid = NetUid(2);
/// The owner's hotkey is uid 0, //Bob validates, //Charlie and //Dave mine.
const VALIDATOR: &str = "//Bob//hot";
const MINERS: [(&str, u16); 2] = [("//Charlie//hot", 2), ("//Dave//hot", 3)];

fn with_subnet() -> Genesis {
    let neuron = |coldkey: &str, stake: u64| GenesisNeuron {
        hotkey: public(&format!("{coldkey}//hot")).into(),
        coldkey: public(coldkey).into(),
        stake,
        root_stake: 0,
    };
    let subnet = GenesisSubnet {
        netuid: NETUID,
        owner: public("//Alice").into(),
        owner_hotkey: public("//Alice//hot").into(),
        tao_in: 1_000 * TAO,
        alpha_in: 1_000 * TAO,
        started: true,
        emission_enabled: true,
        neurons: vec![neuron("//Bob", 1_000 * TAO), neuron("//Charlie", 0), neuron("//Dave", 0)],
        tempo: Some(10),
        commit_reveal: Some(false),
        weights_rate_limit: Some(0),
        immunity_period: None,
        max_allowed_uids: None,
        max_allowed_validators: None,
        min_allowed_weights: Some(1),
        burn: None,
        serving_rate_limit: None,
    };
    Genesis { subnets: vec![subnet], ..Genesis::default() }
}

/// A value of `SubtensorModule` at `key`, already hashed.
async fn stored<V: Decode + Default>(client: &Client, item: &str, key: &[u8]) -> V {
    let prefix = [&b"SubtensorModule"[..], item.as_bytes()].map(sp_io::hashing::twox_128).concat();
    let answer = client.ask("state_getStorage", [hex([&prefix, key].concat()).into()]).await;
    answer.as_str().map_or_else(V::default, |text| V::decode(&mut &unhex(text)[..]).unwrap())
}

/// Alpha on a hotkey, of all its nominators.
async fn alpha_on(client: &Client, hotkey: &str) -> u64 {
    let account = public(hotkey).0;
    let key = [&sp_io::hashing::blake2_128(&account)[..], &account, &NETUID.0.encode()].concat();
    stored(client, "TotalHotkeyAlpha", &key).await
}

#[tokio::test]
async fn what_a_validator_weighs_is_paid_at_the_epoch_as_stake() {
    let client = connect(Config { genesis: with_subnet(), ..Config::test() }).await;
    // The first epoch gives the permit, without which weights on others are refused.
    client.ask("dev_warpToEpoch", [json!(NETUID.0)]).await;
    let weights = RuntimeCall::SubtensorModule(subtensor::Call::set_weights {
        netuid: NETUID,
        dests: MINERS.map(|(_, uid)| uid).to_vec(),
        weights: vec![3, 1],
        version_key: 0,
    });
    let extrinsic = client.signed(VALIDATOR, &weights).await;
    client.submit(&extrinsic).await;
    let validator = alpha_on(&client, VALIDATOR).await;
    assert_eq!(alpha_on(&client, MINERS[0].0).await, 0);

    client.ask("dev_warpToEpoch", [json!(NETUID.0)]).await;
    let incentive: Vec<u16> = stored(&client, "Incentive", &NETUID.0.encode()).await;
    assert_eq!(incentive, [0, 0, 49_151, 16_383]);
    let emission: Vec<u64> = stored(&client, "Emission", &NETUID.0.encode()).await;
    let paid = [alpha_on(&client, MINERS[0].0).await, alpha_on(&client, MINERS[1].0).await];
    assert_eq!(paid, [emission[2], emission[3]]);
    // Three to one, but for the rounding of shares to 2^-32.
    assert!(paid[1] > 0 && paid[0].abs_diff(3 * paid[1]) < 100, "{paid:?}");
    assert!(
        alpha_on(&client, VALIDATOR).await > validator,
        "the validator's dividend is stake too"
    );
    client.chain.verify(client.chain.head().hash).unwrap();
}
