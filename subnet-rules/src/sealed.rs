//! Answers in two phases: first a digest, then what it is the digest of.
//!
//! By the first deadline a miner sends a seal, the digest of the task's id, its answer, a salt and its
//! own hotkey; by the second it opens it. Nobody can copy what it has not seen, and a copied seal opens
//! for nobody else and for no other task. Rules see neither: the miner's side makes seals of whatever a
//! worker answers, the validator's opens them.

use chain_metadata::Hotkey;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Digest, canonical};
use crate::exchange::{Fault, Message};

/// The first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// What the second must fit.
    pub seal: Digest,
}

/// The second message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// What was answered.
    pub answer: Value,
    /// 32 bytes that only the miner knew.
    pub salt: Digest,
}

impl Opening {
    /// The seal of this opening by `miner` for a task: over the answer's JSON with ascending keys.
    pub fn seal(&self, task: &Digest, miner: &Hotkey) -> Seal {
        let answer = canonical(&self.answer);
        let parts: [&[u8]; 4] = [&task.0, answer.as_bytes(), &self.salt.0, miner.as_bytes()];
        Seal { seal: Digest::of("ganglion/seal/2", &parts) }
    }
}

/// Whether a first message is a seal.
///
/// # Errors
/// It is none.
pub fn is_seal(message: &Message) -> Result<(), Fault> {
    message.read::<Seal>().map(drop)
}

/// The answer that `miner` sealed and opened.
///
/// # Errors
/// What was opened is not what was sealed, or no such answer.
pub fn opened<A: DeserializeOwned>(
    task: &Digest,
    miner: &Hotkey,
    commit: &Message,
    opening: &Message,
) -> Result<A, Fault> {
    let opening: Opening = opening.read()?;
    if opening.seal(task, miner) != commit.read()? {
        return Err(Fault::Unopened);
    }
    serde_json::from_value(opening.answer).map_err(|_| Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const TASK: Digest = Digest([5; 32]);

    fn message(of: &impl Serialize) -> Message {
        let body = serde_json::to_vec(of).unwrap().into();
        Message { body, first_byte_us: 1, total_us: 1 }
    }

    fn sealed(by: &Hotkey) -> (Message, Opening) {
        let opening = Opening { answer: json!([3, 4]), salt: Digest([7; 32]) };
        (message(&opening.seal(&TASK, by)), opening)
    }

    #[test]
    fn a_copied_seal_opens_for_nobody_else_and_for_no_other_task() {
        let (miner, copier) = (Hotkey::from_bytes([1; 32]), Hotkey::from_bytes([2; 32]));
        let (seal, opening) = sealed(&miner);
        let opening = message(&opening);
        let open = |task: &Digest, by: &Hotkey| opened::<Vec<i32>>(task, by, &seal, &opening);
        assert_eq!(open(&TASK, &miner), Ok(vec![3, 4]));
        assert_eq!(open(&TASK, &copier), Err(Fault::Unopened));
        assert_eq!(open(&Digest([6; 32]), &miner), Err(Fault::Unopened));
    }

    #[test]
    fn another_answer_than_the_sealed_one_does_not_open() {
        let miner = Hotkey::from_bytes([1; 32]);
        let (seal, mut opening) = sealed(&miner);
        opening.answer = json!([3, 5]);
        let refused = opened::<Vec<i32>>(&TASK, &miner, &seal, &message(&opening));
        assert_eq!(refused, Err(Fault::Unopened));
        assert_eq!(is_seal(&message(&json!({"seal": 3}))), Err(Fault::Malformed));
    }
}
