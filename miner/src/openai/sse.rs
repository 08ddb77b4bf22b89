//! Answers sent as they are made: server-sent events.

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    http::header::{CACHE_CONTROL, CONTENT_TYPE},
    response::{IntoResponse as _, Response},
};
use futures::{
    StreamExt as _,
    stream::{self, BoxStream, SelectAll},
};
use inference::{Completion, EngineError, Event};
use neuron::Metrics;
use serde_json::Value;

use super::{
    error::ApiError,
    reply::{Answer, Drawn, tally},
};
use crate::admission::Slot;

type Events = SelectAll<BoxStream<'static, (usize, Result<Event, EngineError>)>>;

/// An answer on its way. Dropping it, as a disconnect does, cancels the jobs.
struct Telling {
    answer: Answer,
    events: Events,
    /// Bytes of each choice that were sent.
    sent: Vec<usize>,
    done: Vec<Completion>,
    stage: Stage,
    metrics: Metrics,
    /// The caller's place, held to the end.
    _slot: Option<Slot>,
}

enum Stage {
    Opening,
    Middle,
    Over,
}

pub(super) fn response(
    answer: Answer,
    metrics: Metrics,
    streams: Vec<inference::Stream>,
    slot: Option<Slot>,
) -> Response {
    let sent = vec![0; streams.len()];
    let events = stream::select_all(streams.into_iter().enumerate().map(one_choice));
    let stage = Stage::Opening;
    let telling = Telling { answer, events, sent, done: Vec::new(), stage, metrics, _slot: slot };
    let frames = stream::unfold(telling, |mut telling| async {
        let frame = telling.next().await?;
        Some((Ok::<_, Infallible>(frame), telling))
    });
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-cache")];
    let mut response = (headers, Body::from_stream(frames)).into_response();
    // Behind the gate: signed at its end, not held until then.
    response.extensions_mut().insert(wire::Streamed);
    response
}

fn one_choice(
    (index, stream): (usize, inference::Stream),
) -> BoxStream<'static, (usize, Result<Event, EngineError>)> {
    let events = stream::unfold(Some(stream), move |stream| async move {
        let mut stream = stream?;
        let event = stream.next().await;
        let last = matches!(event, Err(_) | Ok(Event::Done(_)));
        Some(((index, event), (!last).then_some(stream)))
    });
    events.boxed()
}

impl Telling {
    async fn next(&mut self) -> Option<Bytes> {
        match self.stage {
            Stage::Opening => {
                self.stage = Stage::Middle;
                let opening: Vec<Value> =
                    (0..self.sent.len()).filter_map(|index| self.answer.opening(index)).collect();
                if opening.is_empty() { self.middle().await } else { Some(frames(&opening)) }
            }
            Stage::Middle => self.middle().await,
            Stage::Over => None,
        }
    }

    async fn middle(&mut self) -> Option<Bytes> {
        loop {
            match self.events.next().await {
                Some((index, Ok(event))) => {
                    if let Some(piece) = self.piece(index, event) {
                        return Some(frames(&[piece]));
                    }
                }
                Some((_, Err(error))) => {
                    self.stage = Stage::Over;
                    return Some(frames(&[ApiError::from(error).body()]));
                }
                None => {
                    self.stage = Stage::Over;
                    tally(&self.metrics, &self.done);
                    let used = self.answer.include_usage.then(|| self.answer.used(&self.done));
                    let mut last = used.map(|used| frames(&[used]).to_vec()).unwrap_or_default();
                    last.extend_from_slice(b"data: [DONE]\n\n");
                    return Some(last.into());
                }
            }
        }
    }

    fn piece(&mut self, index: usize, event: Event) -> Option<Value> {
        match event {
            Event::Token { id, text, logprob, likeliest } => {
                let drawn = [Drawn { id, logprob, likeliest: &likeliest }];
                let piece = self.answer.piece(index, &text, &drawn, self.sent[index]);
                self.sent[index] += text.len();
                Some(piece)
            }
            Event::Done(done) => {
                let closing = self.answer.closing(index, done.finish);
                self.done.push(done);
                Some(closing)
            }
            _ => None,
        }
    }
}

fn frames(values: &[Value]) -> Bytes {
    let mut text = String::new();
    for value in values {
        text.push_str("data: ");
        text.push_str(&value.to_string());
        text.push_str("\n\n");
    }
    text.into()
}
