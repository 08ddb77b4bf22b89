//! Answers that are sent while they are made.

use std::{convert::Infallible, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use hyper::body::Frame;
use tokio::sync::mpsc;
use wire::{AnswerError, Caller, ReplayStore, Streamed, server::Limits};

use crate::support::{ECHO, Miner, RawRequest, anyone, client_with, key, local, patient};

/// A body that is what is sent to it.
struct Piped(mpsc::Receiver<&'static str>);

impl hyper::body::Body for Piped {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = |text: &'static str| Ok(Frame::data(Bytes::from_static(text.as_bytes())));
        self.0.poll_recv(cx).map(|text| text.map(data))
    }
}

/// A miner whose one answer comes through the pipe.
async fn piped(limits: Limits) -> (Miner, mpsc::Sender<&'static str>) {
    let (send, receive) = mpsc::channel(8);
    let pipe = std::sync::Arc::new(std::sync::Mutex::new(Some(receive)));
    let handler = move |_: Caller| {
        let pipe = pipe.lock().unwrap().take().unwrap();
        async move { (Extension(Streamed), Body::new(Piped(pipe))).into_response() }
    };
    let router = Router::new().route("/v1/echo", post(handler));
    let replay = ReplayStore::for_new_key(patient());
    (Miner::serving(key("//Bob"), router, anyone, replay, limits).await, send)
}

#[tokio::test]
async fn the_first_words_come_before_the_last_are_known() {
    let (miner, say) = piped(Limits::default()).await;
    let client = client_with(local());
    say.send("Once upon ").await.unwrap();
    let mut answer = client.stream(&miner.endpoint, ECHO, "tell me").await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "Once upon ");
    say.send("a time.").await.unwrap();
    assert_eq!(answer.chunk().await.unwrap().unwrap(), "a time.");
    drop(say);
    assert_eq!(answer.chunk().await.unwrap(), None);
    assert_eq!(answer.chunk().await.unwrap(), None);
}

#[tokio::test]
async fn a_streamed_answer_can_be_taken_whole() {
    let (miner, say) = piped(Limits::default()).await;
    for part in ["Once ", "upon ", "a time."] {
        say.send(part).await.unwrap();
    }
    drop(say);
    let answer = client_with(local()).post(&miner.endpoint, ECHO, "tell me").await.unwrap();
    assert_eq!(answer.body, "Once upon a time.");
}

#[tokio::test]
async fn a_stream_that_is_too_long_or_too_late_is_not_an_answer() {
    let (miner, say) = piped(Limits { answer_bytes: 4, ..Limits::default() }).await;
    say.send("12345").await.unwrap();
    let long = client_with(local()).post(&miner.endpoint, ECHO, "tell me").await;
    assert!(matches!(long, Err(AnswerError::Connection(_))), "{long:?}");
    assert_eq!(miner.counters.failed.get(), 1);

    let limits = Limits { handler_time: Duration::from_millis(100), ..Limits::default() };
    let (miner, _say) = piped(limits).await;
    let late = client_with(local()).post(&miner.endpoint, ECHO, "tell me").await;
    assert!(matches!(late, Err(AnswerError::Connection(_))), "{late:?}");
    assert_eq!(miner.counters.failed.get(), 1);
}

#[tokio::test]
async fn a_client_that_takes_no_trailers_gets_the_body_all_the_same() {
    async fn handler(caller: Caller) -> Response {
        let body = caller.body().clone();
        (Extension(Streamed), body).into_response()
    }
    let router = Router::new().route("/v1/echo", post(handler));
    let replay = ReplayStore::for_new_key(patient());
    let miner = Miner::serving(key("//Bob"), router, anyone, replay, Limits::default()).await;
    let reply = miner.exchange(&RawRequest::signed(b"hello").bytes()).await;
    assert_eq!(reply.status(), 200);
    assert!(reply.body().contains("hello") && !reply.body().contains("x-ganglion-signature"));
    let proof = miner.exchange(&RawRequest::signed(b"hi").with("te", "trailers").bytes()).await;
    assert!(proof.body().contains("x-ganglion-signature: 0x"));
}
