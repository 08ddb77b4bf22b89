//! Which questions tell the reference model from a guess: measured once for each model.

use std::io::Write as _;
use std::path::Path;

use futures::{StreamExt as _, stream};
use inference::{Engine, EngineError, Job, Prompt, Sampling};
use subnet_rules::serve::Calibration;
use subnet_rules::world::grammar::{self, Task};

use crate::measure::queued;

/// Questions asked in each cell: a pass rate of a half is known to within ±0.22.
const ASKED: u32 = 20;

/// Seed of the questions: two validators of one model ask the same ones.
const SEED: u64 = 0;

/// Longest answer, as the `serve` rule draws it.
const MAX_TOKENS: u32 = 48;

/// Temperature at which the `serve` rule draws.
const TEMPERATURE: f32 = 1.0;

/// Questions under way at a time.
const TOGETHER: usize = 16;

/// Asks the engine every question of the calibration. Seconds for the tiny model, minutes for one
/// of 135M parameters on two cores.
pub async fn measure(engine: &Engine) -> Result<Calibration, EngineError> {
    let questions = Calibration::questions(ASKED, SEED);
    tracing::info!(questions = questions.len(), "calibrating the rule on the reference model");
    let outcomes: Vec<_> = stream::iter(questions.into_iter().enumerate())
        .map(|(place, task)| passes(engine, place as u64, task))
        .buffered(TOGETHER)
        .collect()
        .await;
    let outcomes: Vec<bool> = outcomes.into_iter().collect::<Result<_, _>>()?;
    Ok(Calibration::from_outcomes(ASKED, SEED, &outcomes))
}

async fn passes(engine: &Engine, seed: u64, task: Task) -> Result<bool, EngineError> {
    let sampling = Sampling::new(TEMPERATURE, seed).unwrap_or_else(|_| Sampling::greedy());
    let job = Job::new(Prompt::Text(task.prompt), MAX_TOKENS, sampling);
    let done = queued(|| engine.generate(job.clone())).await?;
    Ok(grammar::grade(&task.answer, &done.text))
}

/// The calibration of the engine's model: read from `dir`, where an earlier run left it, or
/// measured and left there.
pub async fn of(engine: &Engine, dir: &Path) -> Result<Calibration, EngineError> {
    let name = engine.model_id().to_string().replace(':', "-");
    let path = dir.join(format!("calibration-{name}.json"));
    if let Some(known) = read(&path) {
        return Ok(known);
    }
    let measured = measure(engine).await?;
    if let Err(error) = write(&path, &measured) {
        tracing::warn!(%error, path = %path.display(), "the calibration is not kept");
    }
    Ok(measured)
}

/// A file that cannot be read, or not as a calibration, is measured anew.
fn read(path: &Path) -> Option<Calibration> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &Path, calibration: &Calibration) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let part = path.with_extension("part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(&serde_json::to_vec(calibration)?)?;
    file.sync_all()?;
    std::fs::rename(part, path)
}
