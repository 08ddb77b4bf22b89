//! The client against the real local chain, over its socket.

use chain::{
    Call, Chain, ConnectError, ConnectOptions, EndpointError, Keypair, NetUid, PoolRefusal,
    SubmitError, Tao,
};

use crate::{chain, connect};

#[tokio::test(flavor = "multi_thread")]
async fn a_subnet_is_registered_joined_and_read_back() {
    let localnet = chain();
    let chain = connect(&localnet).await;
    let (alice, bob) = (Keypair::dev("//Alice").unwrap(), Keypair::dev("//Bob").unwrap());
    let owner = Keypair::dev("//Alice//hot").unwrap().hotkey();
    chain.submit(&Call::register_network(&owner), &alice).await.unwrap();
    let netuid = NetUid(1);
    chain.submit(&Call::burned_register(netuid, &bob.hotkey()), &bob).await.unwrap();
    let metagraph = chain.metagraph(netuid, None).await.unwrap();
    assert_eq!(metagraph.neuron_of(&bob.hotkey()).unwrap().coldkey, bob.coldkey());
    assert_eq!(metagraph.uid_of(&owner).unwrap().0, 0);
    let rules = chain.hyperparameters(netuid, None).await.unwrap();
    assert_eq!(rules.tempo, chain.epoch_clock(netuid, None).await.unwrap().tempo);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_come_in_order_and_none_is_skipped() {
    let localnet = chain();
    let chain = connect(&localnet).await;
    let mut heads = chain.heads_from(1);
    localnet.mine(20).unwrap();
    for number in 1..=20 {
        assert_eq!(heads.next().await.unwrap().number, number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_named() {
    let localnet = chain();
    let chain = connect(&localnet).await;
    let alice = Keypair::dev("//Alice").unwrap();
    let bob = Keypair::dev("//Bob").unwrap();
    let all = Tao(u64::MAX / 2);
    let refused = chain.submit(&Call::transfer(&bob.coldkey(), all), &alice).await.unwrap_err();
    assert!(matches!(&refused, SubmitError::Refused { .. }), "{refused}");
    let early = Call::start_call(NetUid(77));
    let refused = chain.submit(&early, &alice).await.unwrap_err();
    let named = match &refused {
        SubmitError::Refused { refusal, .. } => refusal.advice.is_some(),
        SubmitError::Pool { reason } => matches!(reason, PoolRefusal::Custom(_)),
        _ => false,
    };
    assert!(named, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extrinsic_sent_twice_takes_effect_once_and_is_found_again() {
    let localnet = chain();
    let chain = connect(&localnet).await;
    let (alice, bob) = (Keypair::dev("//Alice").unwrap(), Keypair::dev("//Bob").unwrap());
    let before = chain.balance(&bob.coldkey()).await.unwrap();
    let call = Call::transfer(&bob.coldkey(), Tao::units(1));
    let extrinsic = chain.prepare(&call, &alice).await.unwrap();
    let first = chain.broadcast(&extrinsic).await.unwrap();
    let second = chain.broadcast(&extrinsic).await.unwrap();
    assert_eq!(first, second);
    let after = chain.balance(&bob.coldkey()).await.unwrap();
    assert_eq!(after.checked_sub(before), Some(Tao::units(1)));
    let found = chain.find_extrinsic(extrinsic.hash, extrinsic.era_birth, extrinsic.era_end).await;
    assert_eq!(found.unwrap(), Some(first));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_of_another_chain_is_refused() {
    let localnet = chain();
    let options = ConnectOptions { genesis: Some([7; 32]), ..ConnectOptions::default() };
    let refused = Chain::connect(&[localnet.url()], options).await.unwrap_err();
    let ConnectError::Unreachable { failures } = refused else { panic!("{refused}") };
    assert!(matches!(failures[0].1, EndpointError::OtherChain { expected: [7, ..], .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_no_node_has_any_more_are_taken_again() {
    let localnet = chain();
    let chain = connect(&localnet).await;
    let (alice, bob) = (Keypair::dev("//Alice").unwrap(), Keypair::dev("//Bob").unwrap());
    let call = Call::transfer(&bob.coldkey(), Tao::units(1));
    let extrinsic = chain.prepare(&call, &alice).await.unwrap();
    assert!(chain.send_everywhere(&extrinsic).await);
    let found = chain.find_extrinsic(extrinsic.hash, extrinsic.era_birth, extrinsic.era_end).await;
    assert!(found.unwrap().is_some());
    assert!(!chain.send_everywhere(&extrinsic).await, "its nonce is used");
}
