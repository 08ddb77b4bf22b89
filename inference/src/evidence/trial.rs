//! Answers on fresh prompts, honest or not, and what a verifier reads in them.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    answer::{Answer, AnswerError, Sampler},
    calibration::{Drawn, Pair, Side},
    prompts,
    reading::Reading,
    states::Scheme,
};
use crate::{
    Completion, Engine, EngineError, EngineOptions, Finish, Job, Model, Prompt, Sampling,
    SamplingError, Shaping,
};

/// Answers computed at once, unless a trial says otherwise: enough that reading the weights is paid by
/// many, and no more than wait in an engine's queue.
pub(super) const AT_ONCE: usize = 48;

/// An engine that computes as many at once.
pub(super) fn engine(model: impl Into<Arc<Model>>) -> Engine {
    Engine::start(model, EngineOptions { sequences: AT_ONCE, ..EngineOptions::default() })
}

/// A trial that could not be run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The engine refused or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Impossible sampling parameters.
    #[error(transparent)]
    Sampling(#[from] SamplingError),
    /// An answer that is not of one piece.
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// Computes one answer to `text`, with its evidence.
pub async fn answer(
    engine: &Engine,
    text: &str,
    max_tokens: u32,
    sampler: Sampler,
    scheme: Scheme,
) -> Result<Answer, TrialError> {
    let server = Server { named: engine, writer: Writer::Itself(engine), max_tokens, scheme };
    server.answer(text, sampler).await
}

/// Re-reads an answer with an engine of the verifier's: one prefill.
pub async fn read(verifier: &Engine, answer: &Answer) -> Result<Reading, TrialError> {
    let prompt = Prompt::Tokens(answer.prompt_ids.clone());
    let sampling = answer.sampler.sampling()?;
    let (shaping, scheme) = (answer.sampler.shaping(), answer.fingerprint.scheme());
    let ids = &answer.completion_ids;
    let audit = verifier.audit_shaped(&prompt, ids, &sampling, &shaping, scheme).await?;
    Ok(Reading::new(answer, &audit))
}

/// What an engine of ours is to a calibration.
pub fn side(engine: &Engine) -> Side {
    Side { model: engine.model_id(), engine: engine.model().arithmetic().to_owned() }
}

/// Who writes an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Writer<'a> {
    /// The named model, or a deviation from it.
    Itself(&'a Engine),
    /// The named model, under a system prompt of the server's own.
    Altered(&'a Engine),
    /// A model of the same vocabulary, whose text the named model then reads.
    Forger(&'a Engine),
    /// A model of any vocabulary, whose text the named model then reads.
    Relay(&'a Engine),
}

/// A server under trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Server<'a> {
    /// The engine of the model that its answers name.
    pub(super) named: &'a Engine,
    pub(super) writer: Writer<'a>,
    pub(super) max_tokens: u32,
    pub(super) scheme: Scheme,
}

/// Prompts to answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trial<'a> {
    pub(super) server: Server<'a>,
    pub(super) sequences: u32,
    pub(super) drawn: Drawn,
    /// Answers computed at once.
    pub(super) at_once: usize,
}

impl Trial<'_> {
    /// The answers; `done` is called after each.
    pub(super) async fn answers(&self, done: &dyn Fn()) -> Result<Vec<Answer>, TrialError> {
        let Drawn { seed, temperature, .. } = self.drawn;
        stream::iter(0..self.sequences)
            .map(|index| async move {
                let seed_of = seed.wrapping_mul(SEED_STRIDE).wrapping_add(index.into());
                let sampler = Sampler::Seeded { temperature, seed: seed_of, binding: None };
                let answer = self.server.answer(&prompts::text(seed, index), sampler).await?;
                done();
                Ok(answer)
            })
            .buffered(self.at_once)
            .try_collect()
            .await
    }
}

impl Server<'_> {
    fn job(&self, prompt_ids: &[u32], sampling: Sampling, shaping: &Shaping) -> Job {
        let (fingerprint, shaping) = (Some(self.scheme), shaping.clone());
        Job { shaping, fingerprint, ..Job::new(prompt_ids.to_vec(), self.max_tokens, sampling) }
    }

    /// The answer to `text`, naming the named model whoever writes.
    pub(super) async fn answer(&self, text: &str, sampler: Sampler) -> Result<Answer, TrialError> {
        let tokenizer = self.named.model().tokenizer();
        let prompt_ids = self.named.tokens(&prompts::prompt(tokenizer, text))?;
        let (sampling, shaping) = (sampler.sampling()?, sampler.shaping());
        let job = |prompt_ids: &[u32]| self.job(prompt_ids, sampling, &shaping);
        let completion = match self.writer {
            Writer::Itself(engine) => engine.generate(job(&prompt_ids)).await?,
            Writer::Altered(engine) => {
                let altered = engine.tokens(&prompts::altered(tokenizer, text))?;
                engine.generate(job(&altered)).await?
            }
            Writer::Forger(engine) => {
                let written = engine.generate(job(&prompt_ids)).await?;
                self.read_through(&prompt_ids, written, sampling).await?
            }
            Writer::Relay(engine) => {
                let prompt = prompts::prompt(engine.model().tokenizer(), text);
                let job = Job { prompt, ..job(&[]) };
                let mut written = engine.generate(job).await?;
                written.token_ids = self
                    .named
                    .model()
                    .tokenizer()
                    .encode(&written.text)
                    .map_err(EngineError::from)?;
                // A text of nothing still needs a token to be an answer: the last of the prompt.
                if written.token_ids.is_empty() {
                    written.token_ids.extend(prompt_ids.last());
                }
                written.token_ids.truncate(self.max_tokens as usize);
                self.read_through(&prompt_ids, written, sampling).await?
            }
        };
        Ok(Answer::record(side(self.named), sampler, prompt_ids, &completion)?)
    }

    /// The forger's second half: one pass of the named model over another's text yields the
    /// log-probabilities and fingerprints of an honest server.
    async fn read_through(
        &self,
        prompt_ids: &[u32],
        written: Completion,
        sampling: Sampling,
    ) -> Result<Completion, TrialError> {
        let prompt = Prompt::Tokens(prompt_ids.to_vec());
        let audit = self.named.audit(&prompt, &written.token_ids, &sampling, self.scheme).await?;
        let logprobs = audit.checks.iter().map(|check| check.logprob).collect();
        Ok(Completion { logprobs, states: Some(audit.states), finish: Finish::Length, ..written })
    }
}

/// Keeps the draws of neighbouring seeds apart: 2⁶⁴ over the golden ratio.
const SEED_STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// Reads `answers` with the verifier's engine, one prefill each.
pub(super) async fn readings(
    verifier: &Engine,
    answers: &[Answer],
    done: &dyn Fn(),
) -> Result<Vec<Reading>, TrialError> {
    stream::iter(answers)
        .map(|answer| async move {
            let reading = read(verifier, answer).await?;
            done();
            Ok(reading)
        })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

/// Answers to calibrate with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// How many.
    pub sequences: u32,
    /// Most tokens of each.
    pub max_tokens: u32,
    /// How they are drawn.
    pub drawn: Drawn,
}

/// Measures how honest answers of `server` look to `verifier`. `done` is called twice an answer.
pub async fn calibrate(
    server: &Engine,
    verifier: &Engine,
    sample: Sample,
    done: &dyn Fn(),
) -> Result<Pair, TrialError> {
    let Sample { sequences, max_tokens, drawn } = sample;
    let (writer, scheme) = (Writer::Itself(server), drawn.scheme);
    let honest = Server { named: server, writer, max_tokens, scheme };
    let answers =
        Trial { server: honest, sequences, drawn, at_once: AT_ONCE }.answers(done).await?;
    let readings = readings(verifier, &answers, done).await?;
    Ok(Pair::of(side(server), side(verifier), drawn, &readings))
}

/// Processor time of this process so far, all threads, where the system tells (Linux).
pub(super) fn cpu_time() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // Fields after the command's closing bracket; user and system time are the 14th and 15th of all.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let mut next = || ticks.next()?.parse::<u64>().ok();
    Some(Duration::from_millis((next()? + next()?) * TICK_MS))
}

/// Linux reports processor time in hundredths of a second on every architecture we build for.
const TICK_MS: u64 = 10;
