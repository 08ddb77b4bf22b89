//! Who pays what, and who may act for whom.

use crate::client::{Client, connect, hex, public, transfer, unhex};
use codec::Encode as _;
use localnet::{Config, Genesis, GenesisSubnet, TAO};
use node_subtensor_runtime::{
    RuntimeCall, proxies::ProxyType, subtensor, types::AlphaBalance, types::NetUid,
};
use serde_json::{Value, json};
use sp_runtime::MultiAddress;

const NETUID: NetUid = NetUid(2);

/// A subnet from the genesis file: `//Bob` holds all its alpha and next to no TAO.
fn with_a_staker() -> Config {
    let subnet = json!({
        "netuid": 2, "owner": written("//Alice"), "owner_hotkey": written("//Alice//hot"),
        "started": true,
        "neurons": [{
            "hotkey": written("//Bob//hot"), "coldkey": written("//Bob"), "stake": 100 * TAO,
        }],
    });
    let subnet: GenesisSubnet = serde_json::from_value(subnet).unwrap();
    let balances = [("//Alice".to_owned(), 1_000 * TAO), ("//Bob".to_owned(), 500)];
    let genesis = Genesis {
        balances: balances.into(),
        issuance: Some(5_000 * TAO),
        subnets: vec![subnet],
        ..Genesis::default()
    };
    Config { genesis, ..Config::test() }
}

fn written(who: &str) -> Value {
    serde_json::to_value(sp_runtime::AccountId32::from(public(who))).unwrap()
}

fn call(call: subtensor::Call<node_subtensor_runtime::Runtime>) -> RuntimeCall {
    RuntimeCall::SubtensorModule(call)
}

fn item(pallet: &str, name: &str) -> Vec<u8> {
    [pallet, name].map(|name| sp_io::hashing::twox_128(name.as_bytes())).concat()
}

async fn number(client: &Client, key: &[u8]) -> u64 {
    let value = client.ask("state_getStorage", [hex(key).into()]).await;
    u64::from_le_bytes(unhex(value.as_str().unwrap()).try_into().unwrap())
}

/// What an extrinsic would do, by `dev_trace`: its result and the names of its events.
async fn traced(client: &Client, who: &str, what: &RuntimeCall) -> (Value, Vec<String>, Value) {
    let extrinsic = client.signed(who, what).await;
    let trace = client.ask("dev_trace", [hex(extrinsic).into()]).await;
    let names = trace["events"].as_array().unwrap().iter();
    let names = names.map(|event| event["name"].as_str().unwrap().to_owned()).collect();
    (trace["result"].clone(), names, trace)
}

#[tokio::test]
async fn a_coldkey_without_tao_pays_the_fee_in_the_alpha_that_it_sells() {
    let client = connect(with_a_staker()).await;
    // What sells nothing cannot be paid for.
    let refused = client.signed("//Bob", &transfer("//Charlie", 1)).await;
    let refused = client.refusal("author_submitExtrinsic", [hex(refused).into()]).await;
    assert_eq!(refused.0, 1010, "{refused:?}");
    let sale = call(subtensor::Call::remove_stake {
        hotkey: public("//Bob//hot").into(),
        netuid: NETUID,
        amount_unstaked: AlphaBalance(TAO),
    });
    let (result, events, _) = traced(&client, "//Bob", &sale).await;
    assert_eq!(result, "ok");
    let name = "SubtensorModule.TransactionFeePaidWithAlpha".to_owned();
    assert!(events.contains(&name), "{events:?}");
    let issued = number(&client, &item("SubtensorModule", "TotalIssuance")).await;
    let extrinsic = client.signed("//Bob", &sale).await;
    client.submit(&extrinsic).await;
    // A block's emission is announced and not issued here: no subnet receives TAO.
    let recycled = issued - number(&client, &item("SubtensorModule", "TotalIssuance")).await;
    assert!((1_000_000..2_000_000).contains(&recycled), "{recycled} rao are recycled");
    assert!(client.balance("//Bob").await > 990_000_000, "the sale's TAO is Bob's");
}

#[tokio::test]
async fn fees_in_tao_are_recycled() {
    let client = connect(with_a_staker()).await;
    let key = item("SubtensorModule", "TotalIssuance");
    let before = number(&client, &key).await;
    let extrinsic = client.signed("//Alice", &transfer("//Bob", TAO)).await;
    client.submit(&extrinsic).await;
    let fee = 1_000 * TAO - TAO - client.balance("//Alice").await;
    assert_eq!(number(&client, &key).await, before - fee);
}

#[tokio::test]
async fn a_genesis_subnets_pool_goes_to_its_stakers_whole() {
    let client = connect(with_a_staker()).await;
    let dissolve = call(subtensor::Call::root_dissolve_network { netuid: NETUID });
    let sudo = RuntimeCall::Sudo(pallet_sudo::Call::sudo { call: Box::new(dissolve) });
    let pool = number(&client, &[item("SubtensorModule", "SubnetTAO"), vec![2, 0]].concat()).await;
    let extrinsic = client.signed("//Alice", &sudo).await;
    client.submit(&extrinsic).await;
    assert_eq!(pool, 1_000 * TAO);
    assert_eq!(client.balance("//Bob").await, 500 + pool);
}

#[tokio::test]
async fn a_take_in_the_wrong_direction_fails_in_its_block() {
    let client = connect(with_a_staker()).await;
    let hotkey = public("//Alice//hot").into();
    let take = |parts| sp_runtime::PerU16::from_parts(parts);
    let set = call(subtensor::Call::increase_take { hotkey, take: take(9_000) });
    let extrinsic = client.signed("//Alice", &set).await;
    client.submit(&extrinsic).await;
    let hotkey = public("//Alice//hot").into();
    let lower = call(subtensor::Call::increase_take { hotkey, take: take(8_000) });
    let (result, _, _) = traced(&client, "//Alice", &lower).await;
    assert_eq!(result, json!({ "failed": "SubtensorModule.DelegateTakeTooLow" }));
    let hotkey = public("//Bob//hot").into();
    let beyond = call(subtensor::Call::increase_take { hotkey, take: take(60_000) });
    let extrinsic = client.signed("//Alice", &beyond).await;
    let refused = client.refusal("author_submitExtrinsic", [hex(extrinsic).into()]).await;
    assert!(refused.1.contains("Custom error: 27"), "bounds come first: {refused:?}");
}

#[tokio::test]
async fn a_proxy_acts_for_another_within_its_kind() {
    let client = connect(Config::test()).await;
    let add = RuntimeCall::Proxy(pallet_proxy::Call::add_proxy {
        delegate: MultiAddress::Id(public("//Bob").into()),
        proxy_type: ProxyType::SmallTransfer,
        delay: 0,
    });
    let extrinsic = client.signed("//Alice", &add).await;
    client.submit(&extrinsic).await;
    let by_proxy = |rao| {
        RuntimeCall::Proxy(pallet_proxy::Call::proxy {
            real: MultiAddress::Id(public("//Alice").into()),
            force_proxy_type: None,
            call: Box::new(transfer("//Charlie", rao)),
        })
    };
    let before = client.balance("//Charlie").await;
    for rao in [TAO / 4, TAO] {
        let extrinsic = client.signed("//Bob", &by_proxy(rao)).await;
        client.submit(&extrinsic).await;
    }
    assert_eq!(client.balance("//Charlie").await, before + TAO / 4, "a whole TAO is not small");
}

#[tokio::test]
async fn an_announced_coldkey_takes_everything_over() {
    let client = connect(with_a_staker()).await;
    let delay = item("SubtensorModule", "ColdkeySwapAnnouncementDelay");
    client.ask("dev_setStorage", [json!([[hex(delay), hex(2_u32.encode())]])]).await;
    let new: sp_runtime::AccountId32 = public("//Newcomer").into();
    let hash = sp_core::H256(sp_io::hashing::blake2_256(new.as_ref()));
    let announce = call(subtensor::Call::announce_coldkey_swap { new_coldkey_hash: hash });
    let extrinsic = client.signed("//Alice", &announce).await;
    client.submit(&extrinsic).await;
    let swap = call(subtensor::Call::swap_coldkey_announced { new_coldkey: new.clone() });
    let (early, _, _) = traced(&client, "//Alice", &swap).await;
    assert_eq!(early, json!({ "failed": "SubtensorModule.ColdkeySwapTooEarly" }));
    let other = client.signed("//Alice", &transfer("//Bob", 1)).await;
    let refused = client.refusal("author_submitExtrinsic", [hex(other).into()]).await;
    assert!(refused.1.contains("Custom error: 0"), "{refused:?}");
    client.chain.mine(2).unwrap();
    let extrinsic = client.signed("//Alice", &swap).await;
    client.submit(&extrinsic).await;
    assert!(client.balance("//Newcomer").await > 990 * TAO);
    let owner = [item("SubtensorModule", "SubnetOwner"), vec![2, 0]].concat();
    let owner = client.ask("state_getStorage", [hex(owner).into()]).await;
    assert_eq!(owner, json!(hex(new)));
    client.chain.verify(client.chain.head().hash).unwrap();
}

#[tokio::test]
async fn a_trace_names_what_an_extrinsic_reads_and_writes() {
    let client = connect(Config::test()).await;
    let head = client.chain.head();
    let (result, events, trace) = traced(&client, "//Alice", &transfer("//Bob", 7)).await;
    assert_eq!(result, "ok");
    assert!(events.contains(&"Balances.Transfer".to_owned()), "{events:?}");
    let items = |kind: &str| -> Vec<Value> {
        trace[kind].as_array().unwrap().iter().map(|entry| entry["item"].clone()).collect()
    };
    assert!(items("reads").contains(&json!("System.Account")));
    let accounts = items("writes").iter().filter(|item| **item == "System.Account").count();
    assert_eq!(accounts, 2, "Alice's and Bob's");
    assert_eq!(client.chain.head(), head, "nothing happened");
}

#[tokio::test]
async fn the_devnet_preset_has_netuid_1_and_a_faucet() {
    let client = connect(Config { genesis: Genesis::devnet(), ..Config::test() }).await;
    let added = [item("SubtensorModule", "NetworksAdded"), vec![1, 0]].concat();
    assert_eq!(client.ask("state_getStorage", [hex(added).into()]).await, json!("0x01"));
    let faucet = call(subtensor::Call::faucet { block_number: 1, nonce: 0, work: vec![0; 32] });
    let (result, _, _) = traced(&client, "//Bob", &faucet).await;
    let error = result["failed"].as_str().unwrap().to_owned();
    assert!(error != "SubtensorModule.FaucetDisabled", "{error}: the work is what is wrong");
    let closed = connect(Config::test()).await;
    let (result, _, _) = traced(&closed, "//Bob", &faucet).await;
    assert_eq!(result, json!({ "failed": "SubtensorModule.FaucetDisabled" }));
}
