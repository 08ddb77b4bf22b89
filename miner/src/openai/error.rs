//! Errors as the API words them: `{"error":{"message","type","param","code"}}`.

use std::fmt;

use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use inference::EngineError;
use serde_json::{Value, json};

/// Seconds after which a refused caller may try again: a few short answers later.
const RETRY_SECONDS: &str = "1";

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    param: Option<&'static str>,
    message: String,
}

const INVALID: &str = "invalid_request_error";

impl ApiError {
    const fn new(
        status: StatusCode,
        kind: &'static str,
        code: &'static str,
        message: String,
    ) -> Self {
        Self { status, kind, code, param: None, message }
    }

    /// A parameter out of bounds.
    pub(super) fn value(param: &'static str, message: impl fmt::Display) -> Self {
        let message = format!("Invalid value for '{param}': {message}.");
        let error = Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_value", message);
        Self { param: Some(param), ..error }
    }

    /// A parameter that cannot be followed, and is not ignored.
    pub(super) fn unsupported(param: &'static str, why: &str) -> Self {
        let message = format!("Unsupported parameter: '{param}' is not supported here: {why}.");
        let error = Self::new(StatusCode::BAD_REQUEST, INVALID, "unsupported_parameter", message);
        Self { param: Some(param), ..error }
    }

    /// A body that is not the request it should be.
    pub(super) fn malformed(error: &serde_json::Error) -> Self {
        let message = format!("We could not parse the JSON body of your request: {error}.");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "invalid_json", message)
    }

    pub(super) fn too_large(bytes: usize) -> Self {
        let message = format!("The request body is longer than {bytes} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, "request_too_large", message)
    }

    pub(super) fn no_model(name: &str) -> Self {
        let message = format!("The model `{name}` does not exist or you do not have access to it.");
        let error = Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", message);
        Self { param: Some("model"), ..error }
    }

    pub(super) fn no_embeddings(name: &str) -> Self {
        let message = format!("The model `{name}` does not produce embeddings.");
        let error = Self::new(StatusCode::BAD_REQUEST, INVALID, "unsupported_model", message);
        Self { param: Some("model"), ..error }
    }

    /// More tokens than the model reads.
    pub(super) fn too_long(param: &'static str, tokens: usize, context: usize) -> Self {
        let message = format!(
            "This model's maximum context length is {context} tokens, and your request comes to \
             {tokens} tokens."
        );
        let code = "context_length_exceeded";
        let error = Self::new(StatusCode::BAD_REQUEST, INVALID, code, message);
        Self { param: Some(param), ..error }
    }

    /// What is no fault of the request.
    pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "the engine failed");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, "server_error", "engine_failed", error.to_string())
    }

    pub(super) fn no_route() -> Self {
        let message = "Unknown request URL.".to_owned();
        Self::new(StatusCode::NOT_FOUND, INVALID, "unknown_url", message)
    }

    pub(super) fn no_key() -> Self {
        let message = "Incorrect API key provided.".to_owned();
        Self::new(StatusCode::UNAUTHORIZED, INVALID, "invalid_api_key", message)
    }

    pub(super) fn too_many() -> Self {
        let message = "Too many requests under way; try again shortly.".to_owned();
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message)
    }

    /// No server behind this one answers.
    pub(super) fn no_backend(tried: usize) -> Self {
        let message = format!("None of {tried} servers answers; try again shortly.");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", "no_backend", message)
    }

    /// The code, for metrics.
    pub(super) const fn code(&self) -> &'static str {
        self.code
    }

    /// The body.
    pub(super) fn body(&self) -> Value {
        let Self { message, kind, param, code, .. } = self;
        json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let retry = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
        if retry.contains(&self.status) {
            return (self.status, [(RETRY_AFTER, RETRY_SECONDS)], Json(self.body()))
                .into_response();
        }
        (self.status, Json(self.body())).into_response()
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        let param = match error {
            EngineError::Busy { .. } => return Self::too_many(),
            EngineError::Deadline { .. } => {
                return Self::new(StatusCode::GATEWAY_TIMEOUT, "server_error", "timeout", message);
            }
            EngineError::TooLong { tokens, context } => {
                return Self::too_long("messages", tokens, context);
            }
            EngineError::EmptyPrompt
            | EngineError::PromptBytes { .. }
            | EngineError::UnknownToken { .. }
            | EngineError::Tokenizer(_) => "prompt",
            EngineError::NoTokens => "max_tokens",
            EngineError::Stops => "stop",
            error => return Self::failed(&error),
        };
        Self::value(param, message)
    }
}
