//! What the `OpenAI` clients of the world speak: chats, completions, models; and beside it what an
//! auditor asks, scores and identity.
//!
//! ```text
//! Asked (who, which bytes) ─▶ request (checked) ─▶ Engine::stream ─▶ reply | sse
//!                         └─▶ backend: the same bytes to the healthiest of other servers
//! ```
//!
//! The same routes stand behind the gate, for signed requests, and on a listener of their own, for
//! plain clients on this machine or behind a key. Parameters that `gumbel-v1` does not have are
//! refused by name, never ignored: what an answer was drawn from must be what was asked.

mod asked;
mod audit;
mod backend;
mod embeddings;
mod error;
mod reply;
mod request;
mod sse;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use inference::{Embedder, Engine, Event, Job};
use neuron::{Health, Metrics};
use serde_json::{Value, json};
use wire::UnixNanos;

pub(crate) use asked::Key;
pub use backend::{BackendError, Backends};

use crate::{Dues, Slots, admission::Slot, service::REQUESTS};
use asked::Asked;
use error::ApiError;
use request::{Chat, Completion, Form};

/// Longest request body: what the gate takes, too.
const BODY_BYTES: usize = 1 << 20;

/// What the routes need.
#[derive(Debug, Clone)]
pub struct Surface {
    /// What answers.
    pub engine: Arc<Engine>,
    /// The id announced.
    pub announced: Arc<str>,
    /// Requests under way, by caller.
    pub slots: Slots,
    /// What is due to each caller.
    pub dues: Dues,
    /// Counters, and why we may be unfit.
    pub health: Health,
    /// What makes embeddings, if anything here does.
    pub embedder: Option<Arc<Embedder>>,
    /// Other servers that answer in the engine's place.
    pub backends: Option<Backends>,
}

impl Surface {
    /// The routes, for behind the gate.
    pub fn router(self) -> Router {
        Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/completions", post(completion))
            .route("/v1/embeddings", post(embeddings::embeddings))
            .route("/v1/models", get(models))
            .route("/v1/models/{name}", get(model))
            .route("/v1/score", post(audit::score))
            .route("/v1/identity", get(audit::identity))
            .with_state(self)
    }

    /// The routes for everybody: is it up.
    pub fn open(self) -> Router {
        Router::new().route("/health", get(health)).with_state(self)
    }

    /// All routes, for a listener of their own; those that cost something want the key, if one is
    /// set.
    pub fn plain(self, key: Option<String>) -> Router {
        let open = Router::new().route("/metrics", get(metrics)).with_state(self.clone());
        let guarded = self.clone().router().fallback(nowhere);
        let guarded = match key.map(|key| Key::new(&key)) {
            Some(key) => guarded.layer(from_fn_with_state(key, asked::check)),
            None => guarded,
        };
        guarded.merge(open).merge(self.open()).layer(DefaultBodyLimit::max(BODY_BYTES))
    }

    /// The name that clients use.
    fn name(&self) -> &str {
        self.engine.name()
    }

    /// True for a name of what is served here.
    fn serves(&self, model: &str) -> bool {
        model == self.name() || model == &*self.announced
    }

    fn slot(&self, asked: &Asked) -> Result<Option<Slot>, ApiError> {
        let Some(caller) = asked.caller else { return Ok(None) };
        self.slots.take(caller).map(Some).ok_or_else(ApiError::too_many)
    }

    fn metrics(&self) -> &Metrics {
        &self.health.metrics
    }

    fn count(&self, result: Result<Response, ApiError>) -> Response {
        let code = result.as_ref().map_or_else(ApiError::code, |_| "ok");
        self.metrics().count(REQUESTS, &[("code", code)], 1);
        result.unwrap_or_else(ApiError::into_response)
    }

    async fn complete(&self, asked: Asked, path: &str) -> Result<Response, ApiError> {
        let slot = self.slot(&asked)?;
        if let Some(backends) = &self.backends {
            return backends.forward(path, asked.body).await;
        }
        let form = match path {
            CHAT => Form::of_chat(Chat::parse(&asked.body)?)?,
            _ => Form::of_completion(Completion::parse(&asked.body)?)?,
        };
        if let Some(model) = form.model.as_deref().filter(|model| !self.serves(model)) {
            return Err(ApiError::no_model(model));
        }
        let jobs: Vec<Job> = form.jobs(self.dues.share(asked.caller))?;
        let streams = jobs.into_iter().map(|job| self.engine.stream(job));
        let streams = streams.collect::<Result<Vec<_>, _>>()?;
        let answer = reply::Answer::new(self, &form)?;
        if form.stream {
            return Ok(sse::response(answer, self.metrics().clone(), streams, slot));
        }
        let mut done = Vec::new();
        for mut stream in streams {
            loop {
                if let Event::Done(completion) = stream.next().await? {
                    done.push(completion);
                    break;
                }
            }
        }
        reply::tally(self.metrics(), &done);
        Ok(Json(answer.whole(&done)).into_response())
    }
}

const CHAT: &str = "/v1/chat/completions";
const COMPLETION: &str = "/v1/completions";

async fn chat(State(surface): State<Surface>, asked: Asked) -> Response {
    let result = surface.complete(asked, CHAT).await;
    surface.count(result)
}

async fn completion(State(surface): State<Surface>, asked: Asked) -> Response {
    let result = surface.complete(asked, COMPLETION).await;
    surface.count(result)
}

/// The models served, as clients list them.
fn entries(surface: &Surface) -> Vec<Value> {
    let entry = |id: &str, root: &str, context: usize| {
        json!({
            "id": id,
            "object": "model",
            "created": seconds(),
            "owned_by": "ganglion",
            "root": root,
            "max_model_len": context,
        })
    };
    let writes = entry(surface.name(), &surface.announced, surface.engine.context());
    let embeds = surface
        .embedder
        .as_ref()
        .map(|embedder| entry(embedder.name(), &embedder.id().to_string(), embedder.context()));
    [writes].into_iter().chain(embeds).collect()
}

async fn models(State(surface): State<Surface>) -> Result<Response, ApiError> {
    if let Some(backends) = &surface.backends {
        return backends.fetch("/v1/models").await;
    }
    Ok(Json(json!({ "object": "list", "data": entries(&surface) })).into_response())
}

async fn model(
    State(surface): State<Surface>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let named = |entry: &Value| entry["id"] == *name || entry["root"] == *name;
    match entries(&surface).into_iter().find(named) {
        Some(entry) => Ok(Json(entry)),
        None => Err(ApiError::no_model(&name)),
    }
}

/// 200 once the model is loaded, and 503 while every backend is down.
async fn health(State(surface): State<Surface>) -> Response {
    let fit = surface.backends.as_ref().is_none_or(Backends::any_up);
    let status = if fit { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "status": if fit { "ok" } else { "no backend answers" } })))
        .into_response()
}

async fn metrics(State(surface): State<Surface>) -> Response {
    observe(surface.metrics(), &surface.engine);
    let kind = [("content-type", Metrics::CONTENT_TYPE)];
    (kind, surface.metrics().render()).into_response()
}

/// The engine's gauges, under vLLM's names for them.
pub(crate) fn observe(metrics: &Metrics, engine: &Engine) {
    let load = engine.load();
    let whole = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let used = whole(load.kv_blocks_used) / whole(load.kv_blocks.max(1));
    for (name, value) in [
        ("ganglion_num_requests_running", whole(load.running)),
        ("ganglion_num_requests_waiting", whole(load.waiting)),
        ("ganglion_kv_cache_usage_perc", used),
        ("ganglion_prefix_cache_hit_tokens", whole(load.cached_tokens)),
        ("ganglion_num_preemptions", whole(load.preemptions)),
    ] {
        metrics.set(name, &[], value);
    }
}

async fn nowhere() -> ApiError {
    ApiError::no_route()
}

/// Seconds since 1970, which clients want to see in every answer.
fn seconds() -> u64 {
    UnixNanos::now().0 / 1_000_000_000
}
