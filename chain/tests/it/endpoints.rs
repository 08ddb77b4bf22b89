//! Endpoints that are encrypted, mute, broken, or come and go.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use chain::{Chain, ConnectError, ConnectOptions, EndpointError, ReadError};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use crate::chain;

fn hasty() -> ConnectOptions {
    ConnectOptions {
        request_deadline: Duration::from_millis(500),
        connect_deadline: Duration::from_millis(500),
        ..ConnectOptions::default()
    }
}

/// Forwards every connection to a node, over TLS if there is an acceptor. Ends when dropped.
async fn forward(to: u16, tls: Option<TlsAcceptor>) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut accepting = JoinSet::new();
    accepting.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut client, _)) = listener.accept().await {
            let tls = tls.clone();
            connections.spawn(async move {
                let mut node = TcpStream::connect(("127.0.0.1", to)).await.ok()?;
                match tls {
                    None => copy_bidirectional(&mut client, &mut node).await.ok(),
                    Some(tls) => {
                        let mut client = tls.accept(client).await.ok()?;
                        copy_bidirectional(&mut client, &mut node).await.ok()
                    }
                }
            });
        }
    });
    (address, accepting)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_endpoint_is_trusted_by_its_root_and_by_nothing_else() {
    let localnet = chain();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)
        .unwrap();
    let (address, _proxy) =
        forward(localnet.port(), Some(TlsAcceptor::from(Arc::new(config)))).await;
    let endpoints = [format!("wss://localhost:{}", address.port())];

    let root = certified.cert.der().to_vec();
    let options = ConnectOptions { extra_roots: vec![root], ..ConnectOptions::default() };
    let chain = Chain::connect(&endpoints, options).await.unwrap();
    assert_eq!(chain.spec_version().await.unwrap(), 461);

    let refused = Chain::connect(&endpoints, ConnectOptions::default()).await.unwrap_err();
    let ConnectError::Unreachable { failures } = refused else { panic!("{refused}") };
    assert!(matches!(failures[0].1, EndpointError::Socket { .. }), "{:?}", failures[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_endpoint_is_left_for_the_next() {
    let localnet = chain();
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("ws://{}", mute.local_addr().unwrap());
    let chain = Chain::connect(&[silent.clone(), localnet.url()], hasty()).await.unwrap();
    assert!(chain.endpoint().contains(&localnet.port().to_string()), "{}", chain.endpoint());
    chain.finalized_head().await.unwrap();

    let refused = Chain::connect(&[silent], hasty()).await.unwrap_err();
    let ConnectError::Unreachable { failures } = refused else { panic!("{refused}") };
    assert!(matches!(failures[0].1, EndpointError::Mute { .. }), "{:?}", failures[0].1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_breaks_is_made_again_and_heads_go_on() {
    let localnet = chain();
    let (address, proxy) = forward(localnet.port(), None).await;
    let endpoints = [format!("ws://{address}"), localnet.url()];
    let chain = Chain::connect(&endpoints, hasty()).await.unwrap();
    let mut heads = chain.heads_from(1);
    localnet.mine(3).unwrap();
    assert_eq!(heads.next().await.unwrap().number, 1);
    drop(proxy);
    localnet.mine(3).unwrap();
    let mut seen = vec![1];
    while seen.len() < 6 {
        if let Ok(head) = heads.next().await {
            seen.push(head.number);
        }
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    assert!(chain.endpoint().contains(&localnet.port().to_string()), "{}", chain.endpoint());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_gone_is_an_error_that_may_pass() {
    let localnet = chain();
    let chain = Chain::connect(&[localnet.url()], hasty()).await.unwrap();
    localnet.shutdown();
    let gone: ReadError = chain.finalized_head().await.unwrap_err();
    assert!(gone.is_connection(), "{gone}");
}
