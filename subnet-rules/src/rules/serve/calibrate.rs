//! Which questions tell a model from a guess: measured once for each model, with the model at hand.

use futures::{StreamExt as _, stream};

use super::{Calibration, Wording};
use crate::tools::{Reference, Sampled, ToolError};
use crate::world::grammar::{self, Task};

/// Questions asked in each cell: a pass rate of a half is known to within ±0.22.
const ASKED: u32 = 20;
/// Questions asked in each cell to see whether a wording is worth the whole table.
const TRIED: u32 = 4;
/// Seed of the questions: two validators of one model ask the same ones.
const SEED: u64 = 0;
/// Questions under way at a time.
const TOGETHER: usize = 16;

/// The table that ships for the model, or else one measured now: seconds for a tiny model, minutes for
/// one of 135M parameters on two cores.
///
/// # Errors
/// The model failed.
pub async fn known_or_measured(reference: &dyn Reference) -> Result<Calibration, ToolError> {
    match Calibration::known(&reference.model()) {
        Some(known) => Ok(known),
        None => measure(reference).await,
    }
}

/// The table of the first wording with which the model can be told from a guess, or of the last one
/// tried.
///
/// # Errors
/// The model failed.
pub async fn measure(reference: &dyn Reference) -> Result<Calibration, ToolError> {
    let [first, others @ ..] = Wording::ALL;
    let mut wording = first;
    for next in others {
        if ask(reference, wording, TRIED).await?.cells().is_ok() {
            break;
        }
        wording = next;
    }
    ask(reference, wording, ASKED).await
}

/// Asks the model `asked` questions of each cell.
async fn ask(
    reference: &dyn Reference,
    wording: Wording,
    asked: u32,
) -> Result<Calibration, ToolError> {
    let questions = Calibration::questions(asked, SEED);
    let mut answers = stream::iter((0..).zip(questions))
        .map(|(seed, task)| passes(reference, wording, seed, task))
        .buffered(TOGETHER);
    let mut outcomes = Vec::new();
    while let Some(outcome) = answers.next().await {
        outcomes.push(outcome?);
    }
    Ok(Calibration::from_outcomes(asked, SEED, &outcomes).worded(wording))
}

async fn passes(
    reference: &dyn Reference,
    wording: Wording,
    seed: u64,
    task: Task,
) -> Result<bool, ToolError> {
    let prompt = wording.prompt(&task.prompt);
    let (max_tokens, temperature) = (wording.max_tokens(), wording.temperature());
    let of = Sampled { prompt: &prompt, max_tokens, temperature, seed };
    Ok(grammar::grade(&task.answer, &reference.write(&of).await?))
}
