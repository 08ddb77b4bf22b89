//! Answers: whole, and in the pieces that a stream sends.

use std::sync::Arc;

use inference::{Completion, Engine};
use neuron::Metrics;
use openai_api::{
    ChatChoice, ChatChunk, ChatCompletion, ChatLogprobs, ChunkChoice, Delta, DeltaCall,
    FinishReason, LogprobEntry, PromptDetails, Reply, TextChoice, TextCompletion, TextLogprobs,
    TopLogprob, Usage,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Surface,
    choice::{Choice, Drawn, Piece},
    error::ApiError,
    order::{Order, Style, random},
    seconds,
};

/// Everything that an answer's pieces have in common.
pub(super) struct Answer {
    pub(super) engine: Arc<Engine>,
    style: Style,
    pub(super) id: String,
    pub(super) created: u64,
    pub(super) model: String,
    fingerprint: Arc<str>,
    seed: u64,
    /// Answers to each prompt.
    each: usize,
    logprobs: bool,
    token_ids: bool,
    /// Token ids of the first prompt, where they are wanted.
    prompt: Option<Vec<u32>>,
    pub(super) include_usage: bool,
}

impl Answer {
    pub(super) fn new(
        surface: &Surface,
        engine: &Arc<Engine>,
        order: &Order,
    ) -> Result<Self, ApiError> {
        let prefix = match order.style {
            Style::Chat => "chatcmpl",
            Style::Plain => "cmpl",
        };
        let wanted = order.prompts.first().filter(|_| order.token_ids);
        let prompt = wanted.map(|prompt| engine.tokens(prompt)).transpose();
        Ok(Self {
            engine: Arc::clone(engine),
            style: order.style,
            id: format!("{prefix}-{:016x}{:016x}", random(), random()),
            created: seconds(),
            model: surface.name().to_owned(),
            fingerprint: Arc::clone(&surface.announced),
            seed: order.seed,
            each: order.choices as usize,
            logprobs: order.logprobs.is_some(),
            token_ids: order.token_ids,
            prompt: prompt.map_err(|error| ApiError::of_engine(error, order.style.prompt()))?,
            include_usage: order.include_usage,
        })
    }

    /// The whole answer.
    pub(super) fn whole(&self, order: &Order, done: &[Completion]) -> Value {
        let said: Vec<Said> = done
            .iter()
            .map(|done| Said::of(Choice::new(&self.engine, order).hear_all(done)))
            .collect();
        let (usage, fingerprint) = (self.usage(done), Some(self.fingerprint.to_string()));
        let seed = self.token_ids.then_some(self.seed);
        let (id, model) = (self.id.clone(), self.model.clone());
        match self.style {
            Style::Chat => value(&ChatCompletion {
                id,
                object: "chat.completion".to_owned(),
                created: self.created,
                model,
                system_fingerprint: fingerprint,
                choices: (0..).zip(said).map(|(i, said)| self.chat_choice(i, said)).collect(),
                usage,
                seed,
                prompt_token_ids: self.prompt.clone(),
            }),
            Style::Plain => value(&TextCompletion {
                id,
                object: "text_completion".to_owned(),
                created: self.created,
                model,
                system_fingerprint: fingerprint,
                choices: (0..).zip(said).map(|(i, said)| self.text_choice(i, said)).collect(),
                usage: Some(usage),
                seed,
                prompt_token_ids: self.prompt.clone(),
            }),
        }
    }

    fn chat_choice(&self, index: usize, said: Said) -> ChatChoice {
        // Where tools are called, no text is null.
        let content = (!said.text.is_empty() || said.calls.is_empty()).then_some(said.text);
        ChatChoice {
            index,
            message: Reply {
                role: "assistant".to_owned(),
                content,
                refusal: None,
                tool_calls: said.calls,
            },
            logprobs: self.logprobs.then(|| chat_logprobs(&said.drawn)),
            finish_reason: said.finish,
            token_ids: self.token_ids.then_some(said.token_ids),
        }
    }

    fn text_choice(&self, index: usize, said: Said) -> TextChoice {
        TextChoice {
            index,
            logprobs: self.logprobs.then(|| text_logprobs(&said.drawn, 0)),
            text: said.text,
            finish_reason: Some(said.finish),
            token_ids: self.token_ids.then_some(said.token_ids),
        }
    }

    /// A piece of choice `index` as a stream sends it, `offset` characters into its text.
    pub(super) fn piece(&self, index: usize, piece: Piece, offset: usize) -> Value {
        match self.style {
            Style::Chat => self.chat_piece(index, piece),
            Style::Plain => self.text_piece(index, piece, offset),
        }
    }

    fn chat_piece(&self, index: usize, piece: Piece) -> Value {
        let mut choice = ChunkChoice {
            index,
            delta: Delta::default(),
            logprobs: None,
            finish_reason: None,
            token_ids: None,
        };
        match piece {
            Piece::Text { text, drawn, token_ids } => {
                choice.delta.content = Some(text);
                choice.logprobs =
                    (self.logprobs && !drawn.is_empty()).then(|| chat_logprobs(&drawn));
                choice.token_ids = self.token_ids.then_some(token_ids);
            }
            Piece::Call(index, call) => choice.delta.tool_calls = vec![DeltaCall { index, call }],
            Piece::End(finish) => choice.finish_reason = Some(finish),
        }
        self.chat_chunk(vec![choice])
    }

    fn text_piece(&self, index: usize, piece: Piece, offset: usize) -> Value {
        let mut choice = TextChoice {
            index,
            text: String::new(),
            logprobs: None,
            finish_reason: None,
            token_ids: None,
        };
        match piece {
            Piece::Text { text, drawn, token_ids } => {
                choice.logprobs =
                    (self.logprobs && !drawn.is_empty()).then(|| text_logprobs(&drawn, offset));
                choice.text = text;
                choice.token_ids = self.token_ids.then_some(token_ids);
            }
            Piece::Call(..) => {}
            Piece::End(finish) => choice.finish_reason = Some(finish),
        }
        self.text_chunk(vec![choice], None)
    }

    /// The first piece of a chat's choice: whose turn it is.
    pub(super) fn opening(&self, index: usize) -> Option<Value> {
        let delta = Delta {
            role: Some("assistant".to_owned()),
            content: Some(String::new()),
            ..Delta::default()
        };
        let (logprobs, finish_reason, token_ids) = (None, None, None);
        let choice = ChunkChoice { index, delta, logprobs, finish_reason, token_ids };
        (self.style == Style::Chat).then(|| self.chat_chunk(vec![choice]))
    }

    /// The piece after all choices, for those who want to know what they used.
    pub(super) fn used(&self, done: &[Completion]) -> Value {
        let usage = self.usage(done);
        match self.style {
            Style::Chat => {
                let mut chunk = self.chat_chunk(Vec::new());
                chunk["usage"] = value(&usage);
                chunk
            }
            Style::Plain => self.text_chunk(Vec::new(), Some(usage)),
        }
    }

    fn chat_chunk(&self, choices: Vec<ChunkChoice>) -> Value {
        let mut chunk = value(&ChatChunk {
            id: self.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            created: self.created,
            model: self.model.clone(),
            system_fingerprint: Some(self.fingerprint.to_string()),
            choices,
            usage: None,
        });
        self.announce_usage(&mut chunk);
        chunk
    }

    fn text_chunk(&self, choices: Vec<TextChoice>, usage: Option<Usage>) -> Value {
        let mut chunk = value(&TextCompletion {
            id: self.id.clone(),
            object: "text_completion".to_owned(),
            created: self.created,
            model: self.model.clone(),
            system_fingerprint: Some(self.fingerprint.to_string()),
            choices,
            usage,
            seed: None,
            prompt_token_ids: None,
        });
        self.announce_usage(&mut chunk);
        chunk
    }

    /// As in the API: where usage comes at the end, all other pieces say null.
    fn announce_usage(&self, chunk: &mut Value) {
        if self.include_usage && chunk.get("usage").is_none() {
            chunk["usage"] = Value::Null;
        }
    }

    /// Each prompt counts once, whatever the number of its answers.
    pub(super) fn usage(&self, done: &[Completion]) -> Usage {
        let firsts = || done.iter().step_by(self.each.max(1));
        let prompt_tokens = firsts().map(|done| u64::from(done.prompt_tokens)).sum();
        let completion_tokens = done.iter().map(|done| done.token_ids.len() as u64).sum();
        let cached_tokens = firsts().map(|done| u64::from(done.cached_tokens)).sum();
        Usage {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens + completion_tokens,
            prompt_tokens_details: PromptDetails { cached_tokens },
        }
    }
}

/// All that came to one choice.
pub(super) struct Said {
    pub(super) text: String,
    drawn: Vec<Drawn>,
    token_ids: Vec<u32>,
    pub(super) calls: Vec<openai_api::ToolCall>,
    pub(super) finish: FinishReason,
}

impl Said {
    pub(super) fn of(pieces: Vec<Piece>) -> Self {
        let mut said = Self {
            text: String::new(),
            drawn: Vec::new(),
            token_ids: Vec::new(),
            calls: Vec::new(),
            finish: FinishReason::Stop,
        };
        for piece in pieces {
            match piece {
                Piece::Text { text, drawn, token_ids } => {
                    said.text.push_str(&text);
                    said.drawn.extend(drawn);
                    said.token_ids.extend(token_ids);
                }
                Piece::Call(_, call) => said.calls.push(call),
                Piece::End(finish) => said.finish = finish,
            }
        }
        said
    }
}

/// Plain data: serialising it cannot fail.
pub(super) fn value(data: &impl Serialize) -> Value {
    serde_json::to_value(data).unwrap_or_default()
}

/// A part of a character has no bytes of its own: the token that completes it has them all.
fn bytes(text: &str) -> Option<Vec<u8>> {
    (!text.contains(char::REPLACEMENT_CHARACTER)).then(|| text.as_bytes().to_vec())
}

fn chat_logprobs(drawn: &[Drawn]) -> ChatLogprobs {
    let likely = |(token, logprob): &(String, f32)| TopLogprob {
        token: token.clone(),
        logprob: *logprob,
        bytes: bytes(token),
    };
    let entry = |drawn: &Drawn| LogprobEntry {
        token: drawn.text.clone(),
        logprob: drawn.logprob,
        bytes: bytes(&drawn.text),
        top_logprobs: drawn.likely.iter().map(likely).collect(),
    };
    ChatLogprobs { content: drawn.iter().map(entry).collect(), refusal: None }
}

fn text_logprobs(drawn: &[Drawn], mut offset: usize) -> TextLogprobs {
    let mut all = TextLogprobs::default();
    for drawn in drawn {
        all.text_offset.push(offset);
        offset += drawn.text.chars().count();
        all.tokens.push(drawn.text.clone());
        all.token_logprobs.push(drawn.logprob);
        let mut top = Map::new();
        for (text, logprob) in &drawn.likely {
            // The likeliest of those that read alike.
            top.entry(text.clone()).or_insert_with(|| json!(logprob));
        }
        all.top_logprobs.push(top);
    }
    all
}

/// Counts what was served.
pub(super) fn tally(metrics: &Metrics, usage: &Usage) {
    metrics.count("ganglion_prompt_tokens_total", &[], usage.prompt_tokens);
    metrics.count("ganglion_generation_tokens_total", &[], usage.completion_tokens);
}
