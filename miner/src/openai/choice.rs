//! One answer as it comes: its text, its calls, and how likely its tokens were.

use std::collections::VecDeque;
use std::sync::Arc;

use inference::{Completion, Engine, Event, Finish, TextStream};
use openai_api::{FinishReason, ToolCall};

use super::{
    order::Order,
    tools::{Part, Splitter},
};

/// A token with its text, and what was likely beside it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drawn {
    /// Its part of the answer's text; nothing while a character is unfinished.
    pub(super) text: String,
    pub(super) logprob: f32,
    pub(super) likely: Vec<(String, f32)>,
}

/// What comes to an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Piece {
    /// Text, with its tokens where they are wanted.
    Text { text: String, drawn: Vec<Drawn>, token_ids: Vec<u32> },
    /// A call, of this number.
    Call(usize, ToolCall),
    /// The end.
    End(FinishReason),
}

/// An answer on its way.
pub(super) struct Choice {
    engine: Arc<Engine>,
    splitter: Option<Splitter>,
    scribe: Option<Scribe>,
    token_ids: bool,
    /// Bytes of its text that the engine handed out.
    heard: usize,
}

impl Choice {
    pub(super) fn new(engine: &Arc<Engine>, order: &Order) -> Self {
        Self {
            engine: Arc::clone(engine),
            splitter: order.calls.then(Splitter::default),
            scribe: order.logprobs.map(|_| Scribe::default()),
            token_ids: order.token_ids,
            heard: 0,
        }
    }

    /// What an event of the engine comes to, in order.
    pub(super) fn hear(&mut self, event: &Event) -> Vec<Piece> {
        match event {
            Event::Token { id, text, logprob, likeliest } => {
                self.heard += text.len();
                if let Some(scribe) = &mut self.scribe {
                    scribe.write(&self.engine, *id, *logprob, likeliest);
                }
                let ids = if self.token_ids { vec![*id] } else { Vec::new() };
                self.say(text, ids, false)
            }
            Event::Done(done) => {
                // What was held back, as it might have become a stop text.
                let rest = done.text.get(self.heard..).unwrap_or_default().to_owned();
                let mut pieces = self.say(&rest, Vec::new(), true);
                pieces.push(Piece::End(self.reason(done.finish)));
                pieces
            }
            _ => Vec::new(),
        }
    }

    /// All that a finished completion comes to, in as few pieces as possible.
    pub(super) fn hear_all(&mut self, done: &Completion) -> Vec<Piece> {
        let nothing = Vec::new();
        if let Some(scribe) = &mut self.scribe {
            for (index, (&id, &logprob)) in done.token_ids.iter().zip(&done.logprobs).enumerate() {
                let likeliest = done.likeliest.get(index).unwrap_or(&nothing);
                scribe.write(&self.engine, id, logprob, likeliest);
            }
        }
        let ids = if self.token_ids { done.token_ids.clone() } else { Vec::new() };
        let mut pieces = self.say(&done.text, ids, true);
        pieces.push(Piece::End(self.reason(done.finish)));
        pieces
    }

    fn reason(&self, finish: Finish) -> FinishReason {
        let calls = self.splitter.as_ref().is_some_and(|splitter| splitter.calls > 0);
        match finish {
            Finish::Length => FinishReason::Length,
            Finish::Stop if calls => FinishReason::ToolCalls,
            Finish::Stop => FinishReason::Stop,
        }
    }

    fn say(&mut self, text: &str, token_ids: Vec<u32>, last: bool) -> Vec<Piece> {
        let parts = match &mut self.splitter {
            None => vec![Part::Text(text.to_owned())],
            Some(splitter) => {
                let mut parts = splitter.push(text);
                if last {
                    parts.extend(splitter.finish());
                }
                parts
            }
        };
        let mut said = String::new();
        let mut calls = Vec::new();
        for part in parts {
            match part {
                // Text comes before calls: the form says so.
                Part::Text(text) => said.push_str(&text),
                Part::Call(call) => calls.push(call),
            }
        }
        let drawn =
            self.scribe.as_mut().map_or_else(Vec::new, |scribe| scribe.show(said.len(), last));
        let mut pieces = Vec::new();
        if !said.is_empty() || !drawn.is_empty() || !token_ids.is_empty() {
            pieces.push(Piece::Text { text: said, drawn, token_ids });
        }
        let all = self.splitter.as_ref().map_or(0, |splitter| splitter.calls);
        let first = all - calls.len();
        pieces.extend((first..).zip(calls).map(|(index, call)| Piece::Call(index, call)));
        pieces
    }
}

/// Keeps each token until its text is shown, so that the texts of the tokens shown are the text shown.
#[derive(Debug, Default)]
struct Scribe {
    stream: TextStream,
    waiting: VecDeque<Drawn>,
    /// Bytes that were shown beyond the tokens handed out.
    shown: usize,
}

impl Scribe {
    fn write(&mut self, engine: &Engine, id: u32, logprob: f32, likeliest: &[(u32, f32)]) {
        let tokenizer = engine.model().tokenizer();
        // The engine drew them, so they are in the vocabulary.
        let likely = likeliest.iter().map(|&(id, logprob)| {
            (self.stream.preview(tokenizer, id).unwrap_or_default(), logprob)
        });
        let likely = likely.collect();
        let text = self.stream.push(tokenizer, id).unwrap_or_default();
        self.waiting.push_back(Drawn { text, logprob, likely });
    }

    /// The tokens that `more` shown bytes of text complete. At the end the one that the text ends in is
    /// cut with it, and those behind are not shown.
    fn show(&mut self, more: usize, last: bool) -> Vec<Drawn> {
        self.shown += more;
        let mut out = Vec::new();
        while self.waiting.front().is_some_and(|next| next.text.len() <= self.shown) {
            let Some(drawn) = self.waiting.pop_front() else { break };
            self.shown -= drawn.text.len();
            out.push(drawn);
        }
        if last && self.shown > 0 {
            out.extend(self.waiting.pop_front().map(|mut cut| {
                let end = (0..=self.shown).rev().find(|&at| cut.text.is_char_boundary(at));
                cut.text.truncate(end.unwrap_or(0));
                cut
            }));
        }
        out
    }
}
