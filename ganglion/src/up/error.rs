//! Why `up` ended early.

use chain_metadata::NetUid;
use neuron::{Exit, Explain};

/// Why the subnet could not be set up, or did not keep running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpError {
    /// The chain did not start.
    #[error("the local chain did not start")]
    Localnet(#[from] localnet::Error),
    /// Our client could not reach it.
    #[error("the local chain does not answer")]
    Connect(#[from] chain::ConnectError),
    /// A read failed.
    #[error("the local chain could not be read")]
    Read(#[from] chain::ReadError),
    /// A step of setting the stage was refused.
    #[error("{step} was refused")]
    Submit {
        /// The step.
        step: &'static str,
        /// Why.
        source: Box<chain::SubmitError>,
    },
    /// The chain accepted the registration of a subnet and then showed none.
    #[error("the new subnet does not show on the chain")]
    NoSubnet,
    /// A neuron was registered and has no slot.
    #[error("{name} was registered and has no slot in subnet {netuid}")]
    NoSlot {
        /// Its name.
        name: String,
        /// The subnet.
        netuid: NetUid,
    },
    /// A wallet could not be written or read.
    #[error("the wallet {name} could not be prepared")]
    Wallet {
        /// Its name.
        name: String,
        /// Why.
        source: chain::wallet::WalletError,
    },
    /// A development key could not be derived.
    #[error("a development key could not be derived")]
    Key(#[from] chain::wallet::KeypairError),
    /// The model could not be loaded.
    #[error(transparent)]
    Model(#[from] neuron::ModelError),
    /// The rule's files.
    #[error("the rule cannot be read")]
    Package(#[from] subnet_rules::package::PackageError),
    /// The rule cannot be used with the model.
    #[error("the rule cannot be played")]
    Rule(#[source] Box<subnet_rules::native::NativeError>),
    /// The engine did not start.
    #[error("the engine cannot start")]
    Engine(#[from] inference::EngineError),
    /// A miner ended.
    #[error("the miner {name} ended early")]
    Miner {
        /// Its name.
        name: String,
        /// Why, if it says so.
        source: Box<miner::Error>,
    },
    /// A validator ended.
    #[error("the validator {name} ended early")]
    Validator {
        /// Its name.
        name: String,
        /// Why.
        source: Box<validator::Error>,
    },
    /// A task of the cast panicked or ended without an error.
    #[error("{name} stopped without saying why")]
    Stopped {
        /// Its name.
        name: String,
    },
    /// A folder or the terminal failed.
    #[error("{what} failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

impl Explain for UpError {
    fn exit(&self) -> Exit {
        match self {
            Self::Miner { source, .. } => source.exit(),
            Self::Validator { source, .. } => source.exit(),
            Self::Submit { .. } => Exit::Refused,
            _ => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Miner { source, .. } => source.hints(),
            Self::Validator { source, .. } => source.hints(),
            Self::Localnet(_) => {
                vec!["choose another port with `--port`, or 0 for a free one".into()]
            }
            Self::Model(_) => vec![
                "`--model tiny` needs no download".into(),
                "`--model PATH` takes a GGUF file or a folder with safetensors".into(),
            ],
            Self::Io { .. } => vec!["choose another folder with `--keep DIR`".into()],
            _ => Vec::new(),
        }
    }
}

impl From<subnet_rules::native::NativeError> for UpError {
    fn from(error: subnet_rules::native::NativeError) -> Self {
        Self::Rule(Box::new(error))
    }
}

impl From<std::io::Error> for UpError {
    fn from(source: std::io::Error) -> Self {
        Self::Io { what: "writing to the terminal", source }
    }
}
