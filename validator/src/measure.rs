//! From what came over the wire to numbers that a rule can judge.
//!
//! Only the token ids are read of a reply; the text, the end and the likelihoods are the reference
//! engine's own reading of them. A reply that cannot be read that way is no answer, by name.

use std::time::Duration;

use chain_metadata::Hotkey;
use inference::evidence::{Answer as Evidence, Reading, Scheme};
use inference::{Audit, Engine, EngineError, Job, Prompt, Sampling, TokenCheck};
use scoring::evidence::Claimed;
use subnet_rules::serve::{
    Answer, Fault, GroupMeasure, Measurement, Secret, ServeDraw, Task, TokenMeasure,
};
use subnet_rules::star::Reply;
use wire::generate::GenerateReply;
use wire::{AnswerError, Timing};

use crate::audit;

/// Tries for a place in the reference engine's queue, which others may share.
const QUEUE_TRIES: u32 = 200;

/// Wait between two of them.
const QUEUE_WAIT: Duration = Duration::from_millis(50);

/// Measures one answer. An error is the engine's, and says nothing of the miner.
///
/// `accounted` is whether the rule asks for the miner's account of its tokens.
pub(crate) async fn measure(
    engine: &Engine,
    draw: &ServeDraw,
    answer: Result<wire::Answer, AnswerError>,
    accounted: bool,
) -> Result<Measurement, EngineError> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return Ok(Measurement::Unanswered(fault(&error))),
    };
    match answer.message::<GenerateReply>() {
        Ok(reply) => {
            let miner = accounted.then_some(answer.miner);
            read(engine, draw, reply, answer.timing, miner).await
        }
        Err(error) => Ok(Measurement::Unanswered(fault(&error))),
    }
}

/// A reply of which the text is judged: all of it is the miner's, and nothing of it is believed.
pub(crate) fn read_text(answer: Result<wire::Answer, AnswerError>) -> Reply {
    let read = answer.and_then(|answer| Ok((answer.message::<GenerateReply>()?, answer.timing)));
    match read {
        Ok((reply, timing)) => Reply::Answered { text: reply.text, total_us: micros(timing.total) },
        Err(error) => Reply::Unanswered(fault(&error)),
    }
}

async fn read(
    engine: &Engine,
    draw: &ServeDraw,
    reply: GenerateReply,
    timing: Timing,
    miner: Option<Hotkey>,
) -> Result<Measurement, EngineError> {
    const MALFORMED: Measurement = Measurement::Unanswered(Fault::Malformed);
    let task = &draw.public;
    let tokenizer = engine.model().tokenizer();
    let claimed = match (&draw.secret, miner) {
        (Secret::Open, Some(miner)) => claimed(engine, task, &miner, &reply),
        _ => None,
    };
    let ids = reply.token_ids;
    let Some((&last, before)) = ids.split_last() else { return Ok(MALFORMED) };
    let ends_early = before.iter().any(|&id| tokenizer.ends(id));
    if ids.len() > task.max_tokens as usize || ends_early {
        return Ok(MALFORMED);
    }
    let Some(audit) = audited(engine, task, &ids).await? else { return Ok(MALFORMED) };
    let account = claimed.map(|answer| account(&answer, &audit));
    let checks = audit.checks;
    let Ok(text) = tokenizer.decode(&ids) else { return Ok(MALFORMED) };
    let stopped = tokenizer.ends(last);
    let (checks, reference) = match draw.secret {
        Secret::Open => (checks.iter().map(token_measure).collect(), None),
        Secret::Checked { .. } => {
            let complete = stopped || ids.len() == task.max_tokens as usize;
            let own = if complete && checks.iter().all(TokenCheck::matches) {
                // These are the very tokens that the reference draws.
                text.clone()
            } else {
                write(engine, task).await?
            };
            (Vec::new(), Some(own))
        }
    };
    Ok(Measurement::Answered(Answer {
        model: Claimed::new(reply.model),
        token_ids: ids,
        stopped,
        text,
        checks,
        account,
        reference,
        first_byte_us: micros(timing.first_byte),
        total_us: micros(timing.total),
    }))
}

/// What the miner says of its tokens, if it is of this answer and signed.
fn claimed(
    engine: &Engine,
    task: &Task,
    miner: &Hotkey,
    reply: &GenerateReply,
) -> Option<Evidence> {
    match audit::evidence(engine, task, miner, reply) {
        Ok((answer, _)) => Some(answer),
        Err(error) => {
            tracing::debug!(%miner, %error, "a miner's account of its answer is none");
            None
        }
    }
}

/// How far it lies from our own pass; a group that it leaves out is as far as can be.
fn account(claimed: &Evidence, audit: &Audit) -> Vec<GroupMeasure> {
    let groups = Reading::new(claimed, audit);
    let groups = groups.accounts().map(|group| group.unwrap_or((f64::NAN, f64::NAN)));
    groups.map(|(likelihood, sketch)| GroupMeasure::new(likelihood, sketch)).collect()
}

/// The tokens of an answer held against our own draws.
pub(crate) async fn rescore(
    engine: &Engine,
    task: &Task,
    ids: &[u32],
) -> Result<Option<Vec<TokenCheck>>, EngineError> {
    Ok(audited(engine, task, ids).await?.map(|audit| audit.checks))
}

/// `None` where the ids are none of the model's, or too many for it.
async fn audited(engine: &Engine, task: &Task, ids: &[u32]) -> Result<Option<Audit>, EngineError> {
    let prompt = Prompt::Text(task.prompt.clone());
    let sampling = sampling(task);
    match queued(|| engine.audit(&prompt, ids, &sampling, Scheme::default())).await {
        Ok(audit) => Ok(Some(audit)),
        Err(EngineError::UnknownToken { .. } | EngineError::TooLong { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What the reference writes on the same task.
pub(crate) async fn write(engine: &Engine, task: &Task) -> Result<String, EngineError> {
    let job = Job::new(Prompt::Text(task.prompt.clone()), task.max_tokens, sampling(task));
    Ok(queued(|| engine.generate(job.clone())).await?.text)
}

/// The task's temperature is checked by the rule that drew it; were it none, greedy draws would
/// match nobody, so nobody would pass.
fn sampling(task: &Task) -> Sampling {
    Sampling::new(task.temperature, task.seed).unwrap_or_else(|_| Sampling::greedy())
}

/// Runs `work` when the engine has a place for it.
pub(crate) async fn queued<T, F>(mut work: impl FnMut() -> F) -> Result<T, EngineError>
where
    F: Future<Output = Result<T, EngineError>>,
{
    for _ in 1..QUEUE_TRIES {
        match work().await {
            Err(EngineError::Busy { .. }) => tokio::time::sleep(QUEUE_WAIT).await,
            done => return done,
        }
    }
    work().await
}

pub(crate) fn token_measure(check: &TokenCheck) -> TokenMeasure {
    TokenMeasure::new(check.entropy_nat, check.margin, check.matches())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The rule's name for a failure. Whatever it is, the miner did not answer.
pub(crate) fn fault(error: &AnswerError) -> Fault {
    match error {
        AnswerError::Address(_) | AnswerError::Connection(_) => Fault::Unreachable,
        AnswerError::Timeout { .. } | AnswerError::Abandoned => Fault::Timeout,
        AnswerError::TooLarge { .. } => Fault::TooLarge,
        AnswerError::BadSignature(_) => Fault::Unsigned,
        AnswerError::Status(_) => Fault::Refused,
        _ => Fault::Malformed,
    }
}

/// A fault's name in counters and tables.
pub(crate) const fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::Unreachable => "unreachable",
        Fault::Timeout => "timeout",
        Fault::Refused => "refused",
        Fault::TooLarge => "too large",
        Fault::Malformed => "malformed",
        Fault::Unsigned => "unsigned",
        _ => "other",
    }
}
