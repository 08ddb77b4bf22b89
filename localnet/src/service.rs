//! Starting and stopping: the threads, the socket, and who owns them.

use crate::{
    Config,
    author::AuthorError,
    beacon::Beacon,
    chain::{Block, Chain, History, VerifyError},
    clock::Clock,
    disk::{Disk, DiskError, Record},
    execution,
    fork::{self, Fork, ForkError},
    genesis::{GenesisError, dev_pair},
    node::{Node, Parts},
    relay::{Relay, RelayError},
    rpc::{self, FaultyLayer},
};
use codec::Encode as _;
use jsonrpsee::{RpcModule, core::middleware::RpcServiceBuilder, server::Server};
use node_subtensor_runtime::{StoredSpecVersion, Timestamp};
use sp_core::H256;
use std::{
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
    time::Instant,
};
use tokio::sync::oneshot;
use tower::layer::util::{Identity, Stack};

/// The server, its calls put before the faults.
type FaultyServer = Server<Identity, Stack<FaultyLayer, Identity>>;

/// Threads that serve connections: requests are short, and the author has a thread of its own.
const RPC_THREADS: usize = 2;

/// Why a chain did not start, or a request to it failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Somebody else listens there.
    #[error("port {port} is taken")]
    PortTaken {
        /// The port.
        port: u16,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The genesis is not one.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// The state directory cannot be used.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// There are no pulses of quicknet's.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// There is no fork.
    #[error(transparent)]
    Fork(#[from] ForkError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The RPC server could not be started.
    #[error("cannot start the RPC server: {0}")]
    Rpc(String),
    /// No block could be made.
    #[error(transparent)]
    Author(#[from] AuthorError),
    /// A chain could not be written down in one piece, or read back.
    #[error("{0}")]
    Dump(String),
    /// A file cannot be used.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Re-execution of a block failed.
    #[error("block {hash:?} does not re-execute: {reason}")]
    Verify {
        /// The block.
        hash: H256,
        /// What differs.
        reason: String,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::PortTaken { .. } => {
                Some("another chain may be running; choose another port with --port, or 0 for any")
            }
            Self::Listen { .. } => Some("check --host: it must be an address of this machine"),
            Self::Genesis(_) => Some("docs/localnet.md shows a genesis file"),
            Self::Disk(DiskError::OtherChain { .. } | DiskError::Format { .. }) => {
                Some("name another directory with --state, or delete this one")
            }
            Self::Disk(DiskError::InUse { .. }) => Some("stop the other chain first"),
            Self::Fork(ForkError::State { .. }) => {
                Some("name an archive node, or a younger block with --at")
            }
            Self::Fork(ForkError::NoBlock(_)) => Some("--at takes a height or a hash"),
            _ => None,
        }
    }
}

/// A block's number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockId {
    /// Height; the genesis is 0.
    pub number: u32,
    /// Hash of the header.
    pub hash: H256,
}

impl From<&Block> for BlockId {
    fn from(block: &Block) -> Self {
        Self { number: block.header.number, hash: block.hash }
    }
}

/// A running chain. Dropping it stops it.
pub struct Localnet {
    node: Arc<Node>,
    address: SocketAddr,
    /// What is read otherwise on this fork.
    differing: Vec<String>,
    /// In the order in which they stop: the author first, so that the last block is told to all.
    author: Option<Author>,
    server: Option<RpcServer>,
}

impl std::fmt::Debug for Localnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Localnet")
            .field("url", &self.url())
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

/// Starts a chain. When this returns, block 1 is made and the endpoint answers.
#[expect(clippy::needless_pass_by_value, reason = "settings are used up by the chain made of them")]
pub fn spawn(config: Config) -> Result<Localnet, Error> {
    let address = SocketAddr::new(config.host, config.port);
    let listener = listen(address)?;
    let address = listener.local_addr().map_err(|source| Error::Listen { address, source })?;
    let (parts, differing) = assemble(&config)?;
    let node = Arc::new(Node::new(parts));
    if node.chain.best().header.number == 0 {
        node.seal()?;
    }
    let server = RpcServer::start(listener, &node)?;
    let author = Some(Author::start(Arc::clone(&node))?);
    Ok(Localnet { node, address, differing, author, server: Some(server) })
}

/// The node of a new chain, or of the one in the state directory.
fn assemble(config: &Config) -> Result<(Parts, Vec<String>), Error> {
    if let Some(fork) = &config.fork {
        return fork_off(config, fork);
    }
    let beacon = beacon(config)?;
    let block_time = config.block_time();
    let storage = config.genesis.storage(config.spec, block_time, beacon.public())?;
    let fresh = Chain::new(&storage, config.history);
    let clock = Clock::new(block_time);
    let (chain, clock, disk) = match &config.state_dir {
        None => (fresh, clock, None),
        Some(dir) => {
            let (chain, clock, disk) = kept(dir, fresh, clock, config.history)?;
            (chain, clock, Some(disk))
        }
    };
    let parts = Parts {
        chain,
        clock,
        disk,
        beacon,
        sudo: dev_pair(&config.genesis.sudo),
        sealing: config.sealing,
        finality_lag: config.finality_lag,
        genesis: Some(storage),
        history: config.history,
        keep_clock: config.keep_clock,
    };
    Ok((parts, Vec::new()))
}

fn beacon(config: &Config) -> Result<Beacon, Error> {
    Ok(match &config.quicknet {
        Some(source) => Beacon::quicknet(Relay::open(source)?),
        None if config.genesis.beacon => Beacon::new(),
        None => Beacon::silent(),
    })
}

/// The node of a chain that goes on from another chain's block.
fn fork_off(config: &Config, fork: &Fork) -> Result<(Parts, Vec<String>), Error> {
    let beacon = beacon(config)?;
    let block_time = config.block_time();
    let mut begun = fork::begin(fork)?;
    let differing = std::mem::take(&mut begun.differing);
    let at = begun.block.hash;
    if begun.spec_version > config.spec.version() {
        let (theirs, ours) = (begun.spec_version, config.spec.version());
        tracing::warn!(theirs, ours, "the fork follows the rules of the newest spec that is known");
    }
    let state = |reason| ForkError::State { block: at, reason };
    // What a new chain would have where the other one may differ: who is root, whose pulses count, the pace.
    let storage = config.genesis.storage(config.spec, block_time, beacon.public())?;
    let mut set = fork::settings(&storage);
    if let Some(spec) = begun.older_spec() {
        set.push((StoredSpecVersion::key().to_vec(), spec.encode()));
    }
    let chain =
        Chain::forked(begun, config.history, &set, &fork::endowed(&storage)).map_err(state)?;
    let (_, backend) = chain.best_state();
    let last_ms =
        execution::read(&backend, Timestamp::get).map_err(|error| state(error.to_string()))?;
    drop(backend);
    let parts = Parts {
        chain,
        clock: Clock::going_on(block_time, last_ms),
        disk: None,
        beacon,
        sudo: dev_pair(&config.genesis.sudo),
        sealing: config.sealing,
        finality_lag: config.finality_lag,
        genesis: None,
        history: config.history,
        keep_clock: config.keep_clock,
    };
    Ok((parts, differing))
}

/// The chain that `dir` holds, or `fresh`, which it holds from now on.
fn kept(
    dir: &Path,
    fresh: Chain,
    clock: Clock,
    history: History,
) -> Result<(Chain, Clock, Disk), DiskError> {
    let (mut disk, records) = Disk::open(dir)?;
    let Some((chain, clock)) = replay(records, history) else {
        disk.restart(fresh.checkpoint(clock))?;
        return Ok((fresh, clock, disk));
    };
    if chain.genesis_hash() != fresh.genesis_hash() {
        return Err(DiskError::OtherChain {
            path: dir.to_owned(),
            stored: chain.genesis_hash(),
            expected: fresh.genesis_hash(),
        });
    }
    disk.restart(chain.checkpoint(clock))?;
    Ok((chain, clock, disk))
}

/// The chain that the records tell of; `None` when they begin with no checkpoint.
fn replay(records: Vec<Record>, history: History) -> Option<(Chain, Clock)> {
    let mut records = records.into_iter();
    let Some(Record::Checkpoint(checkpoint)) = records.next() else { return None };
    let mut clock = checkpoint.clock;
    let chain = Chain::resume(checkpoint, history)?;
    // A revert later in the log may go back to any state since the checkpoint.
    let keep_all = Some(0);
    for record in records {
        match record {
            Record::Checkpoint(_) => {}
            Record::Block { block, delta, clock: then } => {
                chain.append(block.into(), delta, keep_all);
                clock = then;
            }
            Record::Revert { to, clock: then } => {
                chain.revert_to(to);
                clock = then;
            }
        }
    }
    Some((chain, clock))
}

fn listen(address: SocketAddr) -> Result<TcpListener, Error> {
    let listener = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    listener.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortTaken { port: address.port() },
        _ => Error::Listen { address, source },
    })
}

impl Localnet {
    /// The endpoint, such as `ws://127.0.0.1:9944`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// On a fork: storage items whose encoding differs from the other chain's, so that they are read
    /// otherwise here.
    pub fn differing(&self) -> &[String] {
        &self.differing
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The youngest block.
    pub fn head(&self) -> BlockId {
        self.node.chain.best().as_ref().into()
    }

    /// The youngest final block.
    pub fn finalized(&self) -> BlockId {
        self.node.finalized().as_ref().into()
    }

    /// Hash of block 0.
    pub fn genesis_hash(&self) -> H256 {
        self.node.chain.genesis_hash()
    }

    /// Hash of block `number`, if there is one.
    pub fn block_hash(&self, number: u32) -> Option<H256> {
        self.node.chain.hash_at(number)
    }

    /// Makes `count` blocks at once, each one block time after its parent; the youngest block.
    pub fn mine(&self, count: u32) -> Result<BlockId, Error> {
        Ok(self.node.mine(count, false)?.as_ref().into())
    }

    /// Writes the whole chain into a file.
    pub fn dump(&self, path: &Path) -> Result<(), Error> {
        let bytes = self.node.dump().map_err(|error| Error::Dump(error.to_string()))?;
        fs::write(path, bytes).map_err(|source| Error::File { path: path.to_owned(), source })
    }

    /// Becomes the chain that a file holds; its head.
    pub fn load(&self, path: &Path) -> Result<BlockId, Error> {
        let bytes = fs::read(path);
        let bytes = bytes.map_err(|source| Error::File { path: path.to_owned(), source })?;
        let head = self.node.load(&bytes).map_err(|error| Error::Dump(error.to_string()))?;
        Ok(head.as_ref().into())
    }

    /// Runs block `hash` again from its parent's state, as a syncing node would.
    pub fn verify(&self, hash: H256) -> Result<(), Error> {
        self.node
            .chain
            .verify(&hash)
            .map_err(|error: VerifyError| Error::Verify { hash, reason: error.to_string() })
    }

    /// Stops making blocks, then closes all connections. Dropping does the same.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Localnet {
    fn drop(&mut self) {
        drop(self.author.take());
        drop(self.server.take());
    }
}

/// The thread that makes a block whenever one is due.
struct Author {
    node: Arc<Node>,
    thread: Option<JoinHandle<()>>,
}

impl Author {
    fn start(node: Arc<Node>) -> Result<Self, Error> {
        let work = {
            let node = Arc::clone(&node);
            move || make_blocks(&node)
        };
        let thread = thread::Builder::new().name("author".into()).spawn(work);
        Ok(Self { node, thread: Some(thread.map_err(Error::Thread)?) })
    }
}

fn make_blocks(node: &Node) {
    let mut slot = Instant::now();
    while node.rhythm.wait(&mut slot) {
        if let Err(error) = node.seal() {
            tracing::error!(%error, "no block this time");
        }
    }
}

impl Drop for Author {
    fn drop(&mut self) {
        self.node.rhythm.stop();
        join(self.thread.take());
    }
}

/// The thread that runs the RPC server and all its connections.
struct RpcServer {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl RpcServer {
    fn start(listener: TcpListener, node: &Arc<Node>) -> Result<Self, Error> {
        let module =
            rpc::module(Arc::clone(node)).map_err(|error| Error::Rpc(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RPC_THREADS)
            .thread_name("rpc")
            .enable_all()
            .build()
            .map_err(Error::Thread)?;
        let faulty = FaultyLayer(Arc::clone(node));
        let open = move || {
            let faults = RpcServiceBuilder::new().layer(faulty.clone());
            Server::builder()
                .set_config(rpc::server_config())
                .set_rpc_middleware(faults)
                .build_from_tcp(listener.try_clone()?)
        };
        let first = {
            let _context = runtime.enter();
            open().map_err(|error| Error::Rpc(error.to_string()))?
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(node);
        let work = move || runtime.block_on(serve(&served, first, open, module, stopped));
        let thread = thread::Builder::new().name("rpc-main".into()).spawn(work);
        Ok(Self { stop: Some(stop), thread: Some(thread.map_err(Error::Thread)?) })
    }
}

/// Serves until it is stopped; all connections are closed and new ones taken whenever a fault asks for it.
async fn serve(
    node: &Node,
    first: FaultyServer,
    open: impl Fn() -> io::Result<FaultyServer>,
    module: RpcModule<Arc<Node>>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut next = Some(first);
    while let Some(server) = next.take() {
        let handle = server.start(module.clone());
        let ends = tokio::select! {
            // An error is the sender's drop: a stop as well.
            _ = &mut stopped => true,
            () = node.faults.dropped() => false,
        };
        if handle.stop().is_ok() {
            handle.stopped().await;
        }
        if ends {
            return;
        }
        match open() {
            Ok(server) => next = Some(server),
            Err(error) => tracing::error!(%error, "the socket cannot be opened again"),
        }
    }
}

impl Drop for RpcServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        join(self.thread.take());
    }
}

fn join(thread: Option<JoinHandle<()>>) {
    if let Some(thread) = thread
        && thread.join().is_err()
    {
        tracing::error!("a thread of the chain panicked");
    }
}
