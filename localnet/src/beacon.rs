//! The local drand beacon: quicknet's scheme, numbering and period, with a key of its own.
//!
//! A pulse is a BLS signature (48 bytes, G1) over the round's number; whoever has it can open what was
//! encrypted for the round. The key is derived from a public phrase, as `//Alice`'s is: a development chain
//! keeps no secrets, and the same settings always make the same chain.

use crate::relay::{self, Relay};
use ark_ec::PrimeGroup as _;
use ark_ff::PrimeField as _;
use ark_serialize::CanonicalSerialize;
use timelock::{
    engines::{EngineBLS, drand::TinyBLS381},
    ibe::fullident::{IBESecret, Identity},
};

/// Unix time of round 1, in seconds, as quicknet's.
pub(crate) const GENESIS_TIME: u32 = 1_692_803_367;

/// Seconds between rounds, as quicknet's.
pub(crate) const PERIOD: u32 = 3;

/// The secret key is this phrase's SHA-256, reduced.
const PHRASE: &[u8] = b"ganglion local beacon";

/// Rounds that one block may catch up on: what falls due in a minute. A signature takes half a millisecond.
const MAX_CATCH_UP: u64 = 20;

type Scalar = <TinyBLS381 as EngineBLS>::Scalar;
type PublicKeys = <TinyBLS381 as EngineBLS>::PublicKeyGroup;

/// A round, its randomness and its signature, as the inherent carries them.
pub(crate) type Pulse = (u64, Vec<u8>, Vec<u8>);

/// Which rounds are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Zeal {
    /// Every round, as long as no more than [`MAX_CATCH_UP`] are due; else those awaited and the newest.
    EveryRound,
    /// Those that something on the chain waits for: blocks that are mined by the thousand.
    Awaited,
}

/// Who signs.
enum Signer {
    /// This chain, with a key of its own.
    Own(Scalar),
    /// Quicknet, whose pulses are brought here.
    Quicknet(Relay),
    /// Nobody: a chain whose genesis names no beacon.
    Nobody,
}

pub(crate) struct Beacon {
    signer: Signer,
    /// Blocks that go without pulses.
    withheld: u32,
}

impl Beacon {
    pub(crate) fn new() -> Self {
        let secret = Scalar::from_be_bytes_mod_order(&sp_io::hashing::sha2_256(PHRASE));
        Self { signer: Signer::Own(secret), withheld: 0 }
    }

    /// A beacon that never signs, as on a chain that nobody brings pulses to.
    pub(crate) fn silent() -> Self {
        Self { signer: Signer::Nobody, withheld: 0 }
    }

    /// Quicknet's own pulses.
    pub(crate) fn quicknet(relay: Relay) -> Self {
        Self { signer: Signer::Quicknet(relay), withheld: 0 }
    }

    /// The public key, 96 bytes (G2, compressed); none for a silent beacon.
    pub(crate) fn public(&self) -> Vec<u8> {
        match &self.signer {
            Signer::Own(secret) => bytes_of(&(PublicKeys::generator() * secret)),
            Signer::Quicknet(_) => relay::public_key(),
            Signer::Nobody => Vec::new(),
        }
    }

    /// The next `blocks` blocks carry no pulse.
    pub(crate) fn withhold(&mut self, blocks: u32) {
        self.withheld = blocks;
    }

    /// What the next block carries; `awaited` need not be sorted.
    pub(crate) fn pulses(
        &mut self,
        now_ms: u64,
        last_stored: u64,
        awaited: &[u64],
        zeal: Zeal,
    ) -> Vec<Pulse> {
        if self.withheld > 0 {
            self.withheld = self.withheld.saturating_sub(1);
            return Vec::new();
        }
        let rounds = due(now_ms, last_stored, awaited, zeal);
        match &mut self.signer {
            Signer::Own(secret) => rounds.into_iter().map(|round| sign(*secret, round)).collect(),
            Signer::Quicknet(relay) => relay.pulses(&rounds, awaited),
            Signer::Nobody => Vec::new(),
        }
    }
}

/// What a pulse signs.
pub(crate) fn identity_of(round: u64) -> Identity {
    Identity::new(b"", &sp_io::hashing::sha2_256(&round.to_be_bytes()))
}

fn sign(secret: Scalar, round: u64) -> Pulse {
    let IBESecret(signature) = identity_of(round).extract::<TinyBLS381>(secret);
    let signature = bytes_of(&signature);
    (round, sp_io::hashing::sha2_256(&signature).to_vec(), signature)
}

/// The newest round published by `now_ms`: round `r` is out at genesis + (r − 1) × period.
fn newest(now_ms: u64) -> u64 {
    const MS: u64 = 1_000;
    match now_ms.checked_sub(u64::from(GENESIS_TIME) * MS) {
        None => 0,
        Some(since) => since / (u64::from(PERIOD) * MS) + 1,
    }
}

/// The rounds to sign, ascending, all newer than `last_stored`.
fn due(now_ms: u64, last_stored: u64, awaited: &[u64], zeal: Zeal) -> Vec<u64> {
    let newest = newest(now_ms);
    if newest <= last_stored {
        return Vec::new();
    }
    let first = last_stored.saturating_add(1);
    if zeal == Zeal::EveryRound && newest - last_stored <= MAX_CATCH_UP {
        return (first..=newest).collect();
    }
    let mut rounds: Vec<u64> =
        awaited.iter().copied().filter(|round| (first..=newest).contains(round)).collect();
    if zeal == Zeal::EveryRound {
        rounds.push(newest);
    }
    rounds.sort_unstable();
    rounds.dedup();
    rounds
}

fn bytes_of(point: &impl CanonicalSerialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(point.compressed_size());
    if let Err(error) = point.serialize_compressed(&mut bytes) {
        // A vector takes any number of bytes.
        tracing::error!(%error, "a curve point has no bytes");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENESIS_MS: u64 = GENESIS_TIME as u64 * 1_000;

    #[test]
    fn rounds_are_numbered_as_quicknets() {
        assert_eq!(newest(GENESIS_MS - 1), 0);
        assert_eq!(newest(GENESIS_MS), 1);
        assert_eq!(newest(GENESIS_MS + 2_999), 1);
        assert_eq!(newest(GENESIS_MS + 3_000), 2);
    }

    #[test]
    fn in_real_time_every_round_is_signed() {
        let now = GENESIS_MS + 3_000 * 109;
        assert_eq!(due(now, 106, &[], Zeal::EveryRound), [107, 108, 109, 110]);
        assert_eq!(due(now, 110, &[], Zeal::EveryRound), [] as [u64; 0]);
    }

    #[test]
    fn far_behind_only_what_is_awaited_and_the_newest_is_signed() {
        let now = GENESIS_MS + 3_000 * 9_999;
        let awaited = [7_000, 6_000, 50, 12_000, 7_000];
        assert_eq!(due(now, 100, &awaited, Zeal::EveryRound), [6_000, 7_000, 10_000]);
        assert_eq!(due(now, 100, &awaited, Zeal::Awaited), [6_000, 7_000]);
    }

    #[test]
    fn a_withheld_pulse_comes_after_the_blocks_without() {
        let mut beacon = Beacon::new();
        beacon.withhold(2);
        let now = GENESIS_MS + 3_000;
        let mut pulses = || beacon.pulses(now, 1, &[], Zeal::EveryRound).len();
        assert_eq!([pulses(), pulses(), pulses()], [0, 0, 1]);
    }

    #[test]
    fn a_silent_beacon_signs_nothing_even_when_awaited() {
        let pulses = Beacon::silent().pulses(GENESIS_MS + 3_000, 1, &[2], Zeal::EveryRound);
        assert_eq!(pulses, []);
    }

    #[test]
    fn keys_and_signatures_have_quicknets_sizes() {
        let beacon = Beacon::new();
        let Signer::Own(secret) = beacon.signer else { unreachable!("it is its own") };
        let (round, randomness, signature) = sign(secret, 1_000);
        assert_eq!((round, randomness.len(), signature.len()), (1_000, 32, 48));
        assert_eq!(Beacon::new().public().len(), 96);
    }
}
