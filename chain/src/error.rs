//! What can go wrong between us and the chain.

use std::{error::Error as StdError, time::Duration};

use chain_metadata::NetUid;
use subxt::{
    error::{BackendError, OnlineClientAtBlockError, OnlineClientError},
    rpcs::Error as RpcError,
};

use crate::link::LinkError;

/// Why no endpoint is of use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The list is empty.
    #[error("no endpoint is given")]
    NoEndpoint,
    /// Not a URL.
    #[error("`{endpoint}` is not a URL")]
    NotAUrl {
        /// What was given.
        endpoint: String,
        /// Why not.
        source: url::ParseError,
    },
    /// A URL of something else.
    #[error("`{endpoint}` begins with neither `ws://` nor `wss://`")]
    Scheme {
        /// What was given.
        endpoint: String,
    },
    /// No trust store could be set up.
    #[error("no TLS")]
    Tls {
        /// Why not.
        source: rustls::Error,
    },
    /// The client could not be set up.
    #[error("the client cannot be set up")]
    Client {
        /// Why not.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Every endpoint failed.
    #[error("no endpoint can be used: {}", each(failures))]
    Unreachable {
        /// Each endpoint with its failure, in the order tried.
        failures: Vec<(String, EndpointError)>,
    },
}

fn each(failures: &[(String, EndpointError)]) -> String {
    failures.iter().map(|(e, error)| format!("{e}: {error}")).collect::<Vec<_>>().join("; ")
}

/// Why one endpoint is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// No connection.
    #[error("cannot connect: {source}")]
    Socket {
        /// Why not.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// It accepts connections and says nothing.
    #[error("no answer within {deadline:?}")]
    Mute {
        /// How long we waited.
        deadline: Duration,
    },
    /// It would not say which chain it is.
    #[error("cannot ask for the genesis hash")]
    Genesis {
        /// Why not.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Its block 0 has no hash.
    #[error("it has no genesis block")]
    NoGenesis,
    /// It serves another chain.
    #[error("its chain begins with 0x{}, not 0x{}", hex::encode(found), hex::encode(expected))]
    OtherChain {
        /// The chain we are on.
        expected: [u8; 32],
        /// The chain it serves.
        found: [u8; 32],
    },
}

/// Why something could not be read from the chain.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// No endpoint answered. Trying again later may help.
    #[error("the chain did not answer: {source}")]
    Connection {
        /// The last failure.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The node answered with an error.
    #[error("the node refused: {message} (code {code})")]
    Node {
        /// JSON-RPC error code.
        code: i32,
        /// The node's words.
        message: String,
    },
    /// The node knows no such block, or has dropped its state.
    #[error("the node has no block {block}")]
    NoBlock {
        /// Number or hash.
        block: String,
    },
    /// The subnet does not exist at that block.
    #[error("subnet {netuid} does not exist")]
    NoSubnet {
        /// Which.
        netuid: NetUid,
    },
    /// The runtime of that block has no such thing: `ganglion chain check` says what else is
    /// missing.
    #[error("the runtime has no {fact}")]
    Absent {
        /// Pallet and item, or API and method.
        fact: String,
    },
    /// What the chain answered does not have the shape we know: `ganglion chain check` says what
    /// changed.
    #[error("{fact} cannot be read: {source}")]
    Shape {
        /// Pallet and item, or API and method.
        fact: String,
        /// Where it differs.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl ReadError {
    pub(crate) fn shape(
        fact: impl Into<String>,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        Self::Shape { fact: fact.into(), source: source.into() }
    }

    /// Whether the same read may succeed later with nothing changed on our side.
    pub fn is_connection(&self) -> bool {
        matches!(self, Self::Connection { .. })
    }
}

impl From<RpcError> for ReadError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::User(user) => Self::Node { code: user.code, message: user.message },
            RpcError::Client(source) => Self::Connection { source },
            other => Self::shape("an RPC answer", other),
        }
    }
}

impl From<LinkError> for ReadError {
    fn from(error: LinkError) -> Self {
        Self::Connection { source: Box::new(error) }
    }
}

impl From<BackendError> for ReadError {
    fn from(error: BackendError) -> Self {
        match error {
            BackendError::Rpc(subxt::error::RpcError::ClientError(error)) => error.into(),
            other => Self::Connection { source: Box::new(other) },
        }
    }
}

impl From<OnlineClientError> for ReadError {
    fn from(error: OnlineClientError) -> Self {
        match error {
            OnlineClientError::RpcError(error) => error.into(),
            OnlineClientError::CannotGetGenesisHash(reason) => reason.into(),
            other => Self::Connection { source: Box::new(other) },
        }
    }
}

impl From<OnlineClientAtBlockError> for ReadError {
    fn from(error: OnlineClientAtBlockError) -> Self {
        use OnlineClientAtBlockError as E;
        match error {
            E::CannotGetCurrentBlock { reason }
            | E::CannotGetBlockHash { reason, .. }
            | E::CannotGetBlockHeader { reason, .. }
            | E::CannotGetSpecVersion { reason, .. } => reason.into(),
            E::BlockNotFound { block_number } => Self::NoBlock { block: block_number.to_string() },
            E::BlockHeaderNotFound { block_hash } => {
                Self::NoBlock { block: block_hash.to_string() }
            }
            other => Self::shape("the runtime's metadata", other),
        }
    }
}

/// A call that the chain ran and refused.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// The pallet whose error it is; for an error of the runtime itself, its kind (`Token`,
    /// `Arithmetic`, `Dispatch`).
    pub pallet: String,
    /// The error's name in the metadata.
    pub name: String,
    /// What to do about it.
    pub advice: Option<&'static str>,
}

impl Refusal {
    pub(crate) fn new(pallet: impl Into<String>, name: impl Into<String>) -> Self {
        let (pallet, name) = (pallet.into(), name.into());
        let advice = chain_metadata::advice(&pallet, &name);
        Self { pallet, name, advice }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.pallet, self.name)?;
        self.advice.map_or(Ok(()), |advice| write!(f, ": {advice}"))
    }
}

/// Why a call did not take effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// It was included, and the chain refused it.
    #[error("the chain refused the call: {refusal}")]
    Refused {
        /// The error.
        refusal: Refusal,
        /// The block that holds the failed extrinsic.
        block: crate::Head,
    },
    /// The pool did not take it; it is in no block and will be in none.
    #[error("the pool refused the call: {reason}")]
    Pool {
        /// Why.
        reason: PoolRefusal,
    },
    /// No block took it in time. It can no longer take effect.
    #[error("no block up to {era_end} took the extrinsic 0x{}", hex::encode(hash))]
    NotIncluded {
        /// Hash of the extrinsic.
        hash: [u8; 32],
        /// First block in which it was no longer valid.
        era_end: u64,
    },
    /// Another program of the same key has used the nonce; it can no longer take effect.
    #[error("nonce {nonce} was used by another program with this key")]
    NonceTaken {
        /// The nonce.
        nonce: u32,
    },
    /// The call does not fit the runtime.
    #[error("the runtime takes no such call: {call}")]
    Call {
        /// Pallet and call.
        call: String,
        /// Where it does not fit.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The chain could not be asked. The extrinsic may or may not have been sent:
    /// [`find_extrinsic`](crate::Chain::find_extrinsic) tells.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why the pool did not take an extrinsic.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolRefusal {
    /// A rule of the subtensor pallet.
    Custom(chain_metadata::PoolCode),
    /// A rule of every chain.
    Invalid(Invalid),
    /// The same extrinsic is in the pool already.
    AlreadyImported,
    /// Another extrinsic of the same nonce is in the pool already.
    TooLowPriority,
    /// Another answer of the node.
    Node {
        /// JSON-RPC error code.
        code: i32,
        /// The node's words.
        message: String,
    },
}

/// Rules that every chain has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Invalid {
    /// The account cannot pay.
    Payment,
    /// The nonce is too high.
    Future,
    /// The nonce was used, or the era is over.
    Stale,
    /// The signature does not fit: most often the runtime was upgraded since it was made.
    BadProof,
    /// Anything else of the kind.
    Other,
}

impl std::fmt::Display for PoolRefusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Custom(code) => write!(f, "{} ({}): {}", code.name, code.code, code.advice),
            Self::Invalid(Invalid::Payment) => f.write_str("the account cannot pay the fee"),
            Self::Invalid(Invalid::Future) => f.write_str("the nonce is too high"),
            Self::Invalid(Invalid::Stale) => {
                f.write_str("the nonce was used before, or the era is over")
            }
            Self::Invalid(Invalid::BadProof) => f.write_str(
                "the signature does not fit the runtime: it may have been upgraded since",
            ),
            Self::Invalid(Invalid::Other) => f.write_str("the extrinsic is invalid"),
            Self::AlreadyImported => f.write_str("the same extrinsic is in the pool already"),
            Self::TooLowPriority => {
                f.write_str("another extrinsic with this nonce is in the pool already")
            }
            Self::Node { code, message } => write!(f, "{message} (code {code})"),
        }
    }
}
