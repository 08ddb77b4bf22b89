//! Errors as the API words them: `{"error":{"message","type","param","code"}}`.

use std::fmt;

use axum::{
    Json,
    http::{StatusCode, header::RETRY_AFTER},
    response::{IntoResponse, Response},
};
use inference::{EngineError, ShapingError, TokenizerError};
use openai_api::{ErrorBody, ErrorDetail, Fault};

/// Seconds after which a refused caller may try again: a few short answers later.
const RETRY_SECONDS: &str = "1";

/// A request that is not answered.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    code: &'static str,
    param: Option<String>,
    message: String,
}

const INVALID: &str = "invalid_request_error";
const SERVER: &str = "server_error";

impl ApiError {
    const fn new(
        status: StatusCode,
        kind: &'static str,
        code: &'static str,
        message: String,
    ) -> Self {
        Self { status, kind, code, param: None, message }
    }

    /// The same of another field: a response's input is a chat's messages.
    pub(super) fn moved(self, from: &str, to: &str) -> Self {
        let Some(rest) = self.param.as_deref().and_then(|param| param.strip_prefix(from)) else {
            return self;
        };
        let (was, is) = (format!("'{from}{rest}'"), format!("'{to}{rest}'"));
        Self {
            message: self.message.replace(&was, &is),
            param: Some(is[1..is.len() - 1].to_owned()),
            ..self
        }
    }

    fn about(self, param: &str) -> Self {
        Self { param: Some(param.to_owned()), ..self }
    }

    /// A parameter out of bounds.
    pub(super) fn value(param: &str, message: impl fmt::Display) -> Self {
        Fault::value(param, message).into()
    }

    /// A parameter that cannot be followed, and is not ignored.
    pub(super) fn unsupported(param: &str, why: impl fmt::Display) -> Self {
        Fault::unsupported(param, why).into()
    }

    /// A body that is not the request it should be.
    pub(super) fn malformed(error: &serde_json::Error) -> Self {
        Fault::json(error).into()
    }

    pub(super) fn too_large(bytes: usize) -> Self {
        let message = format!("The request body is longer than {bytes} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, INVALID, "request_too_large", message)
    }

    /// A model that is not served, beside those that are.
    pub(super) fn no_model(name: &str, served: &[String]) -> Self {
        let message = format!(
            "The model `{name}` does not exist or you do not have access to it. Served here: {}.",
            served.join(", ")
        );
        Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", message).about("model")
    }

    pub(super) fn no_embeddings(name: &str) -> Self {
        let message = format!("The model `{name}` does not produce embeddings.");
        Self::new(StatusCode::BAD_REQUEST, INVALID, "unsupported_model", message).about("model")
    }

    /// A server with neither a model that writes nor others behind it.
    pub(super) fn no_text() -> Self {
        let message = "No model that writes is served here.".to_owned();
        Self::new(StatusCode::NOT_FOUND, INVALID, "model_not_found", message).about("model")
    }

    /// More tokens than the model reads.
    pub(super) fn too_long(param: &str, tokens: usize, context: usize) -> Self {
        let message = format!(
            "This model's maximum context length is {context} tokens, and your request comes to \
             {tokens} tokens."
        );
        let code = "context_length_exceeded";
        Self::new(StatusCode::BAD_REQUEST, INVALID, code, message).about(param)
    }

    /// What is no fault of the request.
    pub(super) fn failed(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error, "the engine failed");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self::new(status, SERVER, "engine_failed", error.to_string())
    }

    pub(super) fn no_route() -> Self {
        let message = "Unknown request URL.".to_owned();
        Self::new(StatusCode::NOT_FOUND, INVALID, "unknown_url", message)
    }

    pub(super) fn no_method(method: &axum::http::Method) -> Self {
        let message = format!("Not allowed to {method} on this URL; see the 'allow' header.");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, INVALID, "method_not_allowed", message)
    }

    pub(super) fn no_key() -> Self {
        let message = "Incorrect API key provided; send 'Authorization: Bearer KEY'.".to_owned();
        Self::new(StatusCode::UNAUTHORIZED, INVALID, "invalid_api_key", message)
    }

    pub(super) fn too_many() -> Self {
        let message = "Too many requests under way; try again shortly.".to_owned();
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", "rate_limit_exceeded", message)
    }

    /// No server behind this one answers.
    pub(super) fn no_backend(tried: usize) -> Self {
        let message = format!(
            "None of {tried} servers answers; try again shortly. This server's log says why."
        );
        Self::new(StatusCode::SERVICE_UNAVAILABLE, SERVER, "no_backend", message)
    }

    /// A server behind this one took longer than is waited for.
    pub(super) fn backend_timeout(seconds: u64) -> Self {
        let message = format!("The server behind this one was silent for {seconds} seconds.");
        Self::new(StatusCode::GATEWAY_TIMEOUT, SERVER, "timeout", message)
    }

    /// A server behind this one broke off.
    pub(super) fn backend_broke() -> Self {
        let message = "The server behind this one broke off its answer.".to_owned();
        Self::new(StatusCode::BAD_GATEWAY, SERVER, "backend_broke_off", message)
    }

    /// What the engine says of a request whose prompt is in field `prompt`.
    pub(super) fn of_engine(error: EngineError, prompt: &str) -> Self {
        let param = match error {
            EngineError::Busy { .. } => return Self::too_many(),
            EngineError::Deadline { .. } => {
                let message = "Its time passed before the request had its turn.".to_owned();
                return Self::new(StatusCode::GATEWAY_TIMEOUT, SERVER, "timeout", message);
            }
            EngineError::TooLong { tokens, context } => {
                return Self::too_long(prompt, tokens, context);
            }
            EngineError::Tokenizer(TokenizerError::ReservedArgument(_)) => "chat_template_kwargs",
            EngineError::EmptyPrompt
            | EngineError::PromptBytes { .. }
            | EngineError::UnknownToken { .. }
            | EngineError::Tokenizer(_) => prompt,
            EngineError::NoTokens => "max_tokens",
            EngineError::Stops => "stop",
            EngineError::Shaping(ShapingError::Bias { .. }) => "logit_bias",
            EngineError::Shaping(ShapingError::Bounds { name, .. }) => name,
            EngineError::Shaping(_) | EngineError::Form(_) => "response_format",
            error => return Self::failed(&error),
        };
        Self::value(param, chain(&error))
    }

    /// The code, for metrics.
    pub(super) const fn code(&self) -> &'static str {
        self.code
    }

    /// The body.
    pub(super) fn body(&self) -> ErrorBody {
        let Self { message, kind, param, code, .. } = self;
        ErrorBody {
            error: ErrorDetail {
                message: message.clone(),
                kind: (*kind).to_owned(),
                param: param.clone(),
                code: Some((*code).to_owned()),
            },
        }
    }
}

/// An error with its causes: what a template says of a chat is in the last of them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let Fault { code, param, message } = fault;
        Self { param, ..Self::new(StatusCode::BAD_REQUEST, INVALID, code.as_str(), message) }
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
        Self::of_engine(error, "prompt")
    }
}
