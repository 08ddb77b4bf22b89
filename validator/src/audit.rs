//! Answers kept with their evidence, so that anyone can run `ganglion model verify` on them.
//!
//! Off unless a folder is given: the files hold prompts in clear. What is kept was checked to be the
//! answer to the question asked, signed by the miner's hotkey; what it proves is the verifier's to say.

use std::path::{Path, PathBuf};

use chain_metadata::Hotkey;
use inference::evidence::{Answer, AnswerError, Sampler};
use inference::{Engine, EngineError, Prompt};
use subnet_rules::serve::Task;
use wire::auth::{Scheme, Signature};
use wire::generate::GenerateReply;

/// Why an answer is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditError {
    /// The reply does not read.
    #[error("the reply does not read: {0}")]
    Reply(wire::AnswerError),
    /// The miner sent no evidence.
    #[error("the miner sent no evidence")]
    Absent,
    /// The evidence is no answer.
    #[error("the evidence is no answer: {0}")]
    Answer(#[from] AnswerError),
    /// The evidence is about something else than was asked and answered.
    #[error("the evidence is about another {0}")]
    Other(&'static str),
    /// The hotkey did not sign it.
    #[error("the evidence is not signed by the miner's hotkey")]
    Unsigned,
    /// The prompt does not tokenise.
    #[error("the prompt does not tokenise: {0}")]
    Prompt(#[from] EngineError),
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The file of one answer in the folder.
pub(crate) fn file(epoch: u64, block: u64, hotkey: &Hotkey, counter: u64) -> String {
    format!("{epoch}-{block}-{hotkey}-{counter}.json")
}

/// End of the names of logs of measurements: `EPOCH-BLOCK-log.jsonl`.
pub(crate) const LOG: &str = "-log.jsonl";

/// Removes the answers and logs of epochs before `oldest`; files of other names are not ours.
pub(crate) fn expire(dir: &Path, oldest: u64) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if epoch_of(&entry.file_name().to_string_lossy()).is_some_and(|epoch| epoch < oldest) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// The epoch in a name that [`file`] gave.
fn epoch_of(name: &str) -> Option<u64> {
    if let Some(log) = name.strip_suffix(LOG) {
        let (epoch, block) = log.split_once('-')?;
        block.parse::<u64>().ok()?;
        return epoch.parse().ok();
    }
    let [epoch, block, hotkey, counter] =
        name.strip_suffix(".json")?.split('-').collect::<Vec<_>>().try_into().ok()?;
    let (_, _): (u64, u64) = (block.parse().ok()?, counter.parse().ok()?);
    hotkey.parse::<Hotkey>().ok()?;
    epoch.parse().ok()
}

/// Writes the evidence of `reply` to `path`, if it is evidence of the answer to `task`.
pub(crate) fn keep(
    path: &Path,
    engine: &Engine,
    task: &Task,
    hotkey: &Hotkey,
    reply: &wire::Answer,
) -> Result<(), AuditError> {
    let reply: GenerateReply = reply.message().map_err(AuditError::Reply)?;
    let (_, evidence) = evidence(engine, task, hotkey, &reply)?;
    let write = |source| AuditError::Write { path: path.to_owned(), source };
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(write)?;
    }
    std::fs::write(path, evidence).map_err(write)
}

/// The evidence of a reply, if it is of the answer to `task` and signed by the miner; and its text.
pub(crate) fn evidence(
    engine: &Engine,
    task: &Task,
    hotkey: &Hotkey,
    reply: &GenerateReply,
) -> Result<(Answer, String), AuditError> {
    let text = reply.evidence.as_ref().ok_or(AuditError::Absent)?.to_string();
    let answer = Answer::parse(text.as_bytes())?;
    about(&answer, engine, task, reply)?;
    signed(&answer, hotkey)?;
    Ok((answer, text))
}

/// Refuses evidence of another model, prompt, draw or completion.
fn about(
    answer: &Answer,
    engine: &Engine,
    task: &Task,
    reply: &GenerateReply,
) -> Result<(), AuditError> {
    let asked = Sampler::Seeded { temperature: task.temperature, seed: task.seed, binding: None };
    let prompt = engine.tokens(&Prompt::Text(task.prompt.clone()))?;
    for (what, same) in [
        ("model", answer.model.to_string() == reply.model),
        ("sampling", answer.sampler == asked),
        ("prompt", answer.prompt_ids == prompt),
        ("completion", answer.completion_ids == reply.token_ids),
    ] {
        if !same {
            return Err(AuditError::Other(what));
        }
    }
    Ok(())
}

fn signed(answer: &Answer, hotkey: &Hotkey) -> Result<(), AuditError> {
    let signer = answer.signer(|key, message, signature| {
        let hotkey = Hotkey::from_bytes(*key);
        Scheme::Sr25519.verify(&Signature(*signature), message, &hotkey)
    })?;
    match signer {
        Some(signer) if signer.0 == *hotkey.as_bytes() => Ok(()),
        _ => Err(AuditError::Unsigned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::{Pair as _, sr25519};

    #[test]
    fn only_the_miners_own_signature_counts() {
        let pair = sr25519::Pair::from_string("//Bob", None).unwrap();
        let hotkey = Hotkey::from_bytes(pair.public().0);
        let other = Hotkey::from_bytes([7; 32]);
        let answer: Answer = serde_json::from_str(ANSWER).unwrap();
        assert!(matches!(signed(&answer, &hotkey), Err(AuditError::Unsigned)));
        let signed_answer = answer.signed_by(pair.public().0, |bytes| pair.sign(bytes).0);
        assert!(signed(&signed_answer, &hotkey).is_ok());
        assert!(matches!(signed(&signed_answer, &other), Err(AuditError::Unsigned)));
    }

    #[test]
    fn answers_expire_by_epoch_and_other_files_stay() {
        let dir = tempfile::tempdir().unwrap();
        let hotkey = Hotkey::from_bytes([7; 32]);
        let (old, kept) = (file(4, 90, &hotkey, 0), file(5, 99, &hotkey, 1));
        for name in
            [&old, &kept, "1-notes.json", "1-2-me-3.json", "4-90-log.jsonl", "5-99-log.jsonl"]
        {
            std::fs::write(dir.path().join(name), "{}").unwrap();
        }
        expire(dir.path(), 5).unwrap();
        for name in [&old, "4-90-log.jsonl"] {
            assert!(!dir.path().join(name).exists(), "{name}");
        }
        for name in [&kept, "1-notes.json", "1-2-me-3.json", "5-99-log.jsonl"] {
            assert!(dir.path().join(name).exists(), "{name}");
        }
        expire(&dir.path().join("none"), 5).unwrap();
    }

    /// Three tokens of the shipped model.
    const ANSWER: &str = include_str!("../testdata/answer.json");
}
