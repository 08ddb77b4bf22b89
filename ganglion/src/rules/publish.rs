//! `publish` and `pull`: a rule's way over the chain.

use std::path::{Path, PathBuf};

use chain::{Call, Chain, CommitmentError, ReadError, SubmitError};
use chain_metadata::Hotkey;
use neuron::library::{FetchError, Published, fetch, published};
use neuron::{Exit, Explain, Flags, IdentityError, LinkError, Readiness, SettingsError, Shutdown};
use serde_json::json;
use subnet_rules::native::{self, NativeError};
use subnet_rules::package::{BESIDE, MANIFEST, Package, PackageError, SIGNATURE};
use subnet_rules::publication::{LocationError, Publication, Signature};
use subnet_rules::star::Program;
use validator::HOST;
use wire::Network;

use super::{OwnerSettings, say};

/// Arguments of `rules publish`.
#[derive(Debug, Clone, clap::Args)]
pub struct PublishArgs {
    /// The rule's folder.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Where validators find the folder's files: an address `https://…` below which they lie, or, on a
    /// local chain, `http://…` or a folder. Without it, this folder.
    #[arg(long, value_name = "URL")]
    location: Option<String>,
    /// Sign and check, and say what would be put on chain, without doing so.
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    owner: Flags<OwnerSettings>,
}

/// Arguments of `rules pull`.
#[derive(Debug, Clone, clap::Args)]
pub struct PullArgs {
    /// Folder to write the rule to; without it, one of the rule's name.
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    owner: Flags<OwnerSettings>,
}

/// Why a rule does not go over the chain.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    /// Settings that make no sense.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// No hotkey.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No chain.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The chain cannot be read.
    #[error("cannot read the chain")]
    Read(#[from] ReadError),
    /// The rule's files.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Validators could not ask by it.
    #[error("validators cannot ask by this rule")]
    Exam(#[source] Box<NativeError>),
    /// The rule does not hold what it says.
    #[error("the rule is not valid")]
    Check(#[source] Box<NativeError>),
    /// This program cannot host rules in Starlark.
    #[error("this program cannot find itself, so it can host no rules")]
    Host(#[source] std::io::Error),
    /// A location that no commitment holds.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// A commitment that the chain does not hold.
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
    /// What lies at the location is not what is published.
    #[error("validators would not find the rule")]
    Fetch(#[from] FetchError),
    /// The hotkey is not the owner's.
    #[error("{hotkey} is not the hotkey of subnet {netuid}'s owner, which is {owner}")]
    NotOwner {
        /// Who signs.
        hotkey: Hotkey,
        /// Who would have to.
        owner: Hotkey,
        /// The subnet.
        netuid: u16,
    },
    /// The chain did not take it.
    #[error("the chain does not take the publication")]
    Submit(#[from] SubmitError),
    /// The owner has published nothing.
    #[error("the owner of subnet {netuid}, {owner}, has published no rule")]
    Nothing {
        /// The subnet.
        netuid: u16,
        /// Its owner's hotkey.
        owner: Hotkey,
    },
    /// A file cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The folder is there already.
    #[error("{} is there already", path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
}

impl Explain for PublishError {
    fn exit(&self) -> Exit {
        match self {
            Self::Settings(_)
            | Self::Identity(_)
            | Self::Package(_)
            | Self::Exam(_)
            | Self::Check(_)
            | Self::Location(_)
            | Self::Exists { .. }
            | Self::Link(LinkError::Address { .. })
            | Self::Read(ReadError::NoSubnet { .. }) => Exit::Usage,
            Self::Link(LinkError::Interrupted) => Exit::Interrupted,
            Self::NotOwner { .. } | Self::Submit(_) => Exit::Refused,
            _ => Exit::Failed,
        }
    }

    fn hints(&self) -> Vec<String> {
        let hint = match self {
            Self::Identity(error) => return error.hints(),
            Self::Link(_) => "`ganglion localnet` starts a chain on this machine; -n names another",
            Self::Exam(error) if matches!(**error, NativeError::Unnamed { .. }) => {
                "`ganglion rules calibrate FOLDER --model MODEL` names the model it is for"
            }
            Self::Exam(_) | Self::Package(_) | Self::Check(_) => {
                "`ganglion rules check FOLDER` says what is wrong"
            }
            Self::Fetch(FetchError::Location { .. }) => {
                "--location https://… says where validators find the folder's files"
            }
            Self::Fetch(_) => {
                "put the folder's files there, rule.sig among them, and publish once more"
            }
            Self::NotOwner { .. } => "-w and -H name the wallet and the hotkey",
            Self::Exists { .. } => "--output names another folder",
            Self::Read(ReadError::NoSubnet { .. }) => "--netuid names the subnet",
            _ => return Vec::new(),
        };
        vec![hint.into()]
    }
}

/// A connection, and what is known of the subnet's owner.
struct Place {
    settings: OwnerSettings,
    chain: Chain,
    owner: Hotkey,
    network: Network,
}

async fn reach(flags: &Flags<OwnerSettings>, stop: &Shutdown) -> Result<Place, PublishError> {
    let environment: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut settings: OwnerSettings = neuron::settings::resolve(flags, &environment, None)?.value;
    // A person waits: one try, and the reason.
    settings.chain.patience_s = 0;
    let chain = settings.chain.connect(&Readiness::default(), stop).await?;
    let owner = chain.metagraph(settings.chain.netuid(), None).await?.owner_hotkey;
    let network = if settings.chain.is_local() { Network::Local } else { Network::Public };
    Ok(Place { settings, chain, owner, network })
}

/// Signs a rule, checks that validators will find it, and puts it on chain.
pub(super) async fn publish(args: PublishArgs, stop: Shutdown) -> Result<(), PublishError> {
    let package = Package::open(&args.folder)?;
    native::askable(&package).map_err(|error| PublishError::Exam(Box::new(error)))?;
    let program = Program::this(&HOST).map_err(PublishError::Host)?;
    let trials = Package::trials(&args.folder.display().to_string())?;
    native::check(&package, &trials, &program)
        .map_err(|error| PublishError::Check(Box::new(error)))?;
    let folder = absolute(&args.folder)?;
    let location = args.location.unwrap_or_else(|| folder.display().to_string());
    let publication = Publication::new(package.digest(), &location)?;
    let Place { settings, chain, owner, network } = reach(&args.owner, &stop).await?;
    let (netuid, signer) =
        (settings.chain.netuid(), settings.wallet.open(network == Network::Local)?);
    if signer.hotkey() != owner {
        return Err(PublishError::NotOwner { hotkey: signer.hotkey(), owner, netuid: netuid.0 });
    }
    let digest = publication.digest();
    let signature = Signature {
        owner,
        digest,
        signature: hex::encode(signer.sign(&Signature::message(&digest))),
    };
    write(&folder.join(SIGNATURE), &(json!(signature).to_string() + "\n"))?;
    let found = Published { publication: publication.clone(), owner, block: 0 };
    fetch(&found, network, &[]).await?;
    let fields = publication.fields();
    let call = Call::set_commitment(netuid, &fields.each_ref().map(Vec::as_slice))?;
    let block =
        if args.dry_run { None } else { Some(chain.submit(&call, &signer).await?.block.number) };
    if args.json {
        say(json!({
            "netuid": netuid, "owner": owner, "rule": package.manifest.name,
            "version": package.manifest.version, "digest": digest, "location": location,
            "block": block,
        }));
        return Ok(());
    }
    say(format_args!("{} version {}", package.manifest.name, package.manifest.version));
    say(format_args!("digest {digest}, signed by {owner}"));
    say(format_args!("validators find it at {location}"));
    match block {
        Some(block) => say(format_args!(
            "published in block {block}: in force from the epoch that begins after it"
        )),
        None => say("nothing was put on chain (--dry-run)"),
    }
    Ok(())
}

/// Fetches the published rule, checks it, and writes it to a folder.
pub(super) async fn pull(args: PullArgs, stop: Shutdown) -> Result<(), PublishError> {
    let Place { settings, chain, owner, network } = reach(&args.owner, &stop).await?;
    let netuid = settings.chain.netuid();
    let found = published(&chain, netuid, owner, None).await?;
    let found = found.ok_or(PublishError::Nothing { netuid: netuid.0, owner })?;
    let files = fetch(&found, network, &BESIDE).await?;
    let manifest = &files.package.manifest;
    let folder = args.output.unwrap_or_else(|| PathBuf::from(manifest.name.as_str()));
    if folder.join(MANIFEST).exists() {
        return Err(PublishError::Exists { path: folder });
    }
    files.write(&folder)?;
    let digest = found.publication.digest();
    if args.json {
        say(json!({
            "netuid": netuid, "owner": owner, "rule": manifest.name, "version": manifest.version,
            "digest": digest, "location": found.publication.location(), "block": found.block,
            "folder": folder,
        }));
        return Ok(());
    }
    say(format_args!(
        "{} version {}, published in block {}",
        manifest.name, manifest.version, found.block
    ));
    say(format_args!("digest {digest}, signed by {owner}"));
    say(format_args!("{}: `rules check`, `rules arena`, `validator --rule`", folder.display()));
    Ok(())
}

fn absolute(folder: &Path) -> Result<PathBuf, PublishError> {
    let failed = |source| PackageError::Read { path: folder.to_owned(), source };
    Ok(folder.canonicalize().map_err(failed)?)
}

fn write(path: &Path, text: &str) -> Result<(), PublishError> {
    std::fs::write(path, text)
        .map_err(|source| PublishError::Write { path: path.to_owned(), source })
}
