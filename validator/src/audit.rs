//! Answers kept as they came, so that anyone can run `ganglion model verify` on those with evidence.
//!
//! Off unless a folder is given: the files hold answers in clear. Each was signed by the miner's hotkey
//! over the request; what it proves is the verifier's to say.

use std::path::Path;

use chain_metadata::Hotkey;
use serde_json::Value;

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

/// Writes an answer to `path`: its evidence where it brings some, else all of it.
pub(crate) fn keep(path: &Path, body: &[u8]) -> std::io::Result<()> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let evidence = answer.get("evidence").filter(|evidence| evidence.is_object());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    match evidence {
        Some(evidence) => std::fs::write(path, evidence.to_string()),
        None => std::fs::write(path, body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
}
