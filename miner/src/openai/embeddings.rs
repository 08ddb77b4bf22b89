//! `POST /v1/embeddings`: from an encoder of our own, or from the servers behind.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use inference::{EmbedError, Embedder, Embedding, Passage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Surface, asked::Asked, error::ApiError};

const PATH: &str = "/v1/embeddings";

/// Most texts of one request, as in the API.
const MAX_PASSAGES: usize = 2048;

#[derive(Debug, Deserialize)]
struct Request {
    model: Option<String>,
    input: Input,
    #[serde(default)]
    encoding_format: Encoding,
    dimensions: Option<usize>,
}

/// Text or token ids, one text or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Input {
    Text(String),
    Texts(Vec<String>),
    Tokens(Vec<u32>),
    ManyTokens(Vec<Vec<u32>>),
}

/// How a vector is written.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// As a list of numbers.
    #[default]
    Float,
    /// As the base64 of little-endian f32: what the official clients ask for unless told otherwise.
    Base64,
}

impl Input {
    fn passages(self) -> Vec<Passage> {
        match self {
            Self::Text(text) => vec![Passage::Text(text)],
            Self::Texts(texts) => texts.into_iter().map(Passage::Text).collect(),
            Self::Tokens(tokens) => vec![Passage::Tokens(tokens)],
            Self::ManyTokens(texts) => texts.into_iter().map(Passage::Tokens).collect(),
        }
    }
}

impl Encoding {
    fn write(self, vector: &[f32]) -> Value {
        match self {
            Self::Float => json!(vector),
            Self::Base64 => {
                let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                BASE64_STANDARD.encode(bytes).into()
            }
        }
    }
}

pub(super) async fn embeddings(State(surface): State<Surface>, asked: Asked) -> Response {
    let result = embed(&surface, asked).await;
    surface.count(result)
}

async fn embed(surface: &Surface, asked: Asked) -> Result<Response, ApiError> {
    let _slot = surface.slot(&asked)?;
    if let Some(backends) = &surface.backends {
        return backends.forward(PATH, asked.body).await;
    }
    let Some(embedder) = &surface.embedder else {
        return Err(ApiError::no_embeddings(surface.name()));
    };
    let request: Request =
        serde_json::from_slice(&asked.body).map_err(|error| ApiError::malformed(&error))?;
    check(surface, embedder, &request)?;
    let encoding = request.encoding_format;
    let passages = request.input.passages();
    if !(1..=MAX_PASSAGES).contains(&passages.len()) {
        return Err(ApiError::value("input", format!("1 to {MAX_PASSAGES} texts are taken")));
    }
    let done = embedder.embed(passages).await?;
    let tokens: usize = done.iter().map(|embedding| embedding.tokens).sum();
    let entry = |(index, Embedding { vector, .. }): (usize, &Embedding)| json!({ "object": "embedding", "index": index, "embedding": encoding.write(vector) });
    Ok(Json(json!({
        "object": "list",
        "data": done.iter().enumerate().map(entry).collect::<Vec<_>>(),
        "model": embedder.name(),
        "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
    }))
    .into_response())
}

fn check(surface: &Surface, embedder: &Embedder, request: &Request) -> Result<(), ApiError> {
    match request.model.as_deref() {
        None => {}
        Some(model) if model == embedder.name() || model == embedder.id().to_string() => {}
        Some(model) if surface.serves(model) => return Err(ApiError::no_embeddings(model)),
        Some(model) => return Err(ApiError::no_model(model, &surface.served())),
    }
    let whole = embedder.dimensions();
    match request.dimensions {
        Some(asked) if asked != whole => {
            let why = format!("this model's vectors have {whole} dimensions and cannot be cut");
            Err(ApiError::unsupported("dimensions", why))
        }
        _ => Ok(()),
    }
}

impl From<EmbedError> for ApiError {
    fn from(error: EmbedError) -> Self {
        match error {
            EmbedError::Busy => Self::too_many(),
            EmbedError::TooLong { tokens, context, .. } => Self::too_long("input", tokens, context),
            EmbedError::Failed => Self::failed(&error),
            error => Self::value("input", error),
        }
    }
}
