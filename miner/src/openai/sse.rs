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
use openai_api::FinishReason;
use serde_json::Value;

use super::{
    choice::{Choice, Piece},
    error::ApiError,
    order::Order,
    reply::{Answer, tally, value},
    responses::Narrator,
};
use crate::admission::Slot;

type Events = SelectAll<BoxStream<'static, (usize, Result<Event, EngineError>)>>;

/// The last frame of a stream.
const DONE: &str = "data: [DONE]\n\n";

/// In which form an answer is told.
pub(super) enum Telling {
    /// In chunks of a chat or a completion.
    Chunks(Answer),
    /// In the events of a response.
    Response(Answer, Narrator),
}

/// An answer on its way. Dropping it, as a disconnect does, cancels the jobs.
struct Teller {
    telling: Telling,
    events: Events,
    choices: Vec<Choice>,
    /// Characters of each choice's tokens that were sent.
    sent: Vec<usize>,
    done: Vec<Option<Completion>>,
    stage: Stage,
    metrics: Metrics,
    /// Where the prompt was, for errors.
    prompt: &'static str,
    /// The caller's place, held to the end.
    _slot: Option<Slot>,
}

enum Stage {
    Opening,
    Middle,
    Over,
}

pub(super) fn response(
    telling: Telling,
    order: &Order,
    metrics: Metrics,
    streams: Vec<inference::Stream>,
    slot: Option<Slot>,
) -> Response {
    let (Telling::Chunks(answer) | Telling::Response(answer, _)) = &telling;
    let count = streams.len();
    let teller = Teller {
        choices: (0..count).map(|_| Choice::new(&answer.engine, order)).collect(),
        telling,
        events: stream::select_all(streams.into_iter().enumerate().map(one_choice)),
        sent: vec![0; count],
        done: vec![None; count],
        stage: Stage::Opening,
        metrics,
        prompt: order.style.prompt(),
        _slot: slot,
    };
    let frames = stream::unfold(teller, |mut teller| async {
        let frame = teller.next().await?;
        Some((Ok::<_, Infallible>(frame), teller))
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

impl Teller {
    async fn next(&mut self) -> Option<Bytes> {
        if matches!(self.stage, Stage::Opening) {
            self.stage = Stage::Middle;
            let opening = self.opening();
            if !opening.is_empty() {
                return Some(opening.into());
            }
        }
        if matches!(self.stage, Stage::Over) {
            return None;
        }
        loop {
            match self.events.next().await {
                Some((index, Ok(event))) => {
                    let told = self.tell(index, event);
                    if !told.is_empty() {
                        return Some(told.into());
                    }
                }
                // Its turn never came: an answer of nothing, cut by its time.
                Some((index, Err(EngineError::Deadline { .. }))) => {
                    return Some(self.piece(index, Piece::End(FinishReason::Length)).into());
                }
                Some((_, Err(error))) => {
                    self.stage = Stage::Over;
                    return Some(self.fail(&ApiError::of_engine(error, self.prompt)).into());
                }
                None => {
                    self.stage = Stage::Over;
                    return Some(self.closing().into());
                }
            }
        }
    }

    fn opening(&mut self) -> String {
        match &mut self.telling {
            Telling::Chunks(answer) => {
                let openings = (0..self.sent.len()).filter_map(|index| answer.opening(index));
                openings.map(|opening| frame(&opening)).collect()
            }
            Telling::Response(answer, narrator) => narrator.opening(answer),
        }
    }

    fn tell(&mut self, index: usize, event: Event) -> String {
        let pieces = self.choices[index].hear(&event);
        if let Event::Done(done) = event {
            self.done[index] = Some(done);
        }
        pieces.into_iter().map(|piece| self.piece(index, piece)).collect()
    }

    fn piece(&mut self, index: usize, piece: Piece) -> String {
        let offset = self.sent[index];
        if let Piece::Text { drawn, .. } = &piece {
            self.sent[index] += drawn.iter().map(|drawn| drawn.text.chars().count()).sum::<usize>();
        }
        match &mut self.telling {
            Telling::Chunks(answer) => frame(&answer.piece(index, piece, offset)),
            Telling::Response(_, narrator) => narrator.piece(piece),
        }
    }

    fn closing(&mut self) -> String {
        let done: Vec<Completion> = self.done.drain(..).flatten().collect();
        let (Telling::Chunks(answer) | Telling::Response(answer, _)) = &self.telling;
        tally(&self.metrics, &answer.usage(&done));
        match &mut self.telling {
            Telling::Chunks(answer) => {
                let used = answer.include_usage.then(|| frame(&answer.used(&done)));
                used.unwrap_or_default() + DONE
            }
            Telling::Response(answer, narrator) => narrator.closing(answer, &done),
        }
    }

    /// An error in the middle is told, and the stream ends as streams do.
    fn fail(&mut self, error: &ApiError) -> String {
        match &mut self.telling {
            Telling::Chunks(_) => frame(&value(&error.body())) + DONE,
            Telling::Response(_, narrator) => narrator.fail(error),
        }
    }
}

/// One event that has data only.
fn frame(value: &Value) -> String {
    format!("data: {value}\n\n")
}
