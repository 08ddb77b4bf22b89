//! Whatever is changed on the way is noticed.

use chain_metadata::Hotkey;

use crate::support::{Miner, RawRequest, key};

/// Sixty-four bytes: 512 bits to flip.
const BODY: &[u8; 64] = br#"{"prompt": "sixty-four bytes of body, each bit of which counts"}"#;

fn header<'r>(request: &'r mut RawRequest, name: &str) -> &'r mut Vec<u8> {
    &mut request.headers.iter_mut().find(|(n, _)| n == name).unwrap().1
}

fn spoiled(request: &RawRequest, how: impl FnOnce(&mut RawRequest)) -> RawRequest {
    let mut spoiled = request.clone();
    how(&mut spoiled);
    spoiled
}

fn bits(request: &RawRequest) -> Vec<RawRequest> {
    let mut out = Vec::new();
    for bit in 0..BODY.len() * 8 {
        out.push(spoiled(request, |r| r.body[bit / 8] ^= 1 << (bit % 8)));
    }
    for bit in 0..512 {
        out.push(spoiled(request, |r| {
            let value = header(r, "x-bittensor-signature");
            let mut bytes = hex::decode(&value[2..]).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            *value = format!("0x{}", hex::encode(bytes)).into_bytes();
        }));
    }
    for name in ["x-bittensor-hotkey", "x-bittensor-receiver"] {
        for bit in 0..256 {
            out.push(spoiled(request, |r| {
                let value = header(r, name);
                let address: Hotkey = String::from_utf8_lossy(value).parse().unwrap();
                let mut bytes = *address.as_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                *value = Hotkey::from_bytes(bytes).to_string().into_bytes();
            }));
        }
    }
    out
}

fn headers(request: &RawRequest) -> Vec<RawRequest> {
    let mut out = Vec::new();
    for (name, value) in &request.headers {
        for at in 0..value.len() {
            for flip in [0x01, 0x20, 0x40] {
                out.push(spoiled(request, |r| header(r, name)[at] ^= flip));
            }
        }
        for at in 0..name.len() {
            let renamed = format!("{}q{}", &name[..at], &name[at + 1..]);
            out.push(spoiled(request, |r| {
                r.headers.iter_mut().find(|(n, _)| n == name).unwrap().0 = renamed;
            }));
        }
        let shorter = &value[..value.len() - 1];
        let inside = [&value[..1], b" ", &value[1..]].concat();
        // White space around a value is HTTP's, not the value's.
        let inside = if inside.trim_ascii() == value { b"1\t1".to_vec() } else { inside };
        let upper = value.to_ascii_uppercase();
        let others: [&[u8]; 14] = [
            b"",
            b"0",
            b"-",
            b"null",
            b"\xff",
            shorter,
            &inside,
            &[b"+", &value[..]].concat(),
            &[b"0", &value[..]].concat(),
            &[&value[..], b"0"].concat(),
            &[&value[..], b","].concat(),
            &[&value[..], b", ", &value[..]].concat(),
            &[&value[..1], b"_", &value[1..]].concat(),
            if upper == *value { b"x" } else { &upper },
        ];
        out.extend(others.map(|other| spoiled(request, |r| *header(r, name) = other.to_vec())));
        out.push(spoiled(request, |r| r.headers.retain(|(n, _)| n != name)));
        out.push(spoiled(request, |r| r.headers.push((name.clone(), value.clone()))));
    }
    for scheme in ["ed25519", "SR25519", "sr25519 x", "", "1", "mldsa"] {
        out.push(request.clone().with("x-bittensor-crypto", scheme));
    }
    out.push(request.clone().with("content-encoding", "gzip"));
    out.push(request.clone().with("content-encoding", "identity"));
    out.push(request.clone().with("transfer-encoding", "chunked"));
    out
}

fn lines(request: &RawRequest) -> Vec<RawRequest> {
    let target = |t: &str| spoiled(request, |r| t.clone_into(&mut r.target));
    let mut out: Vec<RawRequest> = [
        "/v1/echo",
        "/v1/echo?",
        "/v1/echo?a=1&",
        "/v1/echo?a=1&b=2",
        "/v1/echo?a=2",
        "/v1/echo?A=1",
        "/v1/echo?a=%31",
        "/V1/echo?a=1",
        "/v1/ech%6f?a=1",
        "/v1/ech%6F?a=1",
        "//v1/echo?a=1",
        "/v1//echo?a=1",
        "/v1/./echo?a=1",
        "/v1/%2e/echo?a=1",
        "/v1/x/../echo?a=1",
        "/v1/echo/?a=1",
        "v1/echo?a=1",
        "http://miner/v1/echo?a=1",
        "http://other/v1/echo?a=1",
        "*",
    ]
    .map(target)
    .into();
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "post", "Post", "POSTS"] {
        out.push(spoiled(request, |r| method.clone_into(&mut r.method)));
    }
    for n in 0..BODY.len() {
        out.push(spoiled(request, |r| r.body.truncate(n)));
    }
    out.push(spoiled(request, |r| r.body.push(b'\n')));
    out.push(spoiled(request, |r| r.body.insert(0, b' ')));
    out
}

#[tokio::test]
async fn nothing_that_was_changed_is_accepted() {
    let miner = Miner::start().await;
    let request = RawRequest::signed(BODY);
    let spoiled = [bits(&request), headers(&request), lines(&request)].concat();
    assert!(spoiled.len() >= 2_000, "{}", spoiled.len());
    for request in &spoiled {
        let status = miner.exchange(&request.bytes()).await.status();
        let shown = String::from_utf8_lossy(&request.bytes()).into_owned();
        assert!((400..500).contains(&status), "status {status} for {shown}");
    }
    assert_eq!(miner.calls(), 0);
    // The request itself was good all along, and none of its copies used it up.
    assert_eq!(miner.exchange(&request.bytes()).await.status(), 200);
    assert_eq!(miner.calls(), 1);
}

#[tokio::test]
async fn a_request_to_one_miner_is_nothing_to_another() {
    let request = RawRequest::signed(BODY).bytes();
    let router = axum::Router::new();
    let replay = wire::ReplayStore::for_new_key(crate::support::patient());
    let limits = wire::server::Limits::default();
    let charlie =
        Miner::serving(key("//Charlie"), router, crate::support::anyone, replay, limits).await;
    let reply = charlie.exchange(&request).await;
    assert_eq!((reply.status(), reply.body().as_str()), (401, wire::Code::WrongReceiver.body()));
}
