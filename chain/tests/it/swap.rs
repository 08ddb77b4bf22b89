//! A hotkey takes another's place: slot, stake and standing go along.

use chain::{Call, Chain, Hotkey, Keypair, NetUid, SubmitError, Tao, Value};

use crate::{chain, connect};

const NETUID: NetUid = NetUid(1);
const STAKE: Tao = Tao::units(100);

fn key(path: &str) -> Keypair {
    Keypair::dev(path).unwrap()
}

/// //Bob's hotkey in a slot of //Alice's subnet, with stake of //Bob and of //Charlie.
async fn staked(chain: &Chain) -> Hotkey {
    let (alice, bob, charlie) = (key("//Alice"), key("//Bob"), key("//Charlie"));
    let old = key("//Bob//hot").hotkey();
    let owner = key("//Alice//hot").hotkey();
    chain.submit(&Call::register_network(&owner), &alice).await.unwrap();
    chain.submit(&Call::start_call(NETUID), &alice).await.unwrap();
    chain.submit(&Call::burned_register(NETUID, &old), &bob).await.unwrap();
    for staker in [&bob, &charlie] {
        chain.submit(&Call::add_stake(&old, NETUID, STAKE), staker).await.unwrap();
    }
    old
}

fn swap(old: &Hotkey, new: &Hotkey, netuid: Option<NetUid>, keep: Option<bool>) -> Call {
    let on = netuid.map_or_else(
        || Value::unnamed_variant("None", []),
        |netuid| Value::unnamed_variant("Some", [Value::u128(netuid.0.into())]),
    );
    let args = [
        ("hotkey", Value::from_bytes(old)),
        ("new_hotkey", Value::from_bytes(new)),
        ("netuid", on),
    ];
    match keep {
        None => Call::dynamic("SubtensorModule", "swap_hotkey", args),
        Some(keep) => {
            let keep = [("keep_stake", Value::bool(keep))];
            Call::dynamic("SubtensorModule", "swap_hotkey_v2", args.into_iter().chain(keep))
        }
    }
}

/// Stake of //Bob and //Charlie on a hotkey.
async fn stakes(chain: &Chain, hotkey: &Hotkey) -> [u64; 2] {
    let of = async |who| chain.stake(hotkey, &key(who).coldkey(), NETUID).await.unwrap().rao();
    [of("//Bob").await, of("//Charlie").await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_hotkey_hands_over_its_slot_and_everybodys_stake() {
    for netuid in [Some(NETUID), None] {
        let localnet = chain();
        let chain = connect(&localnet).await;
        let (old, new) = (staked(&chain).await, key("//Bob//new").hotkey());
        let (uid, before) =
            (chain.uid_of(NETUID, &old, None).await.unwrap(), stakes(&chain, &old).await);
        assert!(uid.is_some() && before.iter().all(|stake| *stake > 0));
        chain.submit(&swap(&old, &new, netuid, None), &key("//Bob")).await.unwrap();
        assert_eq!(chain.uid_of(NETUID, &new, None).await.unwrap(), uid);
        assert_eq!(chain.uid_of(NETUID, &old, None).await.unwrap(), None);
        let metagraph = chain.metagraph(NETUID, None).await.unwrap();
        assert_eq!(metagraph.neuron_of(&new).unwrap().coldkey, key("//Bob").coldkey());
        assert_eq!(stakes(&chain, &old).await, [0, 0]);
        for (now, before) in stakes(&chain, &new).await.into_iter().zip(before) {
            assert!(before.abs_diff(now) <= 1, "{before} became {now}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stake_that_is_kept_stays_on_the_old_hotkey() {
    let localnet = chain();
    let chain = connect(&localnet).await;
    let (old, new) = (staked(&chain).await, key("//Bob//new").hotkey());
    let before = stakes(&chain, &old).await;
    chain.submit(&swap(&old, &new, Some(NETUID), Some(true)), &key("//Bob")).await.unwrap();
    assert!(chain.uid_of(NETUID, &new, None).await.unwrap().is_some());
    assert_eq!((stakes(&chain, &old).await, stakes(&chain, &new).await), (before, [0, 0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_may_not_be_is_refused_by_name() {
    let localnet = chain();
    let chain = connect(&localnet).await;
    let (old, new) = (staked(&chain).await, key("//Bob//new").hotkey());
    let cases = [
        ("//Charlie", new, "NonAssociatedColdKey"),
        ("//Bob", old, "NewHotKeyIsSameWithOld"),
        ("//Bob", key("//Alice//hot").hotkey(), "NonAssociatedColdKey"),
    ];
    for (who, new, name) in cases {
        let refused = chain.submit(&swap(&old, &new, Some(NETUID), None), &key(who)).await;
        let Err(SubmitError::Refused { refusal, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(refusal.name, name);
    }
    assert!(chain.uid_of(NETUID, &old, None).await.unwrap().is_some());
}
