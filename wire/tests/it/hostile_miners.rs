//! Miners that do anything but answer: each question ends, and says how.

use std::{net::Ipv4Addr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use wire::{Answer, AnswerError, Endpoint, Question, answer::AnswerSignatureError, client::Limits};

use crate::support::{ECHO, Miner, client_with, key, local};

/// What a hostile miner does with a connection once it has read something.
#[derive(Clone, Copy, Debug)]
enum Mode {
    Mute,
    SlowHead,
    SlowBody,
    EndlessInterim,
    EndlessBody,
    EndlessHead,
    HugeLength,
    Garbage,
    NotHttp,
    Hangup,
    HalfBody,
    BadChunk,
    Redirect,
    Gzip,
    Unsigned,
    WrongSignature,
}

const OK: &str = "HTTP/1.1 200 OK\r\n";

/// Plays a mode until the other side has had enough.
async fn play(mode: Mode, stream: &mut TcpStream) -> std::io::Result<()> {
    let mut request = [0; 4096];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    let say = |text: String| text.into_bytes();
    let (opening, repeated, pause) = match mode {
        Mode::Mute => (vec![], vec![], 10),
        Mode::SlowHead => (say(OK.into()), say("x".into()), 10),
        Mode::SlowBody => (say(format!("{OK}content-length: 9999\r\n\r\n")), say("x".into()), 10),
        Mode::EndlessInterim => (vec![], say("HTTP/1.1 102 Processing\r\n\r\n".into()), 1),
        Mode::EndlessBody => {
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            (say(format!("{OK}transfer-encoding: chunked\r\n\r\n")), say(chunk), 0)
        }
        Mode::EndlessHead => (say(OK.into()), say(format!("x-h: {}\r\n", "y".repeat(1000))), 0),
        Mode::HugeLength => (say(format!("{OK}content-length: 99999999999\r\n\r\n")), vec![], 10),
        Mode::Garbage => (say("\u{1}\u{2}\u{3}\r\n\r\n".repeat(10)), vec![], 10),
        Mode::NotHttp => (say("SSH-2.0-OpenSSH_9.9\r\n".into()), vec![], 10),
        Mode::Hangup => return Ok(()),
        Mode::HalfBody => {
            return stream.write_all(&say(format!("{OK}content-length: 9\r\n\r\nhalf"))).await;
        }
        Mode::BadChunk => {
            (say(format!("{OK}transfer-encoding: chunked\r\n\r\nzz\r\n")), vec![], 10)
        }
        Mode::Redirect => {
            let to = "http://169.254.169.254/latest/meta-data";
            (
                say(format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")),
                vec![],
                10,
            )
        }
        Mode::Gzip => {
            let bomb = "content-encoding: gzip\r\ncontent-length: 9\r\n\r\nnot a gz.";
            (say(format!("{OK}{bomb}")), vec![], 10)
        }
        Mode::Unsigned => (say(format!("{OK}content-length: 2\r\n\r\n{{}}")), vec![], 10),
        Mode::WrongSignature => {
            let signature = format!("x-ganglion-signature: 0x{}", "ab".repeat(64));
            (say(format!("{OK}{signature}\r\ncontent-length: 2\r\n\r\n{{}}")), vec![], 10)
        }
    };
    stream.write_all(&opening).await?;
    loop {
        stream.write_all(&repeated).await?;
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

/// A miner on a socket of its own that plays `mode` to everybody.
async fn hostile(mode: Mode, tasks: &mut JoinSet<()>) -> Endpoint {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move { play(mode, &mut stream).await });
        }
    });
    Endpoint { ip: Ipv4Addr::LOCALHOST.into(), port, hotkey: key("//Bob").hotkey() }
}

async fn ask(mode: Mode, deadline: Duration) -> Result<Answer, AnswerError> {
    let mut tasks = JoinSet::new();
    let endpoint = hostile(mode, &mut tasks).await;
    let limits = Limits { deadline, answer_bytes: 1 << 20, ..local() };
    client_with(limits).post(&endpoint, ECHO, "x").await
}

#[tokio::test]
async fn a_miner_that_takes_its_time_ends_at_the_deadline() {
    let after = Duration::from_millis(300);
    for mode in [Mode::Mute, Mode::SlowHead, Mode::SlowBody, Mode::EndlessInterim] {
        let ended = ask(mode, after).await;
        let timed_out = matches!(ended, Err(AnswerError::Timeout { after: a }) if a == after);
        assert!(timed_out, "{mode:?}: {ended:?}");
    }
}

#[tokio::test]
async fn each_way_of_not_answering_has_its_name() {
    for (mode, code) in [
        (Mode::EndlessBody, "too_large"),
        (Mode::HugeLength, "too_large"),
        (Mode::EndlessHead, "garbage"),
        (Mode::Garbage, "garbage"),
        (Mode::NotHttp, "garbage"),
        (Mode::Hangup, "connection"),
        (Mode::HalfBody, "connection"),
        (Mode::Redirect, "status"),
        (Mode::Gzip, "encoded"),
        (Mode::Unsigned, "bad_signature"),
        (Mode::WrongSignature, "bad_signature"),
    ] {
        let error = ask(mode, Duration::from_secs(20)).await.unwrap_err();
        assert_eq!(error.code(), code, "{mode:?}: {error:?}");
    }
    let broken = ask(Mode::BadChunk, Duration::from_secs(20)).await.unwrap_err();
    assert!(["connection", "garbage"].contains(&broken.code()), "{broken:?}");
}

#[tokio::test]
async fn nobody_there_is_a_failed_connection() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let hotkey = key("//Bob").hotkey();
    let endpoint = Endpoint { ip: Ipv4Addr::LOCALHOST.into(), port, hotkey };
    let failed = client_with(local()).post(&endpoint, ECHO, "x").await;
    assert!(matches!(failed, Err(AnswerError::Connection(_))), "{failed:?}");
}

#[tokio::test]
async fn an_answer_of_yesterday_or_of_another_miner_is_no_answer() {
    // Someone in the middle who gives every question the same recorded answer.
    let miner = Miner::start().await;
    let recorded = miner.exchange(&crate::support::RawRequest::signed(b"x").bytes()).await.0;
    assert!(recorded.starts_with(b"HTTP/1.1 200"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                stream.write_all(&recorded).await.unwrap_or_default();
            }
        }
    });
    let endpoint = Endpoint { port, ..miner.endpoint };
    let stale = client_with(local()).post(&endpoint, ECHO, "x").await;
    let wrong = AnswerSignatureError::Wrong;
    assert!(matches!(stale, Err(AnswerError::BadSignature(e)) if e == wrong), "{stale:?}");
}

#[tokio::test]
async fn one_hostile_miner_does_not_hold_up_the_others() {
    let miner = Miner::start().await;
    let mut tasks = JoinSet::new();
    let mut endpoints = vec![miner.endpoint; 3];
    for mode in [Mode::Mute, Mode::EndlessBody, Mode::SlowBody] {
        endpoints.push(hostile(mode, &mut tasks).await);
    }
    let question = |endpoint| Question { endpoint, path: ECHO.to_owned(), body: "hello".into() };
    let limits = Limits { deadline: Duration::from_secs(2), answer_bytes: 1 << 20, ..local() };
    let outcomes =
        client_with(limits).fan_out(endpoints.into_iter().map(question).collect(), 64).await;
    let answered: Vec<bool> = outcomes.iter().map(|(_, outcome)| outcome.is_ok()).collect();
    assert_eq!(answered, [true, true, true, false, false, false]);
}
