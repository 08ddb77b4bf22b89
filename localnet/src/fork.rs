//! The state of another chain at one block, fetched as it is read.
//!
//! Every trie node is asked for by the path at which it is missing (`state_getReadProof` of a key below it),
//! and found by its hash: what the endpoint answers is either the state or useless. So the fork's root is the
//! other chain's own, however little of it was fetched. Nodes are kept in a file, for the next start.

use crate::{Spec, chain::Block};
use codec::Decode as _;
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed, v14::StorageEntryType};
use frame_support::storage::StoragePrefixedMap as _;
use hash_db::Prefix;
use jsonrpsee::{
    core::{client::ClientT as _, params::ArrayParams},
    ws_client::{WsClient, WsClientBuilder},
};
use node_subtensor_runtime::{Header, Runtime, StoredSlotDuration, drand, shown};
use parking_lot::{Mutex, RwLock};
use scale_info::{PortableRegistry, TypeDef};
use serde_json::{Value, json};
use sp_core::{H256, storage::Storage};
use sp_runtime::{Digest, DigestItem};
use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Attempts at one question, with a pause before each but the first that doubles from [`PAUSE`].
const TRIES: u32 = 5;
/// The first pause: an endpoint that limits its clients wants a moment's peace.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes of a key that lead to a node: account keys of three parts are shorter.
const MAX_KEY: usize = 512;

/// Where a fork begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fork {
    /// The other chain's endpoint, `ws://` or `wss://`.
    pub endpoint: String,
    /// The block, by height or hash; the finalized head if absent.
    pub at: Option<String>,
    /// The folder in which fetched nodes are kept; nowhere if absent.
    pub cache: Option<PathBuf>,
}

/// Why there is no fork.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForkError {
    /// The endpoint does not answer.
    #[error("{endpoint} does not answer: {reason}")]
    Unreachable {
        /// The endpoint, without what may be a key in it.
        endpoint: String,
        /// What went wrong.
        reason: String,
    },
    /// There is no such block.
    #[error("the chain has no block {0}")]
    NoBlock(String),
    /// Its runtime is older than any whose rules are known.
    #[error("the chain runs spec {0}; the oldest whose rules are known is 425")]
    TooOld(u32),
    /// It is not a subtensor.
    #[error("the chain is a `{0}`, not a `node-subtensor`")]
    OtherRuntime(String),
    /// An answer is not what a node answers.
    #[error("the endpoint's answer to {method} makes no sense")]
    Nonsense {
        /// What was asked.
        method: &'static str,
    },
    /// The state cannot be read.
    #[error("the state of block {block} cannot be read: {reason}")]
    State {
        /// The block.
        block: H256,
        /// What the endpoint said.
        reason: String,
    },
    /// The cache cannot be used.
    #[error("{path}")]
    Cache {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

type Answer = Result<Value, String>;

struct Question {
    method: &'static str,
    params: Vec<Value>,
    answer: mpsc::SyncSender<Answer>,
}

/// A connection that may be used from any thread, a question at a time.
struct Wire {
    questions: mpsc::Sender<Question>,
}

impl Wire {
    fn open(endpoint: &str) -> Result<Self, ForkError> {
        let unreachable =
            |reason: String| ForkError::Unreachable { endpoint: without_path(endpoint), reason };
        let (questions, asked) = mpsc::channel::<Question>();
        let (ready, opened) = mpsc::sync_channel(1);
        let url = endpoint.to_owned();
        let work = move || serve(&url, &asked, &ready);
        thread::Builder::new()
            .name("fork".into())
            .spawn(work)
            .map_err(|error| unreachable(error.to_string()))?;
        match opened.recv() {
            Ok(Ok(())) => Ok(Self { questions }),
            Ok(Err(reason)) => Err(unreachable(reason)),
            Err(_) => Err(unreachable("the connection's thread ended".to_owned())),
        }
    }

    fn ask(&self, method: &'static str, params: Vec<Value>) -> Answer {
        let (answer, answered) = mpsc::sync_channel(1);
        let gone = || "the connection's thread ended".to_owned();
        self.questions.send(Question { method, params, answer }).map_err(|_| gone())?;
        answered.recv().map_err(|_| gone())?
    }
}

/// The endpoint without a path, in which providers put keys.
pub(crate) fn without_path(endpoint: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("ws", endpoint));
    format!("{scheme}://{}", rest.split(['/', '?']).next().unwrap_or_default())
}

fn serve(
    url: &str,
    asked: &mpsc::Receiver<Question>,
    ready: &mpsc::SyncSender<Result<(), String>>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return tell(ready, Err(error.to_string())),
    };
    let mut client = match runtime.block_on(connect(url)) {
        Ok(client) => client,
        Err(error) => return tell(ready, Err(error)),
    };
    tell(ready, Ok(()));
    while let Ok(Question { method, params, answer }) = asked.recv() {
        tell(&answer, runtime.block_on(ask(url, &mut client, method, &params)));
    }
}

/// Whoever asked may have given up.
fn tell<T>(to: &mpsc::SyncSender<T>, what: T) {
    if to.send(what).is_err() {
        tracing::trace!("nobody waits for the answer");
    }
}

async fn connect(url: &str) -> Result<WsClient, String> {
    let builder = WsClientBuilder::default().request_timeout(TIMEOUT);
    builder.build(url).await.map_err(|error| error.to_string())
}

/// Asks, and asks again after a pause when the endpoint limits its clients or the connection broke.
async fn ask(url: &str, client: &mut WsClient, method: &str, params: &[Value]) -> Answer {
    let mut last = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(PAUSE * 2_u32.saturating_pow(attempt - 1)).await;
        }
        if !client.is_connected() {
            match connect(url).await {
                Ok(again) => *client = again,
                Err(error) => {
                    last = error;
                    continue;
                }
            }
        }
        let mut array = ArrayParams::new();
        for param in params {
            array.insert(param).map_err(|error| error.to_string())?;
        }
        match client.request::<Value, _>(method, array).await {
            Ok(answer) => return Ok(answer),
            // What was discarded stays discarded.
            Err(error) if error.to_string().contains("discarded") => return Err(error.to_string()),
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}

/// Nodes on disk: each with its length, one behind the other. What is cut short at the end is dropped, and a
/// node that is not what it was is never found, because its hash is another.
struct Cache(Mutex<File>);

impl Cache {
    fn open(folder: &Path, block: &H256) -> Result<(Self, Vec<Vec<u8>>), ForkError> {
        let path = folder.join(format!("{block:?}.nodes"));
        let at = |source| ForkError::Cache { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(at)?;
        let mut file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(at)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(at)?;
        let (mut rest, mut nodes) = (&bytes[..], Vec::new());
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
            let Some((node, tail)) = tail.split_at_checked(length) else { break };
            nodes.push(node.to_vec());
            rest = tail;
        }
        let intact = bytes.len().saturating_sub(rest.len());
        file.set_len(u64::try_from(intact).unwrap_or(u64::MAX)).map_err(at)?;
        Ok((Self(Mutex::new(file)), nodes))
    }

    fn keep(&self, nodes: &[Vec<u8>]) {
        let mut bytes = Vec::new();
        for node in nodes {
            let length = u32::try_from(node.len()).unwrap_or(u32::MAX);
            bytes.extend(length.to_le_bytes());
            bytes.extend(node);
        }
        if let Err(error) = self.0.lock().write_all(&bytes) {
            tracing::warn!(%error, "fetched nodes could not be kept");
        }
    }
}

/// The nodes of one state of another chain.
pub(crate) struct Remote {
    wire: Wire,
    at: H256,
    nodes: RwLock<HashMap<H256, Vec<u8>>>,
    cache: Option<Cache>,
}

/// What a fork begins with.
pub(crate) struct Begun {
    pub remote: Remote,
    pub block: Block,
    pub genesis_hash: H256,
    pub spec_version: u32,
    /// Storage items that are read otherwise here than there.
    pub differing: Vec<String>,
}

/// Storage items and how they are written.
type Layouts = BTreeMap<String, String>;

/// Types are compared as far down as this; deeper they are taken to be alike.
const MAX_DEPTH: usize = 8;

fn layouts(metadata: &[u8]) -> Option<Layouts> {
    let metadata = RuntimeMetadataPrefixed::decode(&mut &metadata[..]).ok()?;
    let RuntimeMetadata::V14(metadata) = metadata.1 else { return None };
    let types = &metadata.types;
    let layout = |id: u32| layout(types, id, MAX_DEPTH);
    let storages = metadata.pallets.iter().filter_map(|pallet| pallet.storage.as_ref());
    let items = storages.flat_map(|storage| {
        storage.entries.iter().map(|entry| {
            let name = format!("{}.{}", storage.prefix, entry.name);
            let written = match &entry.ty {
                StorageEntryType::Plain(value) => layout(value.id),
                StorageEntryType::Map { hashers, key, value } => {
                    format!("{hashers:?} {} {}", layout(key.id), layout(value.id))
                }
            };
            (name, written)
        })
    });
    Some(items.collect())
}

/// How a type is written: names of types and fields do not matter, nor does what is wrapped alone.
fn layout(types: &PortableRegistry, id: u32, depth: usize) -> String {
    let Some(ty) = types.resolve(id) else { return "?".to_owned() };
    let name = ty.path.segments.last().map_or("", String::as_str);
    if ["RuntimeCall", "RuntimeEvent", "UncheckedExtrinsic"].contains(&name) {
        return name.to_owned();
    }
    let Some(depth) = depth.checked_sub(1) else { return String::new() };
    let of = |id: u32| layout(types, id, depth);
    let all = |ids: Vec<u32>| match ids.as_slice() {
        [only] => of(*only),
        ids => format!("({})", ids.iter().map(|id| of(*id)).collect::<Vec<_>>().join(",")),
    };
    match &ty.type_def {
        TypeDef::Primitive(primitive) => format!("{primitive:?}"),
        TypeDef::Compact(compact) => format!("compact {}", of(compact.type_param.id)),
        TypeDef::Array(array) => format!("[{};{}]", of(array.type_param.id), array.len),
        TypeDef::Sequence(sequence) => format!("[{}]", of(sequence.type_param.id)),
        TypeDef::BitSequence(_) => "bits".to_owned(),
        TypeDef::Tuple(tuple) => all(tuple.fields.iter().map(|field| field.id).collect()),
        TypeDef::Composite(composite) => {
            all(composite.fields.iter().map(|field| field.ty.id).collect())
        }
        TypeDef::Variant(variants) => {
            let variants = variants.variants.iter().map(|variant| {
                let fields = variant.fields.iter().map(|field| field.ty.id).collect();
                format!("{}{}", variant.index, all(fields))
            });
            format!("<{}>", variants.collect::<Vec<_>>().join("|"))
        }
    }
}

/// Storage items that both chains have and write differently: what the other wrote is read otherwise here.
fn differing(theirs: &[u8]) -> Option<Vec<String>> {
    let (theirs, ours) = (layouts(theirs)?, layouts(&shown::metadata().to_vec())?);
    let differs = |(name, layout): (String, String)| {
        (theirs.get(&name).is_some_and(|theirs| *theirs != layout)).then_some(name)
    };
    Some(ours.into_iter().filter_map(differs).collect())
}

/// A raw key and its value.
pub(crate) type Setting = (Vec<u8>, Vec<u8>);

/// What a new chain's `storage` has and its fork shall have too: who is root, whose pulses count, the pace.
pub(crate) fn settings(storage: &Storage) -> Vec<Setting> {
    let keys = [
        pallet_sudo::Key::<Runtime>::hashed_key().to_vec(),
        drand::pallet::BeaconConfig::<Runtime>::hashed_key().to_vec(),
        StoredSlotDuration::key().to_vec(),
    ];
    of(storage, keys)
}

/// The accounts that a new chain's `storage` endows: a fork's get as much if they do not exist.
pub(crate) fn endowed(storage: &Storage) -> Vec<Setting> {
    let prefix = frame_system::Account::<Runtime>::final_prefix();
    let accounts = storage.top.keys().filter(|key| key.starts_with(&prefix)).cloned();
    of(storage, accounts)
}

fn of(storage: &Storage, keys: impl IntoIterator<Item = Vec<u8>>) -> Vec<Setting> {
    let value = |key: Vec<u8>| storage.top.get(&key).cloned().map(|value| (key, value));
    keys.into_iter().filter_map(value).collect()
}

impl Begun {
    /// The other chain's version, if its rules are older than the newest known: a chain that says nothing has
    /// those.
    pub(crate) fn older_spec(&self) -> Option<u32> {
        (self.spec_version < Spec::S461.version()).then_some(self.spec_version)
    }
}

/// Connects and finds the block.
pub(crate) fn begin(fork: &Fork) -> Result<Begun, ForkError> {
    let wire = Wire::open(&fork.endpoint)?;
    let ask = |method: &'static str, params: Vec<Value>| {
        wire.ask(method, params).map_err(|reason| ForkError::Unreachable {
            endpoint: without_path(&fork.endpoint),
            reason,
        })
    };
    let at = match &fork.at {
        None => ask("chain_getFinalizedHead", vec![])?,
        Some(at) if at.starts_with("0x") => json!(at),
        Some(at) => {
            let number: u32 = at.parse().map_err(|_| ForkError::NoBlock(at.clone()))?;
            ask("chain_getBlockHash", vec![json!(number)])?
        }
    };
    let no_block = || ForkError::NoBlock(fork.at.clone().unwrap_or_default());
    let at: H256 = serde_json::from_value(at).map_err(|_| no_block())?;
    let header = ask("chain_getHeader", vec![json!(at)])?;
    if header.is_null() {
        return Err(no_block());
    }
    let header = header_of(&header).ok_or(ForkError::Nonsense { method: "chain_getHeader" })?;
    if header.hash() != at {
        return Err(ForkError::Nonsense { method: "chain_getHeader" });
    }
    let genesis_hash = ask("chain_getBlockHash", vec![json!(0)])?;
    let genesis_hash = serde_json::from_value(genesis_hash)
        .map_err(|_| ForkError::Nonsense { method: "chain_getBlockHash" })?;
    let version = ask("state_getRuntimeVersion", vec![json!(at)])?;
    let spec_version = spec_of(&version)?;
    let metadata = ask("state_getMetadata", vec![json!(at)])?;
    let differing = metadata
        .as_str()
        .and_then(|metadata| differing(&const_hex::decode(metadata).ok()?))
        .ok_or(ForkError::Nonsense { method: "state_getMetadata" })?;
    let (cache, nodes) = match &fork.cache {
        Some(folder) => {
            let (cache, nodes) = Cache::open(folder, &at)?;
            (Some(cache), nodes)
        }
        None => (None, Vec::new()),
    };
    let nodes = nodes.into_iter().map(|node| (hash_of(&node), node)).collect();
    let remote = Remote { wire, at, nodes: RwLock::new(nodes), cache };
    Ok(Begun {
        remote,
        block: Block { hash: at, header, body: Vec::new() },
        genesis_hash,
        spec_version,
        differing,
    })
}

fn spec_of(version: &Value) -> Result<u32, ForkError> {
    let nonsense = || ForkError::Nonsense { method: "state_getRuntimeVersion" };
    let name = version["specName"].as_str().ok_or_else(nonsense)?;
    if name != "node-subtensor" {
        return Err(ForkError::OtherRuntime(name.to_owned()));
    }
    let spec = version["specVersion"].as_u64().and_then(|spec| u32::try_from(spec).ok());
    let spec = spec.ok_or_else(nonsense)?;
    if spec < Spec::S425.version() { Err(ForkError::TooOld(spec)) } else { Ok(spec) }
}

/// A header as nodes write it.
fn header_of(json: &Value) -> Option<Header> {
    let hash = |field: &str| serde_json::from_value::<H256>(json[field].clone()).ok();
    let number = json["number"].as_str()?.strip_prefix("0x")?;
    let logs = json["digest"]["logs"].as_array()?.iter().map(|log| {
        let bytes = const_hex::decode(log.as_str()?).ok()?;
        DigestItem::decode(&mut &bytes[..]).ok()
    });
    Some(Header {
        parent_hash: hash("parentHash")?,
        number: u32::from_str_radix(number, 16).ok()?,
        state_root: hash("stateRoot")?,
        extrinsics_root: hash("extrinsicsRoot")?,
        digest: Digest { logs: logs.collect::<Option<_>>()? },
    })
}

fn hash_of(node: &[u8]) -> H256 {
    H256(sp_io::hashing::blake2_256(node))
}

impl Remote {
    /// A node of the state, by its hash and the path to it.
    pub(crate) fn get(&self, node: &H256, path: Prefix<'_>) -> Result<Option<Vec<u8>>, String> {
        if let Some(known) = self.nodes.read().get(node) {
            return Ok(Some(known.clone()));
        }
        self.fetch(path)?;
        let found = self.nodes.read().get(node).cloned();
        if found.is_none() {
            return Err(format!(
                "the endpoint proves nothing about a part of the state of block {:?}",
                self.at
            ));
        }
        Ok(found)
    }

    /// Fetches the nodes on the way to `path`.
    fn fetch(&self, path: Prefix<'_>) -> Result<(), String> {
        let mut key = path.0.to_vec();
        key.extend(path.1);
        if key.len() > MAX_KEY {
            return Err(format!("a key of {} bytes", key.len()));
        }
        let key = const_hex::encode_prefixed(key);
        let answer = self.wire.ask("state_getReadProof", vec![json!([key]), json!(self.at)])?;
        let proof = answer["proof"].as_array().ok_or("a proof without nodes")?;
        let mut new = Vec::new();
        let mut nodes = self.nodes.write();
        for node in proof.iter().filter_map(Value::as_str) {
            let node = const_hex::decode(node).map_err(|error| error.to_string())?;
            let hash = hash_of(&node);
            if nodes.insert(hash, node.clone()).is_none() {
                new.push(node);
            }
        }
        drop(nodes);
        if let Some(cache) = &self.cache {
            cache.keep(&new);
        }
        Ok(())
    }

    /// How many nodes were fetched or found in the cache.
    pub(crate) fn len(&self) -> usize {
        self.nodes.read().len()
    }
}

/// The folder that forks are kept in unless another is named.
pub(crate) fn default_cache() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
        Some(PathBuf::from(home).join(".cache"))
    });
    cache.filter(|folder| folder.is_absolute()).map(|folder| folder.join("ganglion").join("forks"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::Encode as _;

    #[test]
    fn items_that_are_written_differently_are_named() {
        let ours = shown::metadata().to_vec();
        assert_eq!(differing(&ours), Some(Vec::new()));
        let mut changed = RuntimeMetadataPrefixed::decode(&mut &ours[..]).unwrap();
        let RuntimeMetadata::V14(metadata) = &mut changed.1 else { unreachable!("it is 14") };
        let storages = metadata.pallets.iter_mut().filter_map(|pallet| pallet.storage.as_mut());
        let mut items = storages.flat_map(|storage| &mut storage.entries);
        let tempo = items.find(|entry| entry.name == "Tempo").unwrap();
        let StorageEntryType::Map { key, value, .. } = &tempo.ty else { unreachable!("a map") };
        // A plain value where there was a map, of the key's type.
        assert_ne!(key, value);
        tempo.ty = StorageEntryType::Plain(*key);
        assert_eq!(differing(&changed.encode()), Some(vec!["SubtensorModule.Tempo".to_owned()]));
        assert_eq!(differing(b"meta"), None);
    }
}
