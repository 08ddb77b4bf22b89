//! Speed, size and quality of a loaded model, as `model bench` prints them.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::try_join_all;
use serde::Serialize;

use crate::{
    Completion, Engine, EngineError, EngineOptions, Job, Model, ModelId, NumericClass, Prompt,
    Sampling,
};

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Tokens of the prompt.
    pub prompt: usize,
    /// Tokens generated after it.
    pub decode: usize,
    /// Jobs at once for the aggregate.
    pub concurrency: usize,
}

impl Default for Workload {
    fn default() -> Self {
        Self { prompt: 128, decode: 64, concurrency: 8 }
    }
}

/// Rounds of which the best counts: the machine is rarely quiet.
const ROUNDS: u32 = 3;

/// What was measured. Rates in tokens a second.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The model's name.
    pub model: String,
    /// Its full identity.
    #[serde(skip)]
    pub id: ModelId,
    /// Its arithmetic.
    pub numeric_class: NumericClass,
    /// Stored bits per weight, over all matrices.
    pub weight_bits: f64,
    /// Perplexity per token of [`HELD_OUT`].
    pub perplexity: f64,
    /// Where it computes: `cpu`, or the device's name.
    pub device: String,
    /// Instruction set of the kernels.
    #[serde(skip)]
    pub kernels: &'static str,
    /// Compute threads.
    pub threads: usize,
    /// Jobs at once for the aggregate.
    pub concurrency: usize,
    /// Prompt tokens a second, one job.
    pub prefill_tok_s: f64,
    /// Generated tokens a second after the first, one job.
    pub decode_tok_s: f64,
    /// Generated tokens a second, all jobs together, prefill included.
    pub aggregate_tok_s: f64,
    /// Median time to the first token of the concurrent jobs, in milliseconds.
    pub ttft_ms_p50: f64,
    /// Most memory this process ever held, in MB of 10⁶ bytes; `None` where the system does not say.
    pub peak_rss_mb: Option<f64>,
}

/// A text that no training set holds: written for this benchmark.
pub const HELD_OUT: &str = "The ferry to the outer islands leaves at seven, but only when the wind \
comes from the west. My grandmother, who kept the ticket office for thirty years, could tell the \
direction from the smell of the harbour alone. In winter she lit a small stove and let the \
fishermen wait inside, although the rules did not allow it. She said that rules are written by \
people who sit in warm rooms. When the office was closed and a machine took her place, the first \
passenger it refused was the man who had installed it: he had no coins, and the machine did not \
know him. He walked back along the pier, found her at home, and asked whether she still had the \
old key. She did. She had oiled it every spring.";

/// Measures `model` under `work`.
pub async fn measure(model: Arc<Model>, work: Workload) -> Result<Measured, EngineError> {
    let fitting = model.fitting_options()?;
    let options = EngineOptions {
        sequences: work.concurrency.max(1),
        queue: work.concurrency.max(fitting.queue),
        ..fitting
    };
    let engine = Engine::open(Arc::clone(&model), options)?;
    let perplexity = perplexity(&engine).await?;
    let (mut prefill, mut decode, mut aggregate) = (0.0_f64, 0.0_f64, 0.0_f64);
    let mut firsts = Vec::new();
    for round in 0..ROUNDS {
        let alone = engine.generate(job(&model, work, round, 0)).await?.timing;
        prefill = prefill.max(rate(work.prompt, alone.first_token));
        decode = decode.max(rate(work.decode - 1, alone.total.saturating_sub(alone.first_token)));
        let started = Instant::now();
        let lanes = u32::try_from(work.concurrency).unwrap_or(u32::MAX);
        let jobs = (1..=lanes).map(|lane| engine.generate(job(&model, work, round, lane)));
        let done: Vec<Completion> = try_join_all(jobs).await?;
        let tokens = done.iter().map(|c| c.token_ids.len()).sum();
        aggregate = aggregate.max(rate(tokens, started.elapsed()));
        firsts.extend(done.iter().map(|c| c.timing.first_token));
    }
    firsts.sort_unstable();
    let median = firsts.get(firsts.len() / 2).copied().unwrap_or_default();
    Ok(Measured {
        model: model.name().to_owned(),
        id: model.id(),
        numeric_class: model.id().class,
        weight_bits: model.weight_bits(),
        perplexity,
        device: model.device().to_owned(),
        kernels: model.kernels(),
        threads: model.threads(),
        concurrency: work.concurrency,
        prefill_tok_s: prefill,
        decode_tok_s: decode,
        aggregate_tok_s: aggregate,
        ttft_ms_p50: median.as_secs_f64() * 1e3,
        peak_rss_mb: peak_rss_mb(),
    })
}

/// A prompt of arbitrary words, different for every round and lane, so that nothing is cached.
fn job(model: &Model, work: Workload, round: u32, lane: u32) -> Job {
    let vocab = u32::try_from(model.config().vocab).unwrap_or(u32::MAX);
    let tokens = (0..u32::try_from(work.prompt).unwrap_or(u32::MAX))
        .map(|i| (i * 37 + round * 1009 + lane * 4099 + 300) % vocab)
        .collect();
    Job {
        ignore_end: true,
        ..Job::new(
            Prompt::Tokens(tokens),
            u32::try_from(work.decode).unwrap_or(u32::MAX),
            Sampling::greedy(),
        )
    }
}

/// `exp` of the mean negative log-probability of the held-out text's tokens after the first.
async fn perplexity(engine: &Engine) -> Result<f64, EngineError> {
    let mut tokens = engine.tokens(&HELD_OUT.into())?;
    tokens.truncate(engine.context());
    let rest = tokens.split_off(1);
    let checks = engine.rescore(&Prompt::Tokens(tokens), &rest, &Sampling::greedy()).await?;
    let total: f64 = checks.iter().map(|check| f64::from(check.logprob)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few hundred tokens")]
    let mean = total / checks.len() as f64;
    Ok((-mean).exp())
}

#[expect(clippy::cast_precision_loss, reason = "token counts are small")]
fn rate(tokens: usize, time: Duration) -> f64 {
    tokens as f64 / time.as_secs_f64().max(1e-9)
}

/// The high-water mark of this process, where the system tells (Linux).
pub fn peak_rss_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}
