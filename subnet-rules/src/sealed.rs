//! Answers in two phases, where miners share a task: first a digest, then what it is the digest of.
//!
//! By the first deadline a miner sends a seal, the digest of its answer, a salt and its own hotkey; by
//! the second it opens it. Nobody can copy what it has not seen, and a copied seal opens for nobody
//! else, for the hotkey is inside.

use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// An answer with the salt that hides it among the answers that could be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening<A> {
    /// What was answered.
    pub answer: A,
    /// 32 bytes that only the miner knew.
    pub salt: Digest,
}

impl<A: Serialize> Opening<A> {
    /// The seal of this opening by `hotkey`: over the answer's JSON, the salt and the hotkey. `None`
    /// for an answer that JSON cannot write.
    pub fn seal(&self, hotkey: &Hotkey) -> Option<Digest> {
        let answer = serde_json::to_vec(&self.answer).ok()?;
        Some(Digest::of("ganglion/seal/1", &[&answer, &self.salt.0, hotkey.as_bytes()]))
    }
}

/// What a validator received from one miner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed<A> {
    /// What came by the first deadline.
    pub seal: Digest,
    /// When it came, microseconds after the task was sent, by the validator's clock.
    pub sealed_us: u64,
    /// What came by the second.
    pub opening: Option<Opening<A>>,
}

impl<A: Serialize> Sealed<A> {
    /// The answer, if it was opened and is what `hotkey` had sealed.
    pub fn answer(&self, hotkey: &Hotkey) -> Option<&A> {
        let opening = self.opening.as_ref()?;
        (opening.seal(hotkey)? == self.seal).then_some(&opening.answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(by: &Hotkey, answer: Vec<i32>) -> Sealed<Vec<i32>> {
        let opening = Opening { answer, salt: Digest([7; 32]) };
        Sealed { seal: opening.seal(by).unwrap(), sealed_us: 1, opening: Some(opening) }
    }

    #[test]
    fn a_copied_seal_opens_for_nobody_else() {
        let (miner, copier) = (Hotkey::from_bytes([1; 32]), Hotkey::from_bytes([2; 32]));
        let sealed = sealed(&miner, vec![3, 4]);
        assert_eq!(sealed.answer(&miner), Some(&vec![3, 4]));
        assert_eq!(sealed.answer(&copier), None);
    }

    #[test]
    fn another_answer_than_the_sealed_one_does_not_open() {
        let miner = Hotkey::from_bytes([1; 32]);
        let mut sealed = sealed(&miner, vec![3, 4]);
        sealed.opening.as_mut().unwrap().answer = vec![3, 5];
        assert_eq!(sealed.answer(&miner), None);
        assert_eq!(Sealed { opening: None, ..sealed }.answer(&miner), None);
    }
}
