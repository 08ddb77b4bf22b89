//! What an auditor asks: what does this model make of these tokens, and which model is it.

use std::fmt::Write as _;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use inference::{Message, Prompt, Sampling, Shaping, evidence::Scheme, sample, shaping};
use openai_api::PromptInput;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Surface, asked::Asked, error::ApiError};

/// `POST /v1/score`: a prompt or a chat, the tokens that someone says came of it, and how they are said to
/// be drawn.
#[derive(Debug, Deserialize)]
struct Score {
    model: Option<String>,
    prompt: Option<Value>,
    messages: Option<Vec<Message>>,
    token_ids: Vec<u32>,
    #[serde(default)]
    temperature: f32,
    #[serde(default)]
    seed: u64,
    /// What was done to the distribution first, as evidence has it.
    #[serde(default)]
    shaping: Shaping,
    /// How hidden states are fingerprinted.
    #[serde(default)]
    fingerprint_scheme: Scheme,
}

/// Most tokens scored in one request.
const MAX_SCORED: usize = 8192;

impl Score {
    fn prompt(&mut self) -> Result<Prompt, ApiError> {
        if let Some(messages) = self.messages.take() {
            return Ok(Prompt::Chat(messages));
        }
        let prompt = self.prompt.take().ok_or_else(one_prompt)?;
        let mut prompts = PromptInput::read_all(&prompt, "prompt")?;
        match (prompts.pop(), prompts.is_empty()) {
            (Some(PromptInput::Text(text)), true) => Ok(Prompt::Text(text)),
            (Some(PromptInput::Tokens(ids)), true) => Ok(Prompt::Tokens(ids)),
            _ => Err(one_prompt()),
        }
    }
}

fn one_prompt() -> ApiError {
    ApiError::value("prompt", "one prompt, or 'messages', is needed")
}

pub(super) async fn score(State(surface): State<Surface>, asked: Asked) -> Response {
    let result = scores(&surface, &asked).await;
    surface.count(result.map(|scores| Json(scores).into_response()))
}

async fn scores(surface: &Surface, asked: &Asked) -> Result<Value, ApiError> {
    let _slot = surface.slot(asked)?;
    if surface.backends.is_some() {
        return Err(ApiError::no_route());
    }
    let mut request: Score =
        serde_json::from_slice(&asked.body).map_err(|error| ApiError::malformed(&error))?;
    let engine = surface.writer(request.model.as_deref())?;
    if request.token_ids.len() > MAX_SCORED {
        return Err(ApiError::value("token_ids", format!("there are more than {MAX_SCORED}")));
    }
    let sampling = Sampling::new(request.temperature, request.seed)
        .map_err(|error| ApiError::value("temperature", error))?;
    let prompt = request.prompt()?;
    let (scheme, shaping) = (request.fingerprint_scheme, &request.shaping);
    let audit =
        engine.audit_shaped(&prompt, &request.token_ids, &sampling, shaping, scheme).await?;
    let fingerprint = audit.states.fingerprint();
    let fingerprints: Vec<String> = fingerprint.bytes().iter().map(|bytes| hex(bytes)).collect();
    Ok(json!({
        "object": "score",
        "model": surface.name(),
        "model_id": &*surface.announced,
        "sampler": shaping.sampler(),
        "tokens": audit.checks,
        "fingerprint_scheme": scheme,
        "fingerprints": fingerprints,
    }))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// `GET /v1/identity`: what is served, and what can be proven about an answer. With backends nothing
/// can, beyond who signed it.
pub(super) async fn identity(State(surface): State<Surface>) -> Json<Value> {
    let own = surface.engine.as_deref().filter(|_| surface.backends.is_none());
    let Some(engine) = own else {
        return Json(json!({
            "model": null, "model_id": null, "engine": "openai-compatible", "evidence": [],
        }));
    };
    let model = engine.model();
    let samplers = [sample::SAMPLER, shaping::SHAPED_SAMPLER];
    let evidence: Vec<&str> = samplers.into_iter().chain(Scheme::ALL.map(Scheme::name)).collect();
    Json(json!({
        "model": surface.name(),
        "model_id": &*surface.announced,
        "numeric_class": model.id().class,
        "engine": concat!("ganglion/", env!("CARGO_PKG_VERSION")),
        "kernels": model.kernels(),
        "context": engine.context(),
        "evidence": evidence,
        "embedding_model_id": surface.embedder.as_ref().map(|embedder| embedder.id()),
    }))
}
