//! Hidden weights: what is committed, what opens it, and what became of it.

use codec::Encode as _;
use subxt::{
    dynamic::Value,
    ext::scale_decode,
    utils::{AccountId32, H256},
};

use chain_metadata::{
    Alpha, EpochClock, Hotkey, Hyperparameters, MechId, NetUid, Standing, Weights,
};
use sp_crypto_hashing::blake2_256;

use crate::{Chain, Metagraph, ReadError, client::SUBTENSOR, timelock::Beacon};

const DRAND: &str = "Drand";

/// A commit as the chain queues it: by whom, at which block, the ciphertext, its round.
type Queued = (AccountId32, u64, Vec<u8>, u64);

/// Numbers in the salt of a hash commit: 128 bits nobody can search.
pub const SALT_LEN: usize = 8;

/// A salt for one hash commit.
pub fn new_salt() -> Vec<u16> {
    rand::random::<[u16; SALT_LEN]>().to_vec()
}

/// Weights that wait, encrypted, for their round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelockedCommit {
    /// Whose.
    pub hotkey: Hotkey,
    /// The subnet's epoch it was made in.
    pub epoch: u64,
    /// The block it was made in.
    pub block: u64,
    /// The ciphertext.
    pub ciphertext: Vec<u8>,
    /// The round that opens it.
    pub round: u64,
}

/// The hash of weights that wait to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashCommit {
    /// Of the hotkey, the subnet, the weights, the salt and the version key.
    pub hash: [u8; 32],
    /// The subnet's epoch it was made in.
    pub epoch: u64,
    /// The block it was made in.
    pub block: u64,
}

/// The hash that a commit of weights must have: blake2-256 over the SCALE encoding of the account,
/// the index of subnet and mechanism, uids, values, salt and version key.
pub fn commit_hash(
    hotkey: &Hotkey,
    netuid: NetUid,
    mechanism: MechId,
    weights: &Weights,
    salt: &[u16],
    version_key: u64,
) -> [u8; 32] {
    let index = netuid.storage_index(mechanism);
    hash_of(hotkey.as_bytes(), index, &weights.uids(), &weights.values(), salt, version_key)
}

fn hash_of(
    account: &[u8; 32],
    index: u16,
    uids: &[u16],
    values: &[u16],
    salt: &[u16],
    version_key: u64,
) -> [u8; 32] {
    blake2_256(&(account, index, uids, values, salt, version_key).encode())
}

#[derive(scale_decode::DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct BeaconConfig {
    public_key: Vec<u8>,
    period: u32,
    genesis_time: u32,
}

#[derive(scale_decode::DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Pulse {
    signature: Vec<u8>,
}

impl Chain {
    /// The beacon whose rounds open timelocked weights; `None` on a chain that has none.
    pub async fn beacon(&self, at: Option<[u8; 32]>) -> Result<Option<Beacon>, ReadError> {
        let at = self.at(at).await?;
        if !at.has_storage(DRAND, "BeaconConfig") {
            return Ok(None);
        }
        let config: Option<BeaconConfig> = at.fetch(DRAND, "BeaconConfig", ()).await?;
        Ok(config.filter(|config| !config.public_key.is_empty() && config.period > 0).map(
            |config| Beacon {
                public_key: config.public_key,
                period_s: config.period,
                genesis_s: config.genesis_time,
            },
        ))
    }

    /// The newest round whose pulse the chain has; 0 before the first.
    pub async fn last_stored_round(&self, at: Option<[u8; 32]>) -> Result<u64, ReadError> {
        let at = self.at(at).await?;
        Ok(at.fetch(DRAND, "LastStoredRound", ()).await?.unwrap_or(0))
    }

    /// The signature of a round, once the chain has it.
    pub async fn pulse_signature(
        &self,
        round: u64,
        at: Option<[u8; 32]>,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let at = self.at(at).await?;
        let pulse: Option<Pulse> = at.fetch(DRAND, "Pulses", (round,)).await?;
        Ok(pulse.map(|pulse| pulse.signature))
    }

    /// The timelocked commits of one epoch of a mechanism, in the order they were made.
    pub async fn timelocked_commits(
        &self,
        netuid: NetUid,
        mechanism: MechId,
        epoch: u64,
        at: Option<[u8; 32]>,
    ) -> Result<Vec<TimelockedCommit>, ReadError> {
        let at = self.at(at).await?;
        let keys = (netuid.storage_index(mechanism), epoch);
        let queue: Option<Vec<Queued>> =
            at.fetch(SUBTENSOR, "TimelockedWeightCommits", keys).await?;
        let commit = |(hotkey, block, ciphertext, round): Queued| {
            let hotkey = Hotkey::from_bytes(hotkey.0);
            TimelockedCommit { hotkey, epoch, block, ciphertext, round }
        };
        Ok(queue.unwrap_or_default().into_iter().map(commit).collect())
    }

    /// The hash commits of a hotkey in a mechanism that were not shown yet, oldest first.
    pub async fn hash_commits(
        &self,
        netuid: NetUid,
        mechanism: MechId,
        hotkey: &Hotkey,
        at: Option<[u8; 32]>,
    ) -> Result<Vec<HashCommit>, ReadError> {
        let at = self.at(at).await?;
        let keys = (netuid.storage_index(mechanism), Value::from_bytes(hotkey));
        let queue: Option<Vec<(H256, u64, u64, u64)>> =
            at.fetch(SUBTENSOR, "WeightCommits", keys).await?;
        let commit = |(hash, epoch, block, _): (H256, u64, u64, u64)| HashCommit {
            hash: hash.0,
            epoch,
            block,
        };
        Ok(queue.unwrap_or_default().into_iter().map(commit).collect())
    }

    /// Where a hotkey stands after the block of a metagraph, for
    /// [`obstacles`](chain_metadata::obstacles).
    pub async fn standing(
        &self,
        metagraph: &Metagraph,
        mechanism: MechId,
        hotkey: &Hotkey,
        rules: &Hyperparameters,
        clock: &EpochClock,
    ) -> Result<Standing, ReadError> {
        let (netuid, hash) = (metagraph.netuid, Some(metagraph.block_hash));
        let at = self.at(hash).await?;
        let me = metagraph.neuron_of(hotkey);
        let stake_threshold: u64 = at.require(SUBTENSOR, "StakeThreshold", ()).await?;
        let max_weight = if at.has_storage(SUBTENSOR, "MaxWeightsLimit") {
            at.require(SUBTENSOR, "MaxWeightsLimit", (netuid.0,)).await?
        } else {
            u16::MAX
        };
        let last_update = match (me, mechanism.0) {
            (None, _) => 0,
            (Some(me), 0) => me.last_update,
            (Some(me), _) => {
                let updates = self.last_update(netuid, mechanism, hash).await?;
                updates.get(me.uid.index()).copied().unwrap_or(0)
            }
        };
        let open_commits = if rules.commit_reveal_enabled {
            let epoch = clock.epoch_of_commit(metagraph.block + 1);
            let timelocked = self.timelocked_commits(netuid, mechanism, epoch, hash).await?;
            let hashes = self.hash_commits(netuid, mechanism, hotkey, hash).await?;
            let live =
                hashes.iter().filter(|commit| commit.epoch + rules.reveal_period_epochs >= epoch);
            timelocked.iter().filter(|commit| commit.hotkey == *hotkey).count().max(live.count())
        } else {
            0
        };
        Ok(Standing {
            block: metagraph.block + 1,
            uid: me.map(|me| me.uid),
            is_owner: metagraph.owner_hotkey == *hotkey,
            permit: me.is_some_and(|me| me.validator_permit),
            stake: me.map_or(Alpha(0), |me| me.total_stake),
            stake_threshold: Alpha(stake_threshold),
            last_update,
            neurons: u16::try_from(metagraph.neurons.len()).unwrap_or(u16::MAX),
            open_commits,
            max_weight,
        })
    }

    /// How often a block's timelocked reveals applied a hotkey's weights.
    pub async fn timelocked_reveals(
        &self,
        netuid: NetUid,
        mechanism: MechId,
        hotkey: &Hotkey,
        block: [u8; 32],
    ) -> Result<usize, ReadError> {
        let index = u128::from(netuid.storage_index(mechanism));
        let events = self.events(block).await?;
        let ours = events.iter().filter(|event| {
            let mut fields = event.fields.values();
            event.pallet == SUBTENSOR
                && event.name == "TimelockedWeightsRevealed"
                && fields.next().and_then(number) == Some(index)
                && fields.next().and_then(bytes).as_deref() == Some(hotkey.as_bytes())
        });
        Ok(ours.count())
    }
}

/// A number, through any newtypes around it.
fn number(value: &Value) -> Option<u128> {
    use scale_value::ValueDef::{Composite, Primitive};
    match &value.value {
        Primitive(_) => value.as_u128(),
        Composite(composite) if composite.len() == 1 => composite.values().next().and_then(number),
        _ => None,
    }
}

/// A byte string, through any newtypes around it.
fn bytes(value: &Value) -> Option<Vec<u8>> {
    let scale_value::ValueDef::Composite(composite) = &value.value else { return None };
    let mut parts = composite.values();
    if let (Some(only), 1) = (parts.next(), composite.len())
        && only.as_u128().is_none()
    {
        return bytes(only);
    }
    composite.values().map(|part| part.as_u128().and_then(|n| u8::try_from(n).ok())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct Case {
        account_hex: String,
        netuid: u16,
        mecid: u8,
        uids: Vec<u16>,
        values: Vec<u16>,
        salt: Vec<u16>,
        version_key: String,
        commit_hash: String,
    }

    #[test]
    fn commit_hashes_are_the_chains() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../testdata/commit_hash.json")).unwrap();
        for case in cases {
            let account = hex::decode(&case.account_hex).unwrap().try_into().unwrap();
            let index = NetUid(case.netuid).storage_index(MechId(case.mecid));
            let key = case.version_key.parse().unwrap();
            let hash = hash_of(&account, index, &case.uids, &case.values, &case.salt, key);
            assert_eq!(format!("0x{}", hex::encode(hash)), case.commit_hash);
        }
    }
}
