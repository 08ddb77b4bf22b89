//! Why a miner ends.

use std::net::SocketAddr;
use std::path::PathBuf;

use chain::{ReadError, SubmitError};
use chain_metadata::{Hotkey, NetUid};
use neuron::{Exit, Explain, HealthError, IdentityError, LinkError, ModelError};

use crate::Behaviour;

/// Why a miner did not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A part that only a rehearsal knows, on a chain of other people.
    #[error("`{behaviour}` is a part for rehearsals, and the chain is not on this machine")]
    RehearsalAbroad {
        /// The part.
        behaviour: Behaviour,
    },
    /// No hotkey.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No chain.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// No model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// No engine: the model's device has too little memory, or is lost.
    #[error("the engine cannot start")]
    Engine(#[from] inference::EngineError),
    /// The rule's files.
    #[error("the rule cannot be read")]
    Package(#[source] subnet_rules::package::PackageError),
    /// Two programs of the engineer's own.
    #[error("--worker and --worker-command name two workers")]
    TwoWorkers,
    /// No address of a worker.
    #[error("`{url}` is no address of a worker")]
    WorkerUrl {
        /// What was given.
        url: String,
    },
    /// No HTTP client.
    #[error("cannot set up the HTTP client")]
    Client(#[source] reqwest::Error),
    /// A commitment that the chain does not take.
    #[error("cannot commit to an artefact")]
    Commitment(#[source] chain::CommitmentError),
    /// No health endpoint.
    #[error(transparent)]
    Health(#[from] HealthError),
    /// Another process serves this hotkey, or the lock cannot be made.
    #[error(transparent)]
    Lock(#[from] wire::lock::LockError),
    /// The replay journal cannot be opened.
    #[error("cannot open the replay journal {}", path.display())]
    Replay {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: wire::replay::JournalError,
    },
    /// The port is taken, or the address is not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// No encoder.
    #[error("cannot load the encoder `{name}`")]
    Embedder {
        /// What was asked for.
        name: String,
        /// Why not.
        source: Box<inference::LoadError>,
    },
    /// The loading of a model broke off.
    #[error("loading broke off")]
    Broken(#[from] tokio::task::JoinError),
    /// Backends that cannot be used.
    #[error(transparent)]
    Backends(#[from] crate::openai::BackendError),
    /// An origin that no page has.
    #[error(transparent)]
    Origin(#[from] crate::openai::OriginError),
    /// A listener for strangers without a key.
    #[error("{bind} takes calls from other machines, and no key is set")]
    OpenToAll {
        /// Where it would listen.
        bind: std::net::IpAddr,
    },
    /// No address that validators could call.
    #[error("listening on {bound}, which validators cannot call")]
    NoExternalAddress {
        /// Where we listen.
        bound: SocketAddr,
    },
    /// The hotkey has no slot.
    #[error("{hotkey} is not registered on subnet {netuid}")]
    Unregistered {
        /// The hotkey.
        hotkey: Hotkey,
        /// The subnet.
        netuid: NetUid,
    },
    /// Another process on this machine serves the hotkey.
    #[error(transparent)]
    Claim(#[from] neuron::ClaimError),
    /// Somebody else publishes endpoints for the hotkey.
    #[error(
        "another program publishes {ip}:{port} for {hotkey} on subnet {netuid}, again and again"
    )]
    Twin {
        /// The hotkey.
        hotkey: Hotkey,
        /// The subnet.
        netuid: NetUid,
        /// Where the other serves.
        ip: std::net::IpAddr,
        /// Its port.
        port: u16,
    },
    /// The chain cannot be read as we know it.
    #[error("cannot read the chain")]
    Read(#[from] ReadError),
    /// The endpoint cannot be published.
    #[error("cannot publish the endpoint")]
    Publish(#[source] SubmitError),
}

impl Explain for Error {
    fn exit(&self) -> Exit {
        match self {
            Self::RehearsalAbroad { .. }
            | Self::Package(_)
            | Self::TwoWorkers
            | Self::WorkerUrl { .. }
            | Self::Identity(_)
            | Self::NoExternalAddress { .. }
            | Self::OpenToAll { .. }
            | Self::Backends(_)
            | Self::Origin(_)
            | Self::Model(ModelError::Class { .. } | ModelError::Device(_))
            | Self::Link(LinkError::Address { .. })
            | Self::Read(ReadError::NoSubnet { .. }) => Exit::Usage,
            Self::Link(LinkError::Interrupted) => Exit::Interrupted,
            Self::Unregistered { .. } | Self::Publish(_) => Exit::Refused,
            Self::Twin { .. } | Self::Claim(_) | Self::Lock(_) => Exit::Twin,
            _ => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::RehearsalAbroad { .. } => "use --network local, or --rehearse honest".into(),
            Self::Identity(error) => return error.hints(),
            Self::Link(_) => "`ganglion localnet` starts a chain on this machine; \
                 --network names another"
                .into(),
            Self::Engine(_) | Self::Model(ModelError::Device(_)) => {
                "--device cpu computes on the processors; docs/cuda.md says what CUDA needs".into()
            }
            Self::Model(_) => {
                "--model takes tiny, a name of the catalogue (smollm2-135m), a folder \
                 with safetensors, or a .gguf file; HF_ENDPOINT names another hub"
                    .into()
            }
            Self::Embedder { .. } => {
                "--embedding-model takes minilm-l6, or a folder with a BERT model's config.json, \
                 tokenizer.json and safetensors"
                    .into()
            }
            Self::Twin { .. } => "stop the other one, or give it a hotkey of its own".into(),
            Self::Lock(_) | Self::Claim(_) => {
                "one process serves a hotkey; stop the other one first".into()
            }
            Self::Listen { .. } => "--axon-port takes another port, 0 any free one".into(),
            Self::OpenToAll { .. } => {
                "--openai-key (or GANGLION_MINER_OPENAI_KEY) sets a key".into()
            }
            Self::Backends(_) => {
                "--backend takes addresses such as http://127.0.0.1:8080, with commas between"
                    .into()
            }
            Self::Origin(_) => "--cors-origin takes * or https://example.org".into(),
            Self::Health(_) => "--health-port takes another port, 0 any free one".into(),
            Self::NoExternalAddress { .. } => {
                "--axon-external-ip says where validators reach this machine".into()
            }
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
