//! A subnet at one block: who is there, and how they fare.

use chain_metadata::{Alpha, AxonInfo, Coldkey, Hotkey, NetUid, RawAddress, Tao, Uid};
use codec::{Compact, Decode};
use futures::future::try_join;
use serde::{Deserialize, Serialize};
use subxt::{ext::scale_decode::DecodeAsType, utils::AccountId32};

use crate::{
    ReadError,
    answer::{FieldError, Fields},
    at::At,
    client::SUBTENSOR,
};

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
        let answer = at.ask(API, METHOD, (netuid.0,));
        let trust = at.fetch::<Vec<u16>>(SUBTENSOR, "ValidatorTrust", (netuid.0,));
        let (answer, trust) = try_join(answer, trust).await?;
        let fields = answer.fields(at.api.metadata_ref().types()).map_err(unreadable)?;
        let fields = fields.ok_or(ReadError::NoSubnet { netuid })?;
        let raw = RawMetagraph::of(&fields).map_err(unreadable)?;
        raw.columns_agree()?;
        Ok(raw.into_metagraph(at, &trust.unwrap_or_default()))
    }
}

/// The runtime API.
const API: &str = "SubnetInfoRuntimeApi";
/// Its method.
const METHOD: &str = "get_metagraph";

fn unreadable(source: FieldError) -> ReadError {
    ReadError::shape("SubnetInfoRuntimeApi.get_metagraph", source)
}

/// What `get_metagraph` returns, as far as we read it: fields are found by name, and what later
/// runtimes add is skipped.
struct RawMetagraph {
    netuid: u16,
    name: Vec<u8>,
    tempo: u16,
    last_step: u64,
    blocks_since_last_step: u64,
    owner_hotkey: [u8; 32],
    owner_coldkey: [u8; 32],
    max_uids: u16,
    burn: u64,
    tao_in: u64,
    alpha_in: u64,
    alpha_out: u64,
    hotkeys: Vec<[u8; 32]>,
    coldkeys: Vec<[u8; 32]>,
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

/// An axon as stored; eight numbers of fixed width.
#[derive(Decode, DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct RawAxon {
    block: u64,
    version: u32,
    ip: u128,
    port: u16,
    ip_type: u8,
    protocol: u8,
    #[expect(dead_code, reason = "stored, and means nothing")]
    placeholder1: u8,
    #[expect(dead_code, reason = "stored, and means nothing")]
    placeholder2: u8,
}

impl RawMetagraph {
    fn of(fields: &Fields<'_>) -> Result<Self, FieldError> {
        let key = |name| fields.dynamic::<AccountId32>(name).map(|key| key.0);
        let keys = |name| {
            let plain = fields.plain::<Vec<[u8; 32]>>(name, "Vec<[u8; 32]>")?;
            plain.map_or_else(
                || Ok(fields.dynamic::<Vec<AccountId32>>(name)?.into_iter().map(|k| k.0).collect()),
                Ok,
            )
        };
        let compact = |name| {
            let plain = fields.plain::<Vec<Compact<u64>>>(name, "Vec<Compact<u64>>")?;
            plain.map_or_else(
                || fields.dynamic(name),
                |column| Ok(column.into_iter().map(|value| value.0).collect()),
            )
        };
        let ratios = |name| {
            let plain = fields.plain::<Vec<Compact<u16>>>(name, "Vec<Compact<u16>>")?;
            plain.map_or_else(
                || fields.dynamic(name),
                |column| Ok(column.into_iter().map(|value| value.0).collect()),
            )
        };
        let flags = |name| {
            let plain = fields.plain::<Vec<bool>>(name, "Vec<bool>")?;
            plain.map_or_else(|| fields.dynamic(name), Ok)
        };
        let axons = fields.plain::<Vec<RawAxon>>("axons", AXONS)?;
        Ok(Self {
            netuid: fields.dynamic("netuid")?,
            name: fields.dynamic("name")?,
            tempo: fields.dynamic("tempo")?,
            last_step: fields.dynamic("last_step")?,
            blocks_since_last_step: fields.dynamic("blocks_since_last_step")?,
            owner_hotkey: key("owner_hotkey")?,
            owner_coldkey: key("owner_coldkey")?,
            max_uids: fields.dynamic("max_uids")?,
            burn: fields.dynamic("burn")?,
            tao_in: fields.dynamic("tao_in")?,
            alpha_in: fields.dynamic("alpha_in")?,
            alpha_out: fields.dynamic("alpha_out")?,
            hotkeys: keys("hotkeys")?,
            coldkeys: keys("coldkeys")?,
            axons: axons.map_or_else(|| fields.dynamic("axons"), Ok)?,
            active: flags("active")?,
            validator_permit: flags("validator_permit")?,
            last_update: compact("last_update")?,
            emission: compact("emission")?,
            dividends: ratios("dividends")?,
            incentives: ratios("incentives")?,
            consensus: ratios("consensus")?,
            block_at_registration: compact("block_at_registration")?,
            alpha_stake: compact("alpha_stake")?,
            tao_stake: compact("tao_stake")?,
            total_stake: compact("total_stake")?,
        })
    }
}

/// The shape of [`RawAxon`]s.
const AXONS: &str = "Vec<{block: u64, version: u32, ip: u128, port: u16, ip_type: u8, protocol: u8, \
                     placeholder1: u8, placeholder2: u8}>";

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
            owner_hotkey: Hotkey::from_bytes(self.owner_hotkey),
            owner_coldkey: Coldkey::from_bytes(self.owner_coldkey),
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
            hotkey: Hotkey::from_bytes(self.hotkeys[place]),
            coldkey: Coldkey::from_bytes(self.coldkeys[place]),
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
