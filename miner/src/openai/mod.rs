//! What the `OpenAI` clients of the world speak: chats, completions, responses, models; and beside it
//! what an auditor asks, scores and identity.
//!
//! ```text
//! Asked (who, which bytes) ─▶ openai_api (checked) ─▶ Order ─▶ Engine::stream ─▶ reply | sse
//!                         └─▶ backend: the same bytes to the healthiest of other servers
//! ```
//!
//! The same routes stand behind the gate, for signed requests, and on a listener of their own, for
//! plain clients on this machine or behind a key. What is not done is refused by name, never ignored:
//! what an answer was drawn from must be what was asked. `docs/openai.md` is the table.

mod asked;
mod audit;
mod backend;
mod choice;
mod embeddings;
mod error;
mod order;
mod prompt;
mod reply;
mod responses;
mod sse;
mod tools;

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderValue, Method, StatusCode},
    middleware::from_fn_with_state,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use inference::{Completion, Embedder, Engine, EngineError, Event, Stream};
use neuron::{Health, Metrics};
use openai_api::{Chat, Model, Responses};
use serde_json::{Value, json};
use tower_http::{
    cors::{AllowOrigin, Any, CorsLayer},
    normalize_path::NormalizePath,
};
use wire::UnixNanos;

pub(crate) use asked::Key;
pub use backend::{BackendError, Backends};

use crate::{Dues, Slots, admission::Slot, config::OpenAi, tasks::REQUESTS};
use asked::Asked;
use error::ApiError;
use order::Order;
use reply::{Answer, Said, tally, value};
use responses::Narrator;
use sse::Telling;

/// Longest request body: what the gate takes, too.
const BODY_BYTES: usize = 1 << 20;

/// What the routes need.
#[derive(Debug, Clone)]
pub struct Surface {
    /// What answers; nothing where others do.
    pub engine: Option<Arc<Engine>>,
    /// The id announced.
    pub announced: Arc<str>,
    /// Names that the model is served by, beside its own and its id.
    pub names: Arc<[String]>,
    /// Time in which an answer of the engine's is due, queueing included.
    pub answer_time: Duration,
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

/// Whose pages may ask from a browser.
#[derive(Debug, Clone)]
pub struct Origins(CorsLayer);

/// An origin that no page has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no origin of a page")]
pub struct OriginError(String);

impl Origins {
    /// From the settings; `None` where no page may ask.
    ///
    /// # Errors
    /// What is neither `*` nor scheme, host and port.
    pub fn new(settings: &OpenAi) -> Result<Option<Self>, OriginError> {
        let origins = &settings.cors_origins;
        let allowed = match &origins[..] {
            [] => return Ok(None),
            [all] if all == "*" => AllowOrigin::any(),
            origins => AllowOrigin::list(
                origins.iter().map(|text| origin(text)).collect::<Result<Vec<_>, _>>()?,
            ),
        };
        let layer = CorsLayer::new().allow_origin(allowed).allow_methods(Any).allow_headers(Any);
        Ok(Some(Self(layer)))
    }
}

fn origin(text: &str) -> Result<HeaderValue, OriginError> {
    let wrong = || OriginError(text.to_owned());
    let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    if host.is_none_or(|host| host.is_empty() || host.contains(['/', '*', ' '])) {
        return Err(wrong());
    }
    HeaderValue::from_str(text).map_err(|_| wrong())
}

impl Surface {
    /// The routes, for behind the gate.
    pub fn router(self) -> Router {
        Router::new()
            .route(CHAT, post(chat))
            .route(COMPLETION, post(completion))
            .route(RESPONSES, post(respond))
            .route("/v1/embeddings", post(embeddings::embeddings))
            .route("/v1/models", get(models))
            .route("/v1/models/{*name}", get(model))
            .route("/v1/score", post(audit::score))
            .route("/v1/identity", get(audit::identity))
            .method_not_allowed_fallback(no_method)
            .with_state(self)
    }

    /// The routes for everybody: is it up.
    pub fn open(self) -> Router {
        Router::new().route("/health", get(health)).with_state(self)
    }

    /// All routes, for a listener of their own; those that cost something want the key, if one is
    /// set, and pages of `origins` may ask from a browser.
    pub fn plain(self, key: Option<String>, origins: Option<Origins>) -> Router {
        let open = Router::new().route("/metrics", get(metrics)).with_state(self.clone());
        let guarded = self.clone().router().fallback(nowhere);
        let guarded = match key.map(|key| Key::new(&key)) {
            Some(key) => guarded.layer(from_fn_with_state(key, asked::check)),
            None => guarded,
        };
        let routes =
            guarded.merge(open).merge(self.open()).layer(DefaultBodyLimit::max(BODY_BYTES));
        let routes = match origins {
            Some(Origins(layer)) => routes.layer(layer),
            None => routes,
        };
        // Before the routes are looked at: some clients write a slash at the end.
        Router::new().fallback_service(NormalizePath::trim_trailing_slash(routes))
    }

    /// The name that clients use.
    fn name(&self) -> &str {
        let own = self.engine.as_deref().map_or("", Engine::name);
        self.names.first().map_or(own, String::as_str)
    }

    /// Every name of what writes here, the one it goes by first.
    fn all_names(&self) -> Vec<String> {
        let own = self.engine.as_deref().map(|engine| engine.name().to_owned());
        let mut names: Vec<String> = self.names.iter().cloned().chain(own).collect();
        names.dedup();
        names
    }

    /// True for a name of what is served here.
    fn serves(&self, model: &str) -> bool {
        model == &*self.announced || self.all_names().iter().any(|name| name == model)
    }

    /// Every name that can be asked for.
    fn served(&self) -> Vec<String> {
        let embeds = self.embedder.as_ref().map(|embedder| embedder.name().to_owned());
        self.all_names().into_iter().chain(embeds).collect()
    }

    /// The engine, for a request that names `model`.
    fn writer(&self, model: Option<&str>) -> Result<&Arc<Engine>, ApiError> {
        let engine = self.engine.as_ref().ok_or_else(ApiError::no_text)?;
        match model.filter(|model| !self.serves(model)) {
            Some(model) => Err(ApiError::no_model(model, &self.served())),
            None => Ok(engine),
        }
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

    /// Chats and completions.
    async fn complete(&self, asked: Asked, path: &str) -> Result<Response, ApiError> {
        let slot = self.slot(&asked)?;
        if let Some(backends) = &self.backends {
            return backends.forward(path, asked.body).await;
        }
        let (engine, order) = self.read(&asked.body, path)?;
        let streams = self.begin(engine, &order, &asked)?;
        let answer = Answer::new(self, engine, &order)?;
        if order.stream {
            let (telling, metrics) = (Telling::Chunks(answer), self.metrics().clone());
            return Ok(sse::response(telling, &order, metrics, streams, slot));
        }
        let done = finish(streams, &order).await?;
        tally(self.metrics(), &answer.usage(&done));
        Ok(Json(answer.whole(&order, &done)).into_response())
    }

    /// A chat or a completion, and what will answer it.
    fn read(&self, body: &[u8], path: &str) -> Result<(&Arc<Engine>, Order), ApiError> {
        if path == CHAT {
            let chat = Chat::parse(body)?;
            let engine = self.writer(chat.common.model.as_deref())?;
            return Ok((engine, Order::of_chat(&chat, engine)?));
        }
        let plain = openai_api::Completion::parse(body)?;
        let engine = self.writer(plain.common.model.as_deref())?;
        Ok((engine, Order::of_completion(plain)))
    }

    async fn respond(&self, asked: Asked) -> Result<Response, ApiError> {
        let slot = self.slot(&asked)?;
        if let Some(backends) = &self.backends {
            return backends.forward(RESPONSES, asked.body).await;
        }
        let request = Responses::parse(&asked.body)?;
        let engine = self.writer(request.chat.common.model.as_deref())?;
        let order = Order::of_chat(&request.chat, engine)
            .map_err(|error| error.moved("messages", "input"))?;
        let streams = self.begin(engine, &order, &asked);
        let streams = streams.map_err(|error| error.moved("messages", "input"))?;
        let answer = Answer::new(self, engine, &order)?;
        if order.stream {
            let telling = Telling::Response(answer, Narrator::new(&request));
            return Ok(sse::response(telling, &order, self.metrics().clone(), streams, slot));
        }
        let done = finish(streams, &order).await?;
        tally(self.metrics(), &answer.usage(&done));
        let Some(done) = done.first() else { return Err(ApiError::no_text()) };
        let said = Said::of(choice::Choice::new(engine, &order).hear_all(done));
        Ok(Json(responses::whole(&answer, &request, said, done)).into_response())
    }

    fn begin(
        &self,
        engine: &Engine,
        order: &Order,
        asked: &Asked,
    ) -> Result<Vec<Stream>, ApiError> {
        let jobs = order.jobs(self.dues.share(asked.caller), self.answer_time)?;
        let streams = jobs.into_iter().map(|job| engine.stream(job));
        let streams = streams.collect::<Result<Vec<_>, _>>();
        streams.map_err(|error| ApiError::of_engine(error, order.style.prompt()))
    }
}

/// Every answer. One whose turn never came is an answer of nothing beside others, and an error alone.
async fn finish(streams: Vec<Stream>, order: &Order) -> Result<Vec<Completion>, ApiError> {
    let mut ends = Vec::new();
    for stream in streams {
        match last(stream).await {
            Ok(done) => ends.push(Ok(done)),
            Err(error @ EngineError::Deadline { .. }) => ends.push(Err(error)),
            Err(error) => return Err(ApiError::of_engine(error, order.style.prompt())),
        }
    }
    if ends.iter().all(Result::is_err)
        && let Some(Err(error)) = ends.pop()
    {
        return Err(ApiError::of_engine(error, order.style.prompt()));
    }
    Ok(ends.into_iter().map(|end| end.unwrap_or_else(|_| Completion::none())).collect())
}

async fn last(mut stream: Stream) -> Result<Completion, EngineError> {
    loop {
        if let Event::Done(completion) = stream.next().await? {
            return Ok(completion);
        }
    }
}

const CHAT: &str = "/v1/chat/completions";
const COMPLETION: &str = "/v1/completions";
const RESPONSES: &str = "/v1/responses";

async fn chat(State(surface): State<Surface>, asked: Asked) -> Response {
    let result = surface.complete(asked, CHAT).await;
    surface.count(result)
}

async fn completion(State(surface): State<Surface>, asked: Asked) -> Response {
    let result = surface.complete(asked, COMPLETION).await;
    surface.count(result)
}

async fn respond(State(surface): State<Surface>, asked: Asked) -> Response {
    let result = surface.respond(asked).await;
    surface.count(result)
}

/// The models served, as clients list them: each by every name it has.
async fn entries(surface: &Surface) -> Result<Vec<Value>, ApiError> {
    if let Some(backends) = &surface.backends {
        return backends.models().await;
    }
    let entry = |id: &str, root: &str, context: usize| {
        value(&Model {
            id: id.to_owned(),
            object: "model".to_owned(),
            created: seconds(),
            owned_by: "ganglion".to_owned(),
            root: root.to_owned(),
            max_model_len: context,
        })
    };
    let context = surface.engine.as_ref().map_or(0, |engine| engine.context());
    let names = surface.all_names();
    let writes = names.iter().map(|name| entry(name, &surface.announced, context));
    let embeds = surface
        .embedder
        .as_ref()
        .map(|embedder| entry(embedder.name(), &embedder.id().to_string(), embedder.context()));
    Ok(writes.chain(embeds).collect())
}

async fn models(State(surface): State<Surface>) -> Result<Response, ApiError> {
    let data = entries(&surface).await?;
    Ok(Json(json!({ "object": "list", "data": data })).into_response())
}

async fn model(
    State(surface): State<Surface>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let named = |entry: &Value| entry["id"] == *name || entry["root"] == *name;
    let entries = entries(&surface).await?;
    let ids = entries.iter().filter_map(|entry| entry["id"].as_str().map(str::to_owned));
    let ids: Vec<String> = ids.collect();
    entries.into_iter().find(named).map(Json).ok_or_else(|| ApiError::no_model(&name, &ids))
}

/// 200 once the model is loaded, and 503 while every backend is down.
async fn health(State(surface): State<Surface>) -> Response {
    let fit = surface.backends.as_ref().is_none_or(Backends::any_up);
    let status = if fit { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "status": if fit { "ok" } else { "no backend answers" } })))
        .into_response()
}

async fn metrics(State(surface): State<Surface>) -> Response {
    if let Some(engine) = &surface.engine {
        observe(surface.metrics(), engine);
    }
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

async fn no_method(method: Method) -> ApiError {
    ApiError::no_method(&method)
}

/// Seconds since 1970, which clients want to see in every answer.
fn seconds() -> u64 {
    UnixNanos::now().0 / 1_000_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_all_or_named() {
        let origins = |texts: &[&str]| {
            let cors_origins = texts.iter().map(|text| (*text).to_owned()).collect();
            Origins::new(&OpenAi { cors_origins, ..OpenAi::default() })
        };
        assert!(origins(&[]).unwrap().is_none());
        for good in [&["*"][..], &["https://a.org", "http://localhost:3000"]] {
            assert!(origins(good).unwrap().is_some(), "{good:?}");
        }
        for wrong in
            [&["a.org"][..], &["https://a.org/"], &["https://"], &["https://*"], &["*", "*"]]
        {
            assert!(origins(wrong).is_err(), "{wrong:?}");
        }
    }
}
