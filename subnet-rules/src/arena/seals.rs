//! What actors have sealed, until they open it.

use std::collections::BTreeMap;

use chain_metadata::Hotkey;
use serde_json::Value;

use crate::digest::Digest;
use crate::exchange::{Fault, Message};
use crate::prf::Prf;
use crate::sealed::Opening;

/// The miner's side of a sealed exchange, for everybody who plays.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seals(BTreeMap<(Hotkey, Digest), Opening>);

impl Seals {
    /// Seals an answer; it comes at `us`.
    pub(crate) fn seal(
        &mut self,
        prf: &mut Prf,
        miner: &Hotkey,
        task: Digest,
        answer: Value,
        us: u64,
    ) -> Message {
        let salt = Digest::of("ganglion/arena/salt", &[&prf.next_u64().to_le_bytes()]);
        let opening = Opening { answer, salt };
        let seal = opening.seal(&task, miner);
        self.0.insert((*miner, task), opening);
        Message::of(&seal, us)
    }

    /// Opens what was sealed, after `change`.
    ///
    /// # Errors
    /// Nothing was.
    pub(crate) fn open(
        &mut self,
        miner: &Hotkey,
        task: Digest,
        us: u64,
        change: impl FnOnce(&mut Value),
    ) -> Result<Message, Fault> {
        let mut opening = self.0.remove(&(*miner, task)).ok_or(Fault::Malformed)?;
        change(&mut opening.answer);
        Ok(Message::of(&opening, us))
    }
}
