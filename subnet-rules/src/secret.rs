//! What a task is drawn from, and why no miner can draw it too.
//!
//! The beacon is public: whatever is drawn from it alone, every miner draws as well. So a validator
//! adds the output of a verifiable random function under its hotkey, over the beacon of a height that
//! it cannot choose. The output is fixed by a key that is already on chain, nobody else can compute it,
//! and once the round is over output and proof are shown, so that anybody can draw the same tasks and
//! see that they were the only ones possible.
//!
//! ```text
//! finalized head ─▶ Beacon ─▶ VRF of the hotkey ─▶ Ticket ─▶ key of a task ─▶ streams `draw`, `open`, …
//! ```

use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};
use sp_core::crypto::{VrfPublic as _, VrfSecret as _};
use sp_core::sr25519;
use sp_core::sr25519::vrf::{VrfPreOutput, VrfProof, VrfSignature, VrfTranscript};

use crate::digest::Digest;
use crate::prf::Prf;
use crate::rule::Subject;

/// Label of the VRF's transcript.
const ROUND: &[u8] = b"ganglion/round/1";
/// Context under which the secret is taken from the VRF's output.
const SECRET: &[u8] = b"ganglion/secret/1";
/// The lane of rounds that are shown once they are over.
const LANE: u64 = 0;

/// What everybody knows of a round before it: chain, subnet, rule, and a finalized block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beacon {
    /// Hash of the chain's first block.
    pub genesis: Digest,
    /// The subnet.
    pub netuid: u16,
    /// The subnet's mechanism.
    pub mechid: u8,
    /// The rule in force.
    pub rule: Digest,
    /// Index of the subnet's epoch.
    pub epoch: u64,
    /// A finalized block.
    pub height: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Beacon {
    /// The beacon as one value.
    pub fn digest(&self) -> Digest {
        let drand: &[u8] = &[];
        Digest::of(
            "ganglion/beacon/2",
            &[
                &self.genesis.0,
                &self.netuid.to_le_bytes(),
                &[self.mechid],
                &self.rule.0,
                &self.epoch.to_le_bytes(),
                &self.height.to_le_bytes(),
                &self.hash.0,
                drand,
            ],
        )
    }

    fn transcript(&self) -> VrfTranscript {
        VrfTranscript::new(ROUND, &[(b"beacon", &self.digest().0), (b"lane", &LANE.to_le_bytes())])
    }
}

/// The height at which a validator's round is due within `every` blocks: the remainder that its
/// heights leave. It follows from who it is, so it cannot look at several and choose.
pub fn slot(validator: &Hotkey, netuid: u16, mechid: u8, every: u64) -> u64 {
    let parts: [&[u8]; 3] = [validator.as_bytes(), &netuid.to_le_bytes(), &[mechid]];
    let digest = Digest::of("ganglion/slot/1", &parts);
    let mut word = [0; 8];
    word.copy_from_slice(&digest.0[..8]);
    u64::from_le_bytes(word) % every.max(1)
}

/// The latest height after `seen`, up to `head`, that leaves `remainder` within `every` blocks.
pub fn due(seen: u64, head: u64, every: u64, remainder: u64) -> Option<u64> {
    let every = every.max(1);
    let since = (head + every - remainder % every) % every;
    let height = head.checked_sub(since)?;
    (height > seen).then_some(height)
}

/// A round's secret, and the proof that it was the only one possible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// What everybody knew.
    pub beacon: Beacon,
    /// Who asks.
    pub validator: Hotkey,
    /// What only the validator knew while the round lasted.
    pub secret: Digest,
    /// The VRF's output and proof; a rehearsal, whose validators have no keys, has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// The VRF's output and proof, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// 32 bytes.
    output: String,
    /// 64 bytes.
    proof: String,
}

/// A ticket that is not what its validator's key draws.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the round's secret is not the one that the validator's key draws at its beacon")]
pub struct ForgedTicket;

impl Ticket {
    /// Draws the round's secret with the validator's hotkey.
    pub fn draw(pair: &sr25519::Pair, beacon: Beacon) -> Self {
        use sp_core::Pair as _;
        let transcript = beacon.transcript();
        let secret = Digest(pair.make_bytes::<32>(SECRET, &transcript));
        let signature = pair.vrf_sign(&transcript.into_sign_data());
        let proof = Proof {
            output: hex::encode(signature.pre_output.0.to_bytes()),
            proof: hex::encode(signature.proof.0.to_bytes()),
        };
        let validator = Hotkey::from_bytes(pair.public().0);
        Self { beacon, validator, secret, proof: Some(proof) }
    }

    /// The ticket of a validator that has no key: of a rehearsal.
    pub fn rehearsed(validator: Hotkey, beacon: Beacon, seed: u64) -> Self {
        let parts: [&[u8]; 3] = [&seed.to_le_bytes(), validator.as_bytes(), &beacon.digest().0];
        let secret = Digest::of("ganglion/arena/secret", &parts);
        Self { beacon, validator, secret, proof: None }
    }

    /// Whether the secret is the one that the validator's key draws; nothing is said of a rehearsal's.
    ///
    /// # Errors
    /// It is not.
    pub fn check(&self) -> Result<(), ForgedTicket> {
        let Some(proof) = &self.proof else { return Ok(()) };
        let signature = proof.signature().ok_or(ForgedTicket)?;
        let public = sr25519::Public::from_raw(*self.validator.as_bytes());
        let transcript = self.beacon.transcript();
        let drawn = public
            .make_bytes::<32>(SECRET, &transcript, &signature.pre_output)
            .map_err(|_| ForgedTicket)?;
        let proven = public.vrf_verify(&transcript.into_sign_data(), &signature);
        if proven && drawn == self.secret.0 { Ok(()) } else { Err(ForgedTicket) }
    }

    /// The key of a task: of what is drawn for `subject`, the `counter`th of its round. A task about
    /// commitments is public by design, and the same for every validator.
    pub fn key(&self, subject: &Subject, counter: u64) -> TaskKey {
        let (beacon, counter) = (self.beacon.digest(), counter.to_le_bytes());
        let of = |secret: &[u8], whom: u8, miner: [u8; 32]| {
            Digest::of("ganglion/task/2", &[secret, &beacon.0, &[whom], &miner, &counter])
        };
        TaskKey(match subject {
            Subject::Miner(miner) => of(&self.secret.0, 0, *miner.as_bytes()),
            Subject::Shared(_) => of(&self.secret.0, 1, [0; 32]),
            Subject::Committed(_) => of(&[], 2, [0; 32]),
        })
    }

    /// The id under which `miner` gets a task.
    pub fn task(&self, miner: &Hotkey, counter: u64, public: &[u8]) -> Digest {
        let (beacon, public) = (self.beacon.digest(), Digest::plain(public));
        let parts: [&[u8]; 5] = [
            self.validator.as_bytes(),
            miner.as_bytes(),
            &beacon.0,
            &counter.to_le_bytes(),
            &public.0,
        ];
        Digest::of("ganglion/task-id/1", &parts)
    }
}

impl Proof {
    fn signature(&self) -> Option<VrfSignature> {
        let (mut output, mut proof) = ([0; 32], [0; 64]);
        hex::decode_to_slice(&self.output, &mut output).ok()?;
        hex::decode_to_slice(&self.proof, &mut proof).ok()?;
        let output = schnorrkel::vrf::VRFPreOut::from_bytes(&output).ok()?;
        let proof = schnorrkel::vrf::VRFProof::from_bytes(&proof).ok()?;
        Some(VrfSignature { pre_output: VrfPreOutput(output), proof: VrfProof(proof) })
    }
}

/// What all randomness of one task comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TaskKey(Digest);

impl std::fmt::Debug for TaskKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TaskKey(…)")
    }
}

/// Label of the stream that a task is drawn from.
const DRAW: &str = "draw";

impl TaskKey {
    /// The key of a small number: for golden cases and tests.
    pub fn from_seed(seed: u64) -> Self {
        Self(Digest(Prf::from_seed(seed).key()))
    }

    fn label(&self, label: &str) -> Digest {
        Digest::of("ganglion/stream/1", &[&self.0.0, label.as_bytes()])
    }

    /// The stream that the task is drawn from.
    pub fn draw(&self) -> Prf {
        Prf::new(self.label(DRAW).0)
    }

    /// What chooses the places that `miner` opens of a task it has committed to: nobody knows them
    /// before, and nobody can look for a commitment that opens well.
    pub fn open(&self, miner: &Hotkey, task: &Digest, commit: &[u8]) -> Prf {
        let (key, commit) = (self.label("open"), Digest::plain(commit));
        let parts: [&[u8]; 4] = [&key.0, miner.as_bytes(), &task.0, &commit.0];
        Prf::new(Digest::of("ganglion/open/1", &parts).0)
    }

    /// What checks are drawn from once everything is open; never sent.
    pub fn check(&self, miner: &Hotkey, task: &Digest, commit: &[u8], opening: &[u8]) -> Prf {
        let key = self.label("check");
        let (commit, opening) = (Digest::plain(commit), Digest::plain(opening));
        let parts: [&[u8]; 5] = [&key.0, miner.as_bytes(), &task.0, &commit.0, &opening.0];
        Prf::new(Digest::of("ganglion/check/1", &parts).0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sp_core::Pair as _;

    fn beacon() -> Beacon {
        Beacon {
            genesis: Digest([1; 32]),
            netuid: 2,
            mechid: 0,
            rule: Digest([3; 32]),
            epoch: 4,
            height: 50,
            hash: Digest([6; 32]),
        }
    }

    fn pair(path: &str) -> sr25519::Pair {
        sr25519::Pair::from_string(path, None).unwrap()
    }

    #[test]
    fn a_ticket_is_the_only_one_that_its_key_draws_and_anybody_can_see_it() {
        let ticket = Ticket::draw(&pair("//Bob"), beacon());
        assert_eq!(ticket.check(), Ok(()));
        assert_eq!(Ticket::draw(&pair("//Bob"), beacon()).secret, ticket.secret);
        let text = serde_json::to_string(&ticket).unwrap();
        assert_eq!(serde_json::from_str::<Ticket>(&text).unwrap(), ticket);
    }

    #[test]
    fn another_secret_validator_beacon_or_proof_is_found_out() {
        let ticket = Ticket::draw(&pair("//Bob"), beacon());
        let other = Ticket::draw(&pair("//Eve"), beacon());
        let later = Beacon { height: 51, ..beacon() };
        for forged in [
            Ticket { secret: Digest([9; 32]), ..ticket.clone() },
            Ticket { validator: other.validator, ..ticket.clone() },
            Ticket { beacon: later, ..ticket.clone() },
            Ticket { proof: other.proof, ..ticket.clone() },
            Ticket { proof: Some(Proof { output: String::new(), proof: "zz".into() }), ..ticket },
        ] {
            assert_eq!(forged.check(), Err(ForgedTicket), "{forged:?}");
        }
    }

    #[test]
    fn every_part_of_a_task_changes_its_key_and_only_a_committed_one_is_common() {
        let (bob, eve) =
            (Ticket::draw(&pair("//Bob"), beacon()), Ticket::draw(&pair("//Eve"), beacon()));
        let (one, two) = (Hotkey::from_bytes([1; 32]), Hotkey::from_bytes([2; 32]));
        let keys = [
            bob.key(&Subject::Miner(one), 0),
            bob.key(&Subject::Miner(two), 0),
            bob.key(&Subject::Miner(one), 1),
            bob.key(&Subject::Shared(vec![one]), 0),
            eve.key(&Subject::Miner(one), 0),
            eve.key(&Subject::Shared(vec![one]), 0),
            bob.key(&Subject::Committed(vec![one]), 0),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[..place].contains(key), "{place}");
        }
        let committed = |ticket: &Ticket| ticket.key(&Subject::Committed(Vec::new()), 0);
        assert_eq!(committed(&bob), committed(&eve));
    }

    #[test]
    fn a_round_is_due_once_in_every_so_many_blocks() {
        let rounds: Vec<_> = (1..40).filter_map(|head| due(head - 1, head, 10, 3)).collect();
        assert_eq!(rounds, [3, 13, 23, 33]);
        assert_eq!(due(20, 36, 10, 3), Some(33), "of several missed ones the latest");
        assert_eq!(due(33, 36, 10, 3), None);
        assert_eq!(due(0, 2, 10, 3), None);
        assert!(slot(&Hotkey::from_bytes([5; 32]), 1, 0, 10) < 10);
    }
}
