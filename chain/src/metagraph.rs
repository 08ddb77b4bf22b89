//! A subnet at one block: who is there, and how they fare.

use chain_metadata::{Alpha, AxonInfo, Coldkey, Hotkey, NetUid, RawAddress, Tao, Uid};
use futures::future::try_join;
use serde::{Deserialize, Serialize};
use subxt::{ext::scale_decode::DecodeAsType, utils::AccountId32};

use crate::{ReadError, at::At, client::SUBTENSOR};

/// A subnet's neurons at one block.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metagraph {
    /// Which subnet.
    pub netuid: NetUid,
    /// Height of the block.
    pub block: u64,
    /// Hash of the block.
    #[serde(with = "hex::serde")]
    pub block_hash: [u8; 32],
    /// The subnet's name.
    pub name: String,
    /// Blocks between two epochs.
    pub tempo: u16,
    /// Block of the last epoch.
    pub last_step: u64,
    /// Blocks since.
    pub blocks_since_last_step: u64,
    /// The owner's hotkey.
    pub owner_hotkey: Hotkey,
    /// The owner.
    pub owner_coldkey: Coldkey,
    /// Slots of the subnet.
    pub max_uids: u16,
    /// Cost of registration now.
    pub burn: Tao,
    /// TAO in the subnet's pool.
    pub tao_in: Tao,
    /// Alpha in the subnet's pool.
    pub alpha_in: Alpha,
    /// Alpha outside of it.
    pub alpha_out: Alpha,
    /// The neurons; the place of each is its uid.
    pub neurons: Vec<Neuron>,
}

/// One slot of a subnet. Ratios are of 65535.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neuron {
    /// The slot.
    pub uid: Uid,
    /// Who holds it.
    pub hotkey: Hotkey,
    /// Who owns that hotkey.
    pub coldkey: Coldkey,
    /// Where it says it serves; `None` where it does not.
    pub axon: Option<AxonInfo>,
    /// Updated within the activity cutoff, as of the last epoch.
    pub active: bool,
    /// May set weights that count, as of the last epoch.
    pub validator_permit: bool,
    /// Stake in alpha, inherited stake included.
    pub alpha_stake: Alpha,
    /// Stake in TAO on the root, inherited stake included.
    pub tao_stake: Tao,
    /// Alpha and TAO stake weighed together, as the epoch counts them.
    pub total_stake: Alpha,
    /// Share of the miners' emission.
    pub incentive: u16,
    /// Weight that the stake agrees on.
    pub consensus: u16,
    /// Share of the validators' emission.
    pub dividends: u16,
    /// Share of its weights that the consensus kept.
    pub validator_trust: u16,
    /// Alpha paid at the last epoch.
    pub emission: Alpha,
    /// Block of the last weights, commit or registration.
    pub last_update: u64,
    /// Block in which the hotkey took the slot.
    pub block_at_registration: u64,
}

impl Metagraph {
    /// The slot of a hotkey.
    pub fn uid_of(&self, hotkey: &Hotkey) -> Option<Uid> {
        self.neuron_of(hotkey).map(|neuron| neuron.uid)
    }

    /// The neuron of a hotkey.
    pub fn neuron_of(&self, hotkey: &Hotkey) -> Option<&Neuron> {
        self.neurons.iter().find(|neuron| neuron.hotkey == *hotkey)
    }

    /// The neuron in a slot.
    pub fn neuron(&self, uid: Uid) -> Option<&Neuron> {
        self.neurons.get(uid.index())
    }

    /// One runtime call, and beside it the one column that call leaves out.
    pub(crate) async fn read(at: &At, netuid: NetUid) -> Result<Self, ReadError> {
        const API: &str = "SubnetInfoRuntimeApi";
        let raw = at.call::<Option<RawMetagraph>>(API, "get_metagraph", (netuid.0,));
        let trust = at.fetch::<Vec<u16>>(SUBTENSOR, "ValidatorTrust", (netuid.0,));
        let (raw, trust) = try_join(raw, trust).await?;
        let raw = raw.ok_or(ReadError::NoSubnet { netuid })?;
        raw.columns_agree()?;
        Ok(raw.into_metagraph(at, &trust.unwrap_or_default()))
    }
}

/// What `get_metagraph` returns, as far as we read it: fields are found by name, and what later
/// runtimes add is skipped.
#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct RawMetagraph {
    netuid: u16,
    name: Vec<u8>,
    tempo: u16,
    last_step: u64,
    blocks_since_last_step: u64,
    owner_hotkey: AccountId32,
    owner_coldkey: AccountId32,
    max_uids: u16,
    burn: u64,
    tao_in: u64,
    alpha_in: u64,
    alpha_out: u64,
    hotkeys: Vec<AccountId32>,
    coldkeys: Vec<AccountId32>,
    axons: Vec<RawAxon>,
    active: Vec<bool>,
    validator_permit: Vec<bool>,
    last_update: Vec<u64>,
    emission: Vec<u64>,
    dividends: Vec<u16>,
    incentives: Vec<u16>,
    consensus: Vec<u16>,
    block_at_registration: Vec<u64>,
    alpha_stake: Vec<u64>,
    tao_stake: Vec<u64>,
    total_stake: Vec<u64>,
}

#[derive(DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct RawAxon {
    block: u64,
    version: u32,
    ip: u128,
    port: u16,
    ip_type: u8,
    protocol: u8,
}

impl RawAxon {
    fn info(&self) -> Option<AxonInfo> {
        let address = RawAddress { ip: self.ip, ip_type: self.ip_type };
        AxonInfo::from_chain(address, self.port, self.protocol, self.version, self.block)
    }
}

/// A column of the metagraph that is not as long as the others.
#[derive(Debug, thiserror::Error)]
#[error("column `{column}` has {len} entries for {neurons} neurons")]
struct ColumnError {
    column: &'static str,
    len: usize,
    neurons: usize,
}

impl RawMetagraph {
    /// Checks that every per-neuron column has one entry for each neuron, except those that the
    /// chain leaves empty until the first epoch.
    fn columns_agree(&self) -> Result<(), ReadError> {
        let neurons = self.hotkeys.len();
        let columns = [
            ("coldkeys", self.coldkeys.len()),
            ("axons", self.axons.len()),
            ("last_update", self.last_update.len()),
            ("block_at_registration", self.block_at_registration.len()),
            ("alpha_stake", self.alpha_stake.len()),
            ("tao_stake", self.tao_stake.len()),
            ("total_stake", self.total_stake.len()),
        ];
        match columns.into_iter().find(|&(_, len)| len != neurons) {
            None => Ok(()),
            Some((column, len)) => Err(ReadError::shape(
                "SubnetInfoRuntimeApi.get_metagraph",
                ColumnError { column, len, neurons },
            )),
        }
    }

    fn into_metagraph(self, at: &At, trust: &[u16]) -> Metagraph {
        let neurons = (0..self.hotkeys.len()).map(|place| self.neuron(place, trust)).collect();
        Metagraph {
            netuid: NetUid(self.netuid),
            block: at.api.block_number(),
            block_hash: at.hash().0,
            name: String::from_utf8_lossy(&self.name).into_owned(),
            tempo: self.tempo,
            last_step: self.last_step,
            blocks_since_last_step: self.blocks_since_last_step,
            owner_hotkey: Hotkey::from_bytes(self.owner_hotkey.0),
            owner_coldkey: Coldkey::from_bytes(self.owner_coldkey.0),
            max_uids: self.max_uids,
            burn: Tao(self.burn),
            tao_in: Tao(self.tao_in),
            alpha_in: Alpha(self.alpha_in),
            alpha_out: Alpha(self.alpha_out),
            neurons,
        }
    }

    fn neuron(&self, place: usize, trust: &[u16]) -> Neuron {
        // A newcomer has no entry in what an epoch fills in; its ratios are zero until then.
        let ratio = |column: &[u16]| column.get(place).copied().unwrap_or(0);
        let flag = |column: &[bool]| column.get(place).copied().unwrap_or(false);
        Neuron {
            uid: Uid(u16::try_from(place).unwrap_or(u16::MAX)),
            hotkey: Hotkey::from_bytes(self.hotkeys[place].0),
            coldkey: Coldkey::from_bytes(self.coldkeys[place].0),
            axon: self.axons[place].info(),
            active: flag(&self.active),
            validator_permit: flag(&self.validator_permit),
            alpha_stake: Alpha(self.alpha_stake[place]),
            tao_stake: Tao(self.tao_stake[place]),
            total_stake: Alpha(self.total_stake[place]),
            incentive: ratio(&self.incentives),
            consensus: ratio(&self.consensus),
            dividends: ratio(&self.dividends),
            validator_trust: ratio(trust),
            emission: Alpha(self.emission.get(place).copied().unwrap_or(0)),
            last_update: self.last_update[place],
            block_at_registration: self.block_at_registration[place],
        }
    }
}
