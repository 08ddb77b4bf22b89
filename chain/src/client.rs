//! The connected chain, and everything the suite reads from it.

use std::{sync::Arc, time::Duration};

use chain_metadata::{
    Alpha, Coldkey, EpochClock, Hotkey, Hyperparameters, MechId, NetUid, Tao, Uid, activity_cutoff,
};
use sp_crypto_hashing::twox_128;
use subxt::{
    OnlineClient, SubstrateConfig,
    backend::LegacyBackend,
    dynamic::Value,
    ext::scale_decode,
    rpcs::{RpcClient, methods::legacy::NumberOrHex},
    utils::{AccountId32, H256},
};

use crate::{
    ConnectError, ConnectOptions, Head, Heads, Metagraph, ReadError,
    at::{At, Item, Rpc},
    condition::{Condition, Gauge},
    link::Link,
};

/// The pallet of subnets, neurons, stake and weights.
pub(crate) const SUBTENSOR: &str = "SubtensorModule";

/// A connection to a chain. Clones share it.
#[derive(Clone)]
pub struct Chain(Arc<Inner>);

struct Inner {
    link: Arc<Link>,
    gauge: Gauge,
    rpc: Rpc,
    api: OnlineClient<SubstrateConfig>,
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Chain").field(&self.0.link).finish()
    }
}

#[derive(scale_decode::DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct AccountInfo {
    data: AccountData,
}

#[derive(scale_decode::DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct AccountData {
    free: u64,
}

#[derive(scale_decode::DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct Nonce {
    nonce: u32,
}

#[derive(scale_decode::DecodeAsType)]
#[decode_as_type(crate_path = "subxt::ext::scale_decode")]
struct StakeInfo {
    stake: u64,
}

impl Chain {
    /// Connects to the first of the endpoints (`ws://` or `wss://`) that answers. The others are
    /// kept for when it stops answering.
    pub async fn connect(
        endpoints: &[String],
        options: ConnectOptions,
    ) -> Result<Self, ConnectError> {
        let link = Link::open(endpoints, options).await?;
        let client = RpcClient::new(Arc::clone(&link));
        let config = SubstrateConfig::builder().set_genesis_hash(H256(link.genesis())).build();
        let backend = Arc::new(LegacyBackend::builder().build(client.clone()));
        let api = OnlineClient::from_backend_with_config(config, backend).await.map_err(|e| {
            // Nothing is asked here, as the genesis hash is known; the type allows for it.
            ConnectError::Client { source: Box::new(e) }
        })?;
        let gauge = Gauge::default();
        Ok(Self(Arc::new(Inner { link, gauge, rpc: Rpc::new(client), api })))
    }

    /// Hash of block 0, the same on every endpoint.
    pub fn genesis_hash(&self) -> [u8; 32] {
        self.0.link.genesis()
    }

    /// The endpoint in use, or next to be tried, without what may be secret in it.
    pub fn endpoint(&self) -> String {
        self.0.link.name(self.0.link.home())
    }

    /// Version of the runtime after the newest finalized block.
    pub async fn spec_version(&self) -> Result<u32, ReadError> {
        Ok(self.at(None).await?.api.spec_version())
    }

    /// How the connection fares, as the last [`Heads`] saw it.
    pub fn condition(&self) -> Condition {
        self.0.gauge.condition(&self.0.link)
    }

    /// The newest finalized block. Needs no state.
    pub async fn finalized_head(&self) -> Result<Head, ReadError> {
        let hash = self.rpc().chain_get_finalized_head().await?;
        Ok(Head { number: self.number_of(hash).await?, hash: hash.0 })
    }

    /// The newest finalized block, each time that there is one: those in between are skipped by a
    /// reader that is slow, or was cut off.
    pub fn heads(&self) -> Heads {
        Heads::newest(self.clone())
    }

    /// Finalized blocks from this one on, in order, none skipped.
    pub fn heads_from(&self, number: u64) -> Heads {
        Heads::in_order(self.clone(), number)
    }

    /// The block at a height. Needs no state.
    pub async fn block(&self, number: u64) -> Result<Head, ReadError> {
        Ok(Head { number, hash: self.hash_of(number).await?.0 })
    }

    /// The author's clock at a block (`Timestamp.Now`), Unix milliseconds; `None` on a chain without
    /// one. The key is the same in every runtime and the value a plain u64, so this needs no
    /// metadata.
    pub async fn time_of(&self, block: [u8; 32]) -> Result<Option<u64>, ReadError> {
        let key = [twox_128(b"Timestamp"), twox_128(b"Now")].concat();
        let bytes = self.rpc().state_get_storage(&key, Some(H256(block))).await?;
        Ok(bytes.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?))))
    }

    /// Whether some endpoint still has the state after a block: nodes drop states after 256 blocks,
    /// unless they are archives.
    pub async fn keeps_state(&self, block: [u8; 32]) -> Result<bool, ReadError> {
        match self.time_of(block).await {
            Ok(_) => Ok(true),
            // The same read at a state that must be there tells a state that is gone from a node in
            // trouble.
            Err(ReadError::Node { .. } | ReadError::NoBlock { .. }) => {
                let head = self.rpc().chain_get_finalized_head().await?;
                self.time_of(head.0).await.map(|_| false)
            }
            Err(error) => Err(error),
        }
    }

    /// A subnet's neurons at a block (or at the newest finalized one), in one runtime call.
    pub async fn metagraph(
        &self,
        netuid: NetUid,
        at: Option<[u8; 32]>,
    ) -> Result<Metagraph, ReadError> {
        Metagraph::read(&self.at(at).await?, netuid).await
    }

    /// A subnet's hyperparameters at a block (or at the newest finalized one), in one request.
    pub async fn hyperparameters(
        &self,
        netuid: NetUid,
        at: Option<[u8; 32]>,
    ) -> Result<Hyperparameters, ReadError> {
        let at = self.at(at).await?;
        let mut read = Subnet::new(&at, netuid);
        for name in ["ActivityCutoffFactorMilli", "ActivityCutoff"] {
            read.want_if_present(name)?;
        }
        for name in SUBNET_VALUES {
            read.want(name)?;
        }
        read.want_plain("CommitRevealWeightsVersion")?;
        let read = read.fetch().await?;
        if !read.get::<bool>("NetworksAdded")? {
            return Err(ReadError::NoSubnet { netuid });
        }
        let tempo = read.get("Tempo")?;
        Ok(Hyperparameters {
            tempo,
            commit_reveal_enabled: read.get("CommitRevealWeightsEnabled")?,
            reveal_period_epochs: read.get("RevealPeriodEpochs")?,
            commit_reveal_version: read.get("CommitRevealWeightsVersion")?,
            weights_rate_limit: read.get("WeightsSetRateLimit")?,
            weights_version_key: read.get("WeightsVersionKey")?,
            min_allowed_weights: read.get("MinAllowedWeights")?,
            max_allowed_validators: read.get("MaxAllowedValidators")?,
            max_allowed_uids: read.get("MaxAllowedUids")?,
            activity_cutoff_blocks: if read.has("ActivityCutoffFactorMilli") {
                activity_cutoff(read.get("ActivityCutoffFactorMilli")?, tempo)
            } else {
                u64::from(read.get::<u16>("ActivityCutoff")?)
            },
            immunity_period: read.get("ImmunityPeriod")?,
            serving_rate_limit: read.get("ServingRateLimit")?,
            kappa: read.get("Kappa")?,
            burn: read.get("Burn")?,
            mechanism_count: read.get("MechanismCountCurrent")?,
            subtoken_enabled: read.get("SubtokenEnabled")?,
            yuma3: read.get("Yuma3On")?,
            liquid_alpha: read.get("LiquidAlphaOn")?,
        })
    }

    /// The state of a subnet's epoch schedule at a block (or at the newest finalized one), in one
    /// request.
    pub async fn epoch_clock(
        &self,
        netuid: NetUid,
        at: Option<[u8; 32]>,
    ) -> Result<EpochClock, ReadError> {
        let at = self.at(at).await?;
        let mut read = Subnet::new(&at, netuid);
        for name in EPOCH_VALUES {
            read.want(name)?;
        }
        let read = read.fetch().await?;
        if !read.get::<bool>("NetworksAdded")? {
            return Err(ReadError::NoSubnet { netuid });
        }
        Ok(EpochClock {
            tempo: read.get("Tempo")?,
            last_epoch_block: read.get("LastEpochBlock")?,
            pending_epoch_at: read.get("PendingEpochAt")?,
            subnet_epoch_index: read.get("SubnetEpochIndex")?,
            blocks_since_last_step: read.get("BlocksSinceLastStep")?,
        })
    }

    /// Free TAO of a coldkey.
    pub async fn balance(&self, coldkey: &Coldkey) -> Result<Tao, ReadError> {
        let at = self.at(None).await?;
        let account: Option<AccountInfo> =
            at.fetch("System", "Account", (Value::from_bytes(coldkey),)).await?;
        Ok(Tao(account.map_or(0, |account| account.data.free)))
    }

    /// Stake of a coldkey on a hotkey in a subnet: alpha, or TAO on the root.
    pub async fn stake(
        &self,
        hotkey: &Hotkey,
        coldkey: &Coldkey,
        netuid: NetUid,
    ) -> Result<Alpha, ReadError> {
        let at = self.at(None).await?;
        let keys = (Value::from_bytes(hotkey), Value::from_bytes(coldkey), netuid.0);
        let method = "get_stake_info_for_hotkey_coldkey_netuid";
        let info: Option<StakeInfo> = at.call("StakeInfoRuntimeApi", method, keys).await?;
        Ok(Alpha(info.map_or(0, |info| info.stake)))
    }

    /// The slot of a hotkey in a subnet.
    pub async fn uid_of(
        &self,
        netuid: NetUid,
        hotkey: &Hotkey,
        at: Option<[u8; 32]>,
    ) -> Result<Option<Uid>, ReadError> {
        let at = self.at(at).await?;
        let uid: Option<u16> =
            at.fetch(SUBTENSOR, "Uids", (netuid.0, Value::from_bytes(hotkey))).await?;
        Ok(uid.map(Uid))
    }

    /// Time between two blocks (`Aura.SlotDuration`).
    pub async fn block_time(&self) -> Result<Duration, ReadError> {
        let at = self.at(None).await?;
        let address = subxt::dynamic::constant::<u64>("Aura", "SlotDuration");
        let millis = at
            .api
            .constants()
            .entry(address)
            .map_err(|source| ReadError::shape("Aura.SlotDuration", source))?;
        Ok(Duration::from_millis(millis))
    }

    /// The weights a validator has on chain, in stored order.
    pub async fn weights_row(
        &self,
        netuid: NetUid,
        mechanism: MechId,
        uid: Uid,
        at: Option<[u8; 32]>,
    ) -> Result<Vec<(Uid, u16)>, ReadError> {
        let at = self.at(at).await?;
        let keys = (netuid.storage_index(mechanism), uid.0);
        let row: Vec<(u16, u16)> = at.require(SUBTENSOR, "Weights", keys).await?;
        Ok(row.into_iter().map(|(uid, value)| (Uid(uid), value)).collect())
    }

    /// The block of each neuron's last update (weights, commit or registration), by uid.
    pub async fn last_update(
        &self,
        netuid: NetUid,
        mechanism: MechId,
        at: Option<[u8; 32]>,
    ) -> Result<Vec<u64>, ReadError> {
        let at = self.at(at).await?;
        at.require(SUBTENSOR, "LastUpdate", (netuid.storage_index(mechanism),)).await
    }

    /// The nonce of an account after a block: how many of its extrinsics the chain has taken.
    pub async fn nonce_at(&self, account: &[u8; 32], block: [u8; 32]) -> Result<u32, ReadError> {
        let at = self.at(Some(block)).await?;
        let found: Option<Nonce> =
            at.fetch("System", "Account", (Value::from_bytes(account),)).await?;
        Ok(found.map_or(0, |account| account.nonce))
    }

    /// The next nonce of an account, transactions in the pool included.
    pub async fn nonce(&self, account: &[u8; 32]) -> Result<u32, ReadError> {
        let nonce = self.rpc().system_account_next_index(&AccountId32(*account)).await?;
        u32::try_from(nonce).map_err(|source| ReadError::shape("system_accountNextIndex", source))
    }

    /// Any storage value, for what has no method of its own. `keys` are the parts of a map's key,
    /// in order. `None` where nothing is stored and there is no default.
    pub async fn storage(
        &self,
        pallet: &'static str,
        item: &'static str,
        keys: Vec<Value>,
        at: Option<[u8; 32]>,
    ) -> Result<Option<Value>, ReadError> {
        let at = self.at(at).await?;
        at.fetch(pallet, item, keys).await
    }

    /// The newest metadata the runtime offers, as raw SCALE that begins with `meta`.
    pub async fn metadata(&self) -> Result<Vec<u8>, ReadError> {
        let hash = self.rpc().chain_get_finalized_head().await?;
        crate::raw_metadata::fetch(self.rpc(), hash).await
    }

    pub(crate) fn link(&self) -> &Arc<Link> {
        &self.0.link
    }

    pub(crate) fn gauge(&self) -> &Gauge {
        &self.0.gauge
    }

    pub(crate) fn rpc(&self) -> &Rpc {
        &self.0.rpc
    }

    /// The chain at a block, or at the newest finalized one.
    pub(crate) async fn at(&self, hash: Option<[u8; 32]>) -> Result<At, ReadError> {
        let hash = match hash {
            Some(hash) => H256(hash),
            None => self.rpc().chain_get_finalized_head().await?,
        };
        let api = self.0.api.at_block(hash).await?;
        Ok(At { api, rpc: self.rpc().clone() })
    }

    /// The chain at its newest block, finalized or not.
    pub(crate) async fn at_best(&self) -> Result<At, ReadError> {
        let best = self.rpc().chain_get_block_hash(None).await?;
        self.at(best.map(|hash| hash.0)).await
    }

    /// The height of the newest block, finalized or not.
    pub(crate) async fn best_number(&self) -> Result<u64, ReadError> {
        let header = self.rpc().chain_get_header(None).await?;
        header
            .map(|header| header.number)
            .ok_or_else(|| ReadError::NoBlock { block: "best".into() })
    }

    pub(crate) async fn finalized_number(&self) -> Result<u64, ReadError> {
        let hash = self.rpc().chain_get_finalized_head().await?;
        self.number_of(hash).await
    }

    pub(crate) async fn hash_of(&self, number: u64) -> Result<H256, ReadError> {
        let asked = Some(NumberOrHex::Number(number));
        let hash = self.rpc().chain_get_block_hash(asked).await?;
        hash.ok_or_else(|| ReadError::NoBlock { block: number.to_string() })
    }

    pub(crate) async fn number_of(&self, hash: H256) -> Result<u64, ReadError> {
        let header = self.rpc().chain_get_header(Some(hash)).await?;
        let header = header.ok_or_else(|| ReadError::NoBlock { block: format!("{hash:?}") })?;
        Ok(header.number)
    }
}

/// Values of a subnet that [`Hyperparameters`] is made of.
const SUBNET_VALUES: [&str; 17] = [
    "NetworksAdded",
    "Tempo",
    "CommitRevealWeightsEnabled",
    "RevealPeriodEpochs",
    "WeightsSetRateLimit",
    "WeightsVersionKey",
    "MinAllowedWeights",
    "MaxAllowedValidators",
    "MaxAllowedUids",
    "ImmunityPeriod",
    "ServingRateLimit",
    "Kappa",
    "Burn",
    "MechanismCountCurrent",
    "SubtokenEnabled",
    "Yuma3On",
    "LiquidAlphaOn",
];

/// Values of a subnet that [`EpochClock`] is made of.
const EPOCH_VALUES: [&str; 6] = [
    "NetworksAdded",
    "Tempo",
    "LastEpochBlock",
    "PendingEpochAt",
    "SubnetEpochIndex",
    "BlocksSinceLastStep",
];

/// Several values of one subnet, read together.
struct Subnet<'a> {
    at: &'a At,
    netuid: NetUid,
    items: Vec<Item>,
}

impl<'a> Subnet<'a> {
    fn new(at: &'a At, netuid: NetUid) -> Self {
        Self { at, netuid, items: Vec::new() }
    }

    fn want(&mut self, name: &'static str) -> Result<(), ReadError> {
        let key = self.at.key(SUBTENSOR, name, (self.netuid.0,))?;
        self.items.push(Item { pallet: SUBTENSOR, name, key });
        Ok(())
    }

    fn want_plain(&mut self, name: &'static str) -> Result<(), ReadError> {
        let key = self.at.key(SUBTENSOR, name, ())?;
        self.items.push(Item { pallet: SUBTENSOR, name, key });
        Ok(())
    }

    fn want_if_present(&mut self, name: &'static str) -> Result<(), ReadError> {
        if self.at.has_storage(SUBTENSOR, name) { self.want(name) } else { Ok(()) }
    }

    async fn fetch(self) -> Result<Values<'a>, ReadError> {
        let values = self.at.fetch_many(&self.items).await?;
        Ok(Values { at: self.at, values: self.items.into_iter().zip(values).collect() })
    }
}

/// The bytes of several values, decoded on demand.
struct Values<'a> {
    at: &'a At,
    values: Vec<(Item, Option<Vec<u8>>)>,
}

impl Values<'_> {
    fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(item, _)| item.name == name)
    }

    fn get<V: scale_decode::DecodeAsType>(&self, name: &str) -> Result<V, ReadError> {
        let absent = || ReadError::Absent { fact: format!("{SUBTENSOR}.{name}") };
        let (item, bytes) =
            self.values.iter().find(|(item, _)| item.name == name).ok_or_else(absent)?;
        self.at.decode(item.pallet, item.name, bytes.clone())?.ok_or_else(absent)
    }
}
