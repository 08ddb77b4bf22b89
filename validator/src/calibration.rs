//! Which questions tell the reference model from a guess: measured once for each model.

use std::io::Write as _;
use std::path::Path;

use futures::{StreamExt as _, stream};
use inference::{Engine, EngineError, Job, Prompt, Sampling};
use subnet_rules::serve::{Calibration, Wording};
use subnet_rules::world::grammar::{self, Task};

use crate::measure::queued;

/// Questions asked in each cell: a pass rate of a half is known to within ±0.22.
const ASKED: u32 = 20;

/// Questions asked in each cell to see whether a wording is worth the whole table.
const TRIED: u32 = 4;

/// Seed of the questions: two validators of one model ask the same ones.
const SEED: u64 = 0;

/// Questions under way at a time.
const TOGETHER: usize = 16;

/// Questions between two lines about the progress.
const SAID_EVERY: usize = 120;

/// The table of the first wording with which the engine's model can be told from a guess, or of the
/// last one tried. Seconds for the tiny model, minutes for one of 135M parameters on two cores.
pub async fn measure(engine: &Engine) -> Result<Calibration, EngineError> {
    let [first, others @ ..] = Wording::ALL;
    let mut wording = first;
    for next in others {
        if ask(engine, wording, TRIED).await?.cells().is_ok() {
            break;
        }
        tracing::info!(?next, "the model does not answer such questions: asking in another way");
        wording = next;
    }
    ask(engine, wording, ASKED).await
}

/// Asks the engine `asked` questions of each cell.
async fn ask(engine: &Engine, wording: Wording, asked: u32) -> Result<Calibration, EngineError> {
    let questions = Calibration::questions(asked, SEED);
    let total = questions.len();
    tracing::info!(questions = total, ?wording, "calibrating the rule on the reference model");
    let mut answers = stream::iter(questions.into_iter().enumerate())
        .map(|(place, task)| passes(engine, wording, place as u64, task))
        .buffered(TOGETHER);
    let mut outcomes = Vec::with_capacity(total);
    while let Some(outcome) = answers.next().await {
        outcomes.push(outcome?);
        if outcomes.len().is_multiple_of(SAID_EVERY) && outcomes.len() < total {
            tracing::info!("{} of {total} questions answered", outcomes.len());
        }
    }
    Ok(Calibration::from_outcomes(asked, SEED, &outcomes).worded(wording))
}

async fn passes(
    engine: &Engine,
    wording: Wording,
    seed: u64,
    task: Task,
) -> Result<bool, EngineError> {
    let sampling =
        Sampling::new(wording.temperature(), seed).unwrap_or_else(|_| Sampling::greedy());
    let prompt = Prompt::Text(wording.prompt(&task.prompt));
    let job = Job::new(prompt, wording.max_tokens(), sampling);
    let done = queued(|| engine.generate(job.clone())).await?;
    Ok(grammar::grade(&task.answer, &done.text))
}

/// The table that ships for the engine's model, or else one measured now.
pub async fn known_or_measured(engine: &Engine) -> Result<Calibration, EngineError> {
    match Calibration::known(&engine.model_id().to_string()) {
        Some(known) => Ok(known),
        None => measure(engine).await,
    }
}

/// The calibration of the engine's model: the one that ships, or read from `dir`, where an earlier
/// run left it, or measured and left there.
pub async fn of(engine: &Engine, dir: &Path) -> Result<Calibration, EngineError> {
    let name = engine.model_id().to_string().replace(':', "-");
    let path = dir.join(format!("calibration-{name}.json"));
    if let Some(known) = read(&path) {
        return Ok(known);
    }
    let measured = known_or_measured(engine).await?;
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
