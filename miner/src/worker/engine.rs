//! The miner's own engine as a worker: it continues prompts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chain::Keypair;
use inference::evidence::{Answer, Sampler, Scheme, Side};
use inference::{
    Completion, Engine, EngineError, Finish, Job as Writing, ModelId, Prompt, Sampling,
};
use serde::Deserialize;
use serde_json::Value;
use subnet_rules::serve::{self, Reply};
use subnet_rules::work::{WorkError, answered, asked};

use super::{Job, Worker};
use crate::{Behaviour, Dues};

/// What a lazy miner answers, whatever is asked.
const LAZY_ANSWER: &str = " yes\n";
/// Tokens written where a task names no number.
const TOKENS: u32 = 256;
/// Most that a task may ask for.
const TOKENS_MAX: u32 = 4096;

/// Continues prompts by an engine.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    pub(crate) engine: Arc<Engine>,
    /// The id announced: the engine's own, unless this is a rehearsal.
    pub(crate) announced: ModelId,
    /// Signs evidence.
    pub(crate) keypair: Keypair,
    pub(crate) behaviour: Behaviour,
    pub(crate) dues: Dues,
}

/// A prompt, as far as a task has one; what else it holds is the rule's own.
#[derive(Debug, Deserialize)]
struct Task {
    prompt: String,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    temperature: f32,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    evidence: bool,
}

#[async_trait]
impl Worker for Writer {
    async fn answer(&self, job: Job) -> Result<Value, WorkError> {
        let deadline = job.deadline();
        let task: Task = asked(&job.task)?;
        if task.model.as_ref().is_some_and(|asked| *asked != self.announced.to_string()) {
            return Err(WorkError::Task(format!("the model served here is {}", self.announced)));
        }
        let max_tokens = task.max_tokens.unwrap_or(TOKENS);
        if !(1..=TOKENS_MAX).contains(&max_tokens) {
            return Err(WorkError::Task(format!("max_tokens {max_tokens}: 1 to {TOKENS_MAX}")));
        }
        if self.behaviour.is_idle() {
            return answered(&self.shrug(max_tokens)?);
        }
        let share = self.dues.share(Some(job.caller));
        let sampling = Sampling::new(task.temperature, task.seed)
            .map_err(|error| WorkError::Task(error.to_string()))?;
        answered(&self.write(&task, sampling, max_tokens, share, deadline).await?)
    }
}

impl Writer {
    async fn write(
        &self,
        task: &Task,
        sampling: Sampling,
        max_tokens: u32,
        share: inference::Share,
        deadline: Duration,
    ) -> Result<Reply, WorkError> {
        let prompt = Prompt::Text(task.prompt.clone());
        let prompt_ids = self.engine.tokens(&prompt).map_err(|error| failed(&error))?;
        let writing = Writing {
            deadline: Some(deadline),
            fingerprint: task.evidence.then(Scheme::default),
            share,
            ..Writing::new(prompt_ids.clone(), max_tokens, sampling)
        };
        let done = self.engine.generate(writing).await.map_err(|error| failed(&error))?;
        let evidence = task.evidence.then(|| self.evidence(&sampling, prompt_ids, &done));
        Ok(Reply {
            evidence: evidence.transpose()?,
            model: self.announced.to_string(),
            token_ids: done.token_ids,
            text: done.text,
            finish: match done.finish {
                Finish::Stop => serve::Finish::Stop,
                Finish::Length => serve::Finish::Length,
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
    ) -> Result<Value, WorkError> {
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
            .map_err(|error| WorkError::Failed(format!("no evidence can be recorded: {error}")))
    }

    /// The same tokens for every prompt, ended as the model would end them; of who ends at once, the end.
    fn shrug(&self, max_tokens: u32) -> Result<Reply, WorkError> {
        let model = self.engine.model();
        let text = if self.behaviour.ends_early() { "" } else { LAZY_ANSWER };
        let mut token_ids = if text.is_empty() {
            Vec::new()
        } else {
            let ids = model.tokenizer().encode(text);
            ids.map_err(|error| WorkError::Failed(error.to_string()))?
        };
        token_ids.extend(model.config().eos.first());
        token_ids.truncate(max_tokens as usize);
        Ok(Reply {
            model: self.announced.to_string(),
            token_ids,
            text: text.to_owned(),
            finish: serve::Finish::Stop,
            prompt_tokens: 0,
            evidence: None,
        })
    }
}

/// What the request is to blame for is its own; the rest is ours.
fn failed(error: &EngineError) -> WorkError {
    match error {
        EngineError::EmptyPrompt
        | EngineError::NoTokens
        | EngineError::PromptBytes { .. }
        | EngineError::TooLong { .. }
        | EngineError::UnknownToken { .. }
        | EngineError::Stops
        | EngineError::Tokenizer(_) => WorkError::Task(error.to_string()),
        EngineError::Busy { .. } => WorkError::Busy,
        error => WorkError::Failed(error.to_string()),
    }
}
