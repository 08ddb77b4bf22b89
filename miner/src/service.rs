//! One request: parse, take a slot, generate, reply.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Json;
use axum::{Router, routing::post};
use chain::Keypair;
use inference::evidence::{Answer, Sampler, Scheme, Side};
use inference::{Completion, Engine, EngineError, Finish, Job, ModelId, Prompt, Sampling, Share};
use neuron::Metrics;
use wire::generate::{self, GenerateReply, GenerateRequest};
use wire::{Caller, Code, Refusal};

use crate::{Behaviour, Dues, Slots};

/// Time in which a completion must be done: what a validator waits for at most, and within the
/// server's own limit for handlers.
const DEADLINE: Duration = Duration::from_secs(100);

/// What a lazy miner answers, whatever is asked.
const LAZY_ANSWER: &str = " yes\n";

/// Name of the counter of requests by outcome.
pub(crate) const REQUESTS: &str = "ganglion_miner_requests_total";

/// What every request needs.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) engine: Arc<Engine>,
    /// The id announced: the engine's own, unless this is a rehearsal.
    pub(crate) announced: ModelId,
    /// Signs evidence.
    pub(crate) keypair: Keypair,
    pub(crate) behaviour: Behaviour,
    pub(crate) slots: Slots,
    pub(crate) dues: Dues,
    pub(crate) metrics: Metrics,
}

impl Service {
    /// The routes that callers reach once they are verified.
    pub(crate) fn router(self) -> Router {
        Router::new().route(generate::PATH, post(answer)).with_state(self)
    }

    async fn generate(&self, caller: &Caller) -> Result<GenerateReply, Refusal> {
        let mut request: GenerateRequest = caller.message()?;
        if request.model.take().is_some_and(|asked| asked != self.announced.to_string()) {
            return Err(Refusal(Code::BadMessage));
        }
        let _slot = self.slots.take(caller.hotkey()).ok_or(Refusal(Code::TooMany))?;
        match self.behaviour {
            Behaviour::Honest | Behaviour::Substitute { .. } => {
                self.complete(request, self.dues.share(Some(caller.hotkey()))).await
            }
            Behaviour::Lazy => self.shrug(&request),
        }
    }

    async fn complete(
        &self,
        request: GenerateRequest,
        share: Share,
    ) -> Result<GenerateReply, Refusal> {
        let sampling = Sampling::new(request.temperature, request.seed)
            .map_err(|_| Refusal(Code::BadMessage))?;
        let prompt = Prompt::Text(request.prompt);
        let prompt_ids = self.engine.tokens(&prompt).map_err(|error| refusal(&error))?;
        let job = Job {
            deadline: Some(DEADLINE),
            fingerprint: request.evidence.then(Scheme::default),
            share,
            ..Job::new(prompt_ids.clone(), request.max_tokens, sampling)
        };
        let done = self.engine.generate(job).await.map_err(|error| refusal(&error))?;
        let evidence = if request.evidence {
            Some(self.evidence(&sampling, prompt_ids, &done)?)
        } else {
            None
        };
        Ok(GenerateReply {
            evidence,
            model: self.announced.to_string(),
            token_ids: done.token_ids,
            text: done.text,
            finish: match done.finish {
                Finish::Stop => generate::Finish::Stop,
                Finish::Length => generate::Finish::Length,
            },
            prompt_tokens: done.prompt_tokens,
        })
    }

    /// The answer with what an auditor needs, signed by the miner's hotkey.
    fn evidence(
        &self,
        sampling: &Sampling,
        prompt_ids: Vec<u32>,
        done: &Completion,
    ) -> Result<serde_json::Value, Refusal> {
        let (temperature, seed) = (sampling.temperature(), sampling.seed());
        let sampler = Sampler::Seeded { temperature, seed, binding: None };
        let engine = self.engine.model().arithmetic().to_owned();
        let server = Side { model: self.announced, engine };
        let answer = Answer::record(server, sampler, prompt_ids, done);
        let key = *self.keypair.hotkey().as_bytes();
        answer
            .map(|answer| answer.signed_by(key, |bytes| self.keypair.sign(bytes)))
            .map_err(|error| error.to_string())
            .and_then(|answer| serde_json::to_value(answer).map_err(|error| error.to_string()))
            .map_err(|error| {
                tracing::error!(error, "no evidence could be recorded");
                Refusal(Code::NotReady)
            })
    }

    /// The same tokens for every prompt, ended as the model would end them.
    fn shrug(&self, request: &GenerateRequest) -> Result<GenerateReply, Refusal> {
        let model = self.engine.model();
        let mut token_ids =
            model.tokenizer().encode(LAZY_ANSWER).map_err(|_| Refusal(Code::BadMessage))?;
        token_ids.extend(model.config().eos.first());
        token_ids.truncate(request.max_tokens as usize);
        Ok(GenerateReply {
            model: self.announced.to_string(),
            token_ids,
            text: LAZY_ANSWER.to_owned(),
            finish: generate::Finish::Stop,
            prompt_tokens: 0,
            evidence: None,
        })
    }
}

async fn answer(
    State(service): State<Service>,
    caller: Caller,
) -> Result<Json<GenerateReply>, Refusal> {
    let result = service.generate(&caller).await;
    let code = match &result {
        Ok(_) => "ok",
        Err(refusal) => refusal.0.as_str(),
    };
    service.metrics.count(REQUESTS, &[("code", code)], 1);
    result.map(Json)
}

/// What a caller is told of an engine's failure. Everything that is the request's own fault is a
/// bad message; the rest is ours.
fn refusal(error: &EngineError) -> Refusal {
    Refusal(match error {
        EngineError::Busy { .. } => Code::TooMany,
        EngineError::Deadline { .. } => Code::HandlerTimeout,
        EngineError::EmptyPrompt
        | EngineError::NoTokens
        | EngineError::PromptBytes { .. }
        | EngineError::TooLong { .. }
        | EngineError::UnknownToken { .. }
        | EngineError::Stops
        | EngineError::Tokenizer(_) => Code::BadMessage,
        error => {
            tracing::error!(%error, "the engine failed");
            Code::NotReady
        }
    })
}
