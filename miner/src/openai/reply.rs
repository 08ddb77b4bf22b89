//! Answers: whole, and in the pieces that a stream sends.

use inference::{Completion, Engine, Finish, Prompt};
use neuron::Metrics;
use serde_json::{Map, Value, json};

use super::{
    Surface,
    error::ApiError,
    request::{Form, Style, random},
    seconds,
};
use std::sync::Arc;

/// Everything that an answer's pieces have in common.
pub(super) struct Answer {
    engine: Arc<Engine>,
    style: Style,
    id: String,
    created: u64,
    model: String,
    fingerprint: Arc<str>,
    seed: u64,
    logprobs: bool,
    token_ids: bool,
    /// Token ids of each prompt, where they are wanted.
    prompts: Vec<Vec<u32>>,
    pub(super) include_usage: bool,
}

/// A token and what was likely beside it.
pub(super) struct Drawn<'a> {
    pub(super) id: u32,
    pub(super) logprob: f32,
    pub(super) likeliest: &'a [(u32, f32)],
}

impl Answer {
    pub(super) fn new(surface: &Surface, form: &Form) -> Result<Self, ApiError> {
        let (prefix, engine) = match form.style {
            Style::Chat => ("chatcmpl", &surface.engine),
            Style::Plain => ("cmpl", &surface.engine),
        };
        let prompts: &[Prompt] = if form.token_ids { &form.prompts } else { &[] };
        let prompts = prompts.iter().map(|p| engine.tokens(p)).collect::<Result<_, _>>()?;
        Ok(Self {
            engine: Arc::clone(engine),
            style: form.style,
            id: format!("{prefix}-{:016x}{:016x}", random(), random()),
            created: seconds(),
            model: surface.name().to_owned(),
            fingerprint: Arc::clone(&surface.announced),
            seed: form.seed,
            logprobs: form.logprobs.is_some(),
            token_ids: form.token_ids,
            prompts,
            include_usage: form.include_usage,
        })
    }

    fn frame(&self, object: &str, choices: Vec<Value>) -> Map<String, Value> {
        let mut frame = Map::new();
        frame.insert("id".into(), self.id.clone().into());
        frame.insert("object".into(), object.into());
        frame.insert("created".into(), self.created.into());
        frame.insert("model".into(), self.model.clone().into());
        frame.insert("system_fingerprint".into(), (*self.fingerprint).into());
        frame.insert("choices".into(), choices.into());
        frame
    }

    /// The whole answer.
    pub(super) fn whole(&self, done: &[Completion]) -> Value {
        let choices = done.iter().enumerate().map(|(index, done)| self.choice(index, done));
        let object = match self.style {
            Style::Chat => "chat.completion",
            Style::Plain => "text_completion",
        };
        let mut frame = self.frame(object, choices.collect());
        frame.insert("usage".into(), usage(done));
        if self.token_ids {
            frame.insert("seed".into(), self.seed.into());
            if let Some(ids) = self.prompts.first() {
                frame.insert("prompt_token_ids".into(), json!(ids));
            }
        }
        frame.into()
    }

    fn choice(&self, index: usize, done: &Completion) -> Value {
        let none = Vec::new();
        let likeliest = |i: usize| done.likeliest.get(i).unwrap_or(&none);
        let tokens: Vec<Drawn<'_>> = (0..)
            .zip(done.token_ids.iter().zip(&done.logprobs))
            .map(|(i, (&id, &logprob))| Drawn { id, logprob, likeliest: likeliest(i) })
            .collect();
        let mut choice = Map::new();
        choice.insert("index".into(), index.into());
        match self.style {
            Style::Chat => {
                let message = json!({ "role": "assistant", "content": done.text, "refusal": null });
                choice.insert("message".into(), message);
            }
            Style::Plain => {
                choice.insert("text".into(), done.text.clone().into());
            }
        }
        choice.insert("logprobs".into(), self.logprobs(&tokens, 0));
        choice.insert("finish_reason".into(), reason(done.finish).into());
        if self.token_ids {
            choice.insert("token_ids".into(), json!(done.token_ids));
        }
        choice.into()
    }

    /// One piece of a stream: text of choice `index`, from byte `offset` of it on.
    pub(super) fn piece(
        &self,
        index: usize,
        text: &str,
        drawn: &[Drawn<'_>],
        offset: usize,
    ) -> Value {
        let mut choice = Map::new();
        choice.insert("index".into(), index.into());
        match self.style {
            Style::Chat => choice.insert("delta".into(), json!({ "content": text })),
            Style::Plain => choice.insert("text".into(), text.into()),
        };
        choice.insert("logprobs".into(), self.logprobs(drawn, offset));
        choice.insert("finish_reason".into(), Value::Null);
        if self.token_ids {
            let ids: Vec<u32> = drawn.iter().map(|drawn| drawn.id).collect();
            choice.insert("token_ids".into(), json!(ids));
        }
        self.chunk(vec![choice.into()])
    }

    /// The first piece of a chat's choice: whose turn it is.
    pub(super) fn opening(&self, index: usize) -> Option<Value> {
        let delta = json!({ "role": "assistant", "content": "", "refusal": null });
        let choice =
            json!({ "index": index, "delta": delta, "logprobs": null, "finish_reason": null });
        (self.style == Style::Chat).then(|| self.chunk(vec![choice]))
    }

    /// The last piece of a choice.
    pub(super) fn closing(&self, index: usize, finish: Finish) -> Value {
        let reason = reason(finish);
        self.chunk(vec![match self.style {
            Style::Chat => {
                json!({ "index": index, "delta": {}, "logprobs": null, "finish_reason": reason })
            }
            Style::Plain => {
                json!({ "index": index, "text": "", "logprobs": null, "finish_reason": reason })
            }
        }])
    }

    /// The piece after all choices, for those who want to know what they used.
    pub(super) fn used(&self, done: &[Completion]) -> Value {
        let mut chunk = self.chunk(Vec::new());
        chunk["usage"] = usage(done);
        chunk
    }

    fn chunk(&self, choices: Vec<Value>) -> Value {
        let object = match self.style {
            Style::Chat => "chat.completion.chunk",
            Style::Plain => "text_completion",
        };
        let mut frame = self.frame(object, choices);
        if self.include_usage {
            frame.insert("usage".into(), Value::Null);
        }
        frame.into()
    }

    fn logprobs(&self, drawn: &[Drawn<'_>], offset: usize) -> Value {
        if !self.logprobs || drawn.is_empty() {
            return Value::Null;
        }
        match self.style {
            Style::Chat => {
                let content: Vec<Value> = drawn
                    .iter()
                    .map(|drawn| {
                        let mut entry = self.likely(drawn.id, drawn.logprob);
                        let top = drawn.likeliest.iter().map(|&(id, p)| self.likely(id, p));
                        entry["top_logprobs"] = top.collect();
                        entry
                    })
                    .collect();
                json!({ "content": content, "refusal": null })
            }
            Style::Plain => self.plain_logprobs(drawn, offset),
        }
    }

    fn likely(&self, id: u32, logprob: f32) -> Value {
        let token = self.text(id);
        // A part of a character has no text of its own, and we keep no bytes of words.
        let bytes = (!token.contains(char::REPLACEMENT_CHARACTER)).then_some(token.as_bytes());
        json!({ "token": token, "logprob": logprob, "bytes": bytes })
    }

    fn plain_logprobs(&self, drawn: &[Drawn<'_>], mut offset: usize) -> Value {
        let (mut tokens, mut offsets, mut logprobs, mut top) = (vec![], vec![], vec![], vec![]);
        for drawn in drawn {
            let token = self.text(drawn.id);
            offsets.push(offset);
            offset += token.len();
            tokens.push(token);
            logprobs.push(drawn.logprob);
            let likely = drawn.likeliest.iter().map(|&(id, p)| (self.text(id), json!(p)));
            top.push(likely.collect::<Map<String, Value>>());
        }
        json!({
            "tokens": tokens,
            "token_logprobs": logprobs,
            "top_logprobs": top,
            "text_offset": offsets,
        })
    }

    /// A token's text; nothing for special ones.
    fn text(&self, id: u32) -> String {
        // The engine drew it, so it is in the vocabulary.
        self.engine.decode(&[id]).unwrap_or_default()
    }
}

const fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
    }
}

fn usage(done: &[Completion]) -> Value {
    let (prompt, completion) = tokens(done);
    let cached: u64 = done.iter().map(|done| u64::from(done.cached_tokens)).sum();
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": { "cached_tokens": cached },
    })
}

fn tokens(done: &[Completion]) -> (u64, u64) {
    let prompt = done.iter().map(|done| u64::from(done.prompt_tokens)).sum();
    (prompt, done.iter().map(|done| done.token_ids.len() as u64).sum())
}

/// Counts what was served.
pub(super) fn tally(metrics: &Metrics, done: &[Completion]) {
    let (prompt, completion) = tokens(done);
    metrics.count("ganglion_prompt_tokens_total", &[], prompt);
    metrics.count("ganglion_generation_tokens_total", &[], completion);
}
