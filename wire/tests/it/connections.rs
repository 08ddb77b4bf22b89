//! Clients that hold on, flood, or speak badly.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, net::TcpStream};
use wire::{Code, server::Limits};

use crate::support::{ECHO, Miner, RawRequest, Reply, client_with, local};

/// Long enough for an honest request on a busy machine, short enough for a test.
const SHORT: Duration = Duration::from_millis(300);

/// So long that a test which waits for it has failed.
const FOREVER: Duration = Duration::from_secs(600);

#[tokio::test]
async fn half_a_head_is_closed_however_many_send_one() {
    let miner = Miner::limited(Limits { header_time: SHORT, ..Limits::default() }).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = TcpStream::connect(miner.socket()).await.unwrap();
        stream.write_all(b"POST /v1/echo HTTP/1.1\r\nhost: mi").await.unwrap();
        slow.push(stream);
    }
    for mut stream in slow {
        // Ends only when the server closes.
        Reply::read(&mut stream).await;
    }
    assert_eq!(miner.exchange(&RawRequest::signed(b"x").bytes()).await.status(), 200);
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up() {
    let miner = Miner::limited(Limits { body_idle: SHORT, ..Limits::default() }).await;
    let request = RawRequest::signed(b"all of the body").bytes();
    let reply = miner.exchange(&request[..request.len() - 1]).await;
    assert_eq!((reply.status(), reply.body().as_str()), (408, Code::BodyTimeout.body()));
}

#[tokio::test]
async fn a_body_that_drips_is_given_up_too() {
    let limits = Limits { body_idle: FOREVER, body_time: SHORT, ..Limits::default() };
    let miner = Miner::limited(limits).await;
    let request = RawRequest::signed(&[b'x'; 4096]).bytes();
    let (head, body) = request.split_at(request.len() - 4096);
    let (mut read, mut write) = TcpStream::connect(miner.socket()).await.unwrap().into_split();
    write.write_all(head).await.unwrap();
    let drip = async {
        for byte in body {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        _ = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut answer) => {}
    }
    assert_eq!(Reply(answer).status(), 408);
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_cut() {
    let limits = Limits { write_stall: SHORT, body_bytes: 64 << 20, ..Limits::default() };
    let limits = Limits { answer_bytes: 64 << 20, ..limits };
    let miner = Miner::limited(limits).await;
    // Larger than the sockets' buffers on both sides.
    let request = RawRequest::signed(&vec![b'x'; 32 << 20]).bytes();
    let mut stream = TcpStream::connect(miner.socket()).await.unwrap();
    stream.write_all(&request).await.unwrap();
    while miner.counters.connections_open.get() > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(miner.calls(), 1);
}

#[tokio::test]
async fn a_body_over_the_cap_is_refused_unread() {
    let miner = Miner::limited(Limits { body_bytes: 16, ..Limits::default() }).await;
    let mut head = RawRequest::signed(b"").head();
    head.extend(b"content-length: 17\r\n\r\n");
    assert_eq!(miner.exchange(&head).await.status(), 413);
    assert_eq!(miner.exchange(&RawRequest::signed(&[b'x'; 16]).bytes()).await.status(), 200);
}

#[tokio::test]
async fn a_request_whose_end_is_disputable_is_refused() {
    let miner = Miner::start().await;
    let chunked = |more: &str, body: &str| {
        let mut bytes = RawRequest::signed(b"x").head();
        bytes.extend(format!("{more}transfer-encoding: chunked\r\n\r\n{body}").into_bytes());
        bytes
    };
    for request in [
        chunked("", "1\r\nx\r\n0\r\n\r\n"),
        chunked("content-length: 1\r\n", "1\r\nx\r\n0\r\n\r\n"),
        chunked("", "ffffffffffffffffff\r\nx"),
        chunked("", "-1\r\nx\r\n0\r\n\r\n"),
        chunked("transfer-encoding: gzip\r\n", "1\r\nx\r\n0\r\n\r\n"),
    ] {
        let status = miner.exchange(&request).await.status();
        assert!([400, 411].contains(&status), "{status}");
    }
    for lengths in
        ["1\r\ncontent-length: 2", "1, 1", "+1", "-1", "0x1", "1 1", "99999999999999999999"]
    {
        let mut bytes = RawRequest::signed(b"x").head();
        bytes.extend(format!("content-length: {lengths}\r\n\r\nx").into_bytes());
        assert_eq!(miner.exchange(&bytes).await.status(), 400, "{lengths}");
    }
    assert_eq!(miner.calls(), 0);
}

#[tokio::test]
async fn heads_beyond_the_caps_are_refused() {
    let miner = Miner::start().await;
    let many = (0..70).fold(RawRequest::signed(b""), |r, n| r.with(&format!("x-{n}"), "v"));
    let long = RawRequest::signed(b"").with("x-long", &"v".repeat(20 * 1024));
    for request in [many, long] {
        assert_eq!(miner.exchange(&request.bytes()).await.status(), 431);
    }
    for garbage in
        [&b"\x16\x03\x01\x02\x00\x01\x00"[..], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\r\n\r\n"]
    {
        let status = miner.exchange(garbage).await.status();
        assert!([0, 400, 505].contains(&status), "{status}");
    }
    assert_eq!(miner.calls(), 0);
}

#[tokio::test]
async fn strangers_who_hold_every_connection_make_room_for_a_caller() {
    let limits = Limits { connections: 4, connections_per_ip: 4, ..Limits::default() };
    let miner = Miner::limited(limits).await;
    let mut strangers = Vec::new();
    for _ in 0..20 {
        strangers.push(TcpStream::connect(miner.socket()).await.unwrap());
    }
    assert_eq!(miner.exchange(&RawRequest::signed(b"x").bytes()).await.status(), 200);
}

#[tokio::test]
async fn proven_callers_are_not_sent_away() {
    let miner = Miner::limited(Limits { connections_per_ip: 1, ..Limits::default() }).await;
    let client = client_with(local());
    // The answer leaves an idle connection open, which is proven.
    client.post(&miner.endpoint, ECHO, "hello").await.unwrap();
    let refused = miner.exchange(&RawRequest::signed(b"x").bytes()).await;
    assert_eq!((refused.status(), miner.counters.connections_refused.get()), (0, 1));
    client.post(&miner.endpoint, ECHO, "hello").await.unwrap();
}

#[tokio::test]
async fn a_refusal_is_shorter_than_any_request() {
    let miner = Miner::start().await;
    for request in [
        &b"GET / HTTP/1.1\r\nhost: m\r\nconnection: close\r\n\r\n"[..],
        &RawRequest::signed(b"").with("x-bittensor-nonce", "1").bytes(),
    ] {
        let reply = miner.exchange(request).await;
        assert_eq!(reply.body(), Code::Malformed.body());
    }
}
