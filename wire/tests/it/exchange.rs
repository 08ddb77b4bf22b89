//! What is meant to happen.

use axum::{Json, Router, routing::post};
use http::StatusCode;
use sp_core::{Pair as _, ed25519};
use wire::{
    AnswerError, Caller, Code, Question, Refusal, ReplayStore, Roster, Signer,
    client::AddressError, server,
};

use crate::support::{ECHO, Miner, anyone, client_with, key, local, patient};

#[tokio::test]
async fn an_answer_is_the_miners_to_what_was_asked() {
    let miner = Miner::start().await;
    let client = client_with(local());
    let answer = client.post(&miner.endpoint, ECHO, "hello").await.unwrap();
    assert_eq!((answer.miner, &answer.body[..]), (key("//Bob").hotkey(), &b"hello"[..]));
    assert!(answer.timing.first_byte <= answer.timing.total);
    assert!(client.get(&miner.endpoint, ECHO).await.unwrap().body.is_empty());
    assert_eq!((miner.calls(), miner.counters.verified.get()), (2, 2));
}

#[tokio::test]
async fn either_side_may_sign_with_ed25519() {
    let key = |name| Signer::from(ed25519::Pair::from_string(name, None).unwrap());
    let router = Router::new().route("/v1/echo", post(|c: Caller| async move { c.body().clone() }));
    let replay = ReplayStore::for_new_key(patient());
    let miner =
        Miner::serving(key("//Bob"), router, anyone, replay, server::Limits::default()).await;
    let client = wire::Client::new(key("//Alice"), local()).unwrap();
    assert_eq!(&client.post(&miner.endpoint, ECHO, "hello").await.unwrap().body[..], b"hello");
}

#[tokio::test]
async fn a_message_that_does_not_read_is_refused_and_one_that_does_is_answered() {
    async fn twice(caller: Caller) -> Result<Json<u64>, Refusal> {
        Ok(Json(2 * caller.message::<u64>()?))
    }
    let router = Router::new().route("/v1/echo", post(twice));
    let replay = ReplayStore::for_new_key(patient());
    let miner =
        Miner::serving(key("//Bob"), router, anyone, replay, server::Limits::default()).await;
    let client = client_with(local());
    let answer = client.post(&miner.endpoint, ECHO, "21").await.unwrap();
    assert_eq!(answer.message::<u64>().unwrap(), 42);
    assert_eq!(answer.request.hotkey, client.hotkey());

    let nonsense = client.post(&miner.endpoint, ECHO, "{}").await;
    let status = StatusCode::UNPROCESSABLE_ENTITY.as_u16();
    assert!(matches!(nonsense, Err(AnswerError::Status(s)) if s == status));
}

#[tokio::test]
async fn a_caller_who_is_not_on_the_roster_is_refused_before_his_body_is_read() {
    let roster: Roster = [key("//Charlie").hotkey()].into_iter().collect();
    let replay = ReplayStore::for_new_key(patient());
    let miner = Miner::with(roster, replay, server::Limits::default()).await;
    let mut head = crate::support::RawRequest::signed(b"never sent").head();
    head.extend(b"content-length: 10\r\n\r\n");
    let reply = miner.exchange(&head).await;
    assert_eq!((reply.status(), reply.body().as_str()), (403, Code::Unknown.body()));
    assert_eq!(miner.counters.refused(Code::Unknown), 1);
}

#[tokio::test]
async fn a_fan_out_returns_in_the_order_asked_and_one_failure_harms_no_other() {
    let miners = [Miner::start().await, Miner::start().await, Miner::start().await];
    let question = |n: usize| Question {
        endpoint: miners[n].endpoint,
        path: ECHO.to_owned(),
        body: format!("question {n}").into(),
    };
    let mut questions: Vec<Question> = (0..3).map(question).collect();
    questions[1].endpoint.port = 22;
    for concurrency in [1, 2, 64] {
        let outcomes = client_with(local()).fan_out(questions.clone(), concurrency).await;
        let body = |n: usize| outcomes[n].1.as_ref().unwrap().body.clone();
        assert_eq!((&body(0)[..], &body(2)[..]), (&b"question 0"[..], &b"question 2"[..]));
        let refused = AddressError::Port { port: 22 };
        assert!(matches!(outcomes[1].1, Err(AnswerError::Address(e)) if e == refused));
    }
    assert!(client_with(local()).fan_out(Vec::new(), 8).await.is_empty());
}

#[tokio::test]
async fn a_published_address_of_this_machine_is_not_called_from_the_public_network() {
    let miner = Miner::start().await;
    let client = client_with(wire::client::Limits::default());
    let refused = client.post(&miner.endpoint, ECHO, "x").await;
    assert!(matches!(refused, Err(AnswerError::Address(AddressError::NotPublic { .. }))));
    assert_eq!(miner.counters.connections.get(), 0);
}
