//! Why a validator ends.

use chain::{ReadError, SubmitError};
use chain_metadata::{Hotkey, NetUid};
use neuron::{Exit, Explain, HealthError, IdentityError, LinkError, ModelError};
use subnet_rules::native::NativeError;
use subnet_rules::package::PackageError;

use crate::store::StoreError;

/// Why a validator did not start, or what went wrong on the way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No hotkey.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No chain.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No reference model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The reference engine failed.
    #[error("the reference engine failed")]
    Engine(#[from] inference::EngineError),
    /// The rule's files.
    #[error("the rule cannot be read")]
    Package(#[from] PackageError),
    /// The rule cannot be used here.
    #[error("miners cannot be asked by this rule")]
    Rule(#[source] Box<NativeError>),
    /// The rule is for another model than the one here.
    #[error("the rule names the model {named}, and this validator has {ours}")]
    OtherModel {
        /// What it names.
        named: String,
        /// What is loaded here.
        ours: String,
    },
    /// This program cannot host rules in Starlark.
    #[error("this program cannot find itself, so it can host no rules")]
    Host(#[source] std::io::Error),
    /// A composed rule with fewer classes than this mechanism's number.
    #[error("the rule `{rule}` has no class for mechanism {mechid}")]
    NoMechanism {
        /// Its name.
        rule: String,
        /// The mechanism.
        mechid: u8,
    },
    /// No health endpoint.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// No HTTP client.
    #[error(transparent)]
    Client(#[from] wire::client::ClientError),
    /// The journal or the evidence.
    #[error("the journal cannot be used, so nothing is sent")]
    Store(#[from] StoreError),
    /// The journal cannot be moved.
    #[error("the journal was not moved")]
    Move(#[from] crate::portable::MoveError),
    /// The hotkey has no slot.
    #[error("{hotkey} is not registered on subnet {netuid}")]
    Unregistered {
        /// The hotkey.
        hotkey: Hotkey,
        /// The subnet.
        netuid: NetUid,
    },
    /// Somebody else acts for the hotkey.
    #[error(
        "another program sets weights for {hotkey} on subnet {netuid}: in blocks {first} and {next}"
    )]
    Twin {
        /// The hotkey.
        hotkey: Hotkey,
        /// The subnet.
        netuid: NetUid,
        /// A block in which it did.
        first: u64,
        /// And the next one.
        next: u64,
    },
    /// Another process on this machine acts for the hotkey.
    #[error(transparent)]
    Claim(#[from] neuron::ClaimError),
    /// The chain cannot be read.
    #[error("cannot read the chain")]
    Read(#[from] ReadError),
    /// The weights cannot be made into an extrinsic.
    #[error("cannot prepare the weights")]
    Prepare(#[source] SubmitError),
    /// The weights cannot be hidden.
    #[error("cannot encrypt the weights")]
    Encrypt(#[from] chain::timelock::EncryptError),
    /// The chain's blocks tell no time, so no round can be chosen.
    #[error("the chain's blocks tell no time, so no reveal can be planned")]
    NoClock,
    /// A task of the validator's own ended in disorder.
    #[error("a task ended in disorder")]
    Task(#[from] tokio::task::JoinError),
}

impl From<NativeError> for Error {
    fn from(error: NativeError) -> Self {
        Self::Rule(Box::new(error))
    }
}

impl Error {
    /// Whether trying again cannot help: the program ends, and says why.
    pub const fn is_fatal(&self) -> bool {
        match self {
            Self::Twin { .. } => true,
            Self::Store(error) => error.is_damage(),
            _ => false,
        }
    }
}

impl Explain for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::Identity(_)
            | Self::Package(_)
            | Self::Rule(_)
            | Self::OtherModel { .. }
            | Self::Model(ModelError::Class { .. })
            | Self::Link(LinkError::Address { .. })
            | Self::Read(ReadError::NoSubnet { .. })
            | Self::Store(StoreError::Foreign { .. }) => Exit::Usage,
            Self::Link(LinkError::Interrupted) => Exit::Interrupted,
            Self::Unregistered { .. } => Exit::Refused,
            Self::Twin { .. } | Self::Claim(_) | Self::Store(StoreError::Locked { .. }) => {
                Exit::Twin
            }
            _ => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Identity(error) => return error.hints(),
            Self::Link(_) => "`ganglion localnet` starts a chain on this machine; \
                 --network names another"
                .into(),
            Self::Model(_) => {
                "--model takes tiny, a name of the catalogue (smollm2-135m), a folder \
                 with safetensors, or a .gguf file; HF_ENDPOINT names another hub"
                    .into()
            }
            Self::Package(_) => {
                "--rule takes the name of a shipped rule (`ganglion rules list`) or a folder".into()
            }
            Self::OtherModel { named, .. } => {
                format!("--model names the model that the rule is for: {named}")
            }
            Self::Rule(error) if matches!(**error, NativeError::Unnamed { .. }) => {
                "`ganglion rules calibrate FOLDER --model MODEL` names one".into()
            }
            Self::Rule(_) => "`ganglion rules check` says more".into(),
            Self::Health(_) => "--health-port takes another port, 0 any free one".into(),
            Self::Store(StoreError::Locked { .. }) => {
                "one validator acts for a hotkey; stop the other one first".into()
            }
            Self::Twin { .. } => "stop the other one; to move a hotkey to another machine, stop it \
                 there, then `validator journal export` there and `validator journal import` here"
                .into(),
            Self::Move(crate::portable::MoveError::Store(StoreError::Locked { .. })) => {
                "stop the validator first: it must not act here any more".into()
            }
            Self::Move(crate::portable::MoveError::NotEmpty { .. }) => {
                "a journal is taken over where there is none: name another --state-dir".into()
            }
            Self::Claim(_) => "one validator acts for a hotkey; stop the other one first".into(),
            Self::Store(error) if error.is_damage() => {
                "start again: the last good copy takes the file's place where there is one; else move \
                 the file away to start without history, as the chain's weights stay in force \
                 meanwhile"
                    .into()
            }
            Self::Store(_) => "--state-dir names another folder".into(),
            Self::Unregistered { netuid, hotkey } => format!(
                "`btcli subnets register --netuid {netuid}` registers a hotkey (it costs TAO and \
                 needs the coldkey, which this program never opens); this one is {hotkey}"
            ),
            Self::Read(ReadError::NoSubnet { .. }) => "--netuid names the subnet".into(),
            _ => return Vec::new(),
        };
        vec![hint]
    }
}
