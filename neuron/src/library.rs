//! A published rule's files: from where the owner says they lie, checked before anything is read out
//! of them, and kept so that a restart needs nobody.
//!
//! The location comes from the chain, where an owner can write anything. On a chain of other people
//! only `https://` is followed, to hosts of the public internet; folders and `http://` are for a chain
//! on this machine. Nothing is redirected, and each file has its bound.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chain::Chain;
use chain_metadata::{Hotkey, NetUid};
use reqwest::Url;
use subnet_rules::digest::Digest;
use subnet_rules::manifest::MANIFEST_MAX;
use subnet_rules::package::{self, MANIFEST, Package, PackageError, SIGNATURE, SOURCE, SOURCE_MAX};
use subnet_rules::publication::{Publication, Signature};
use wire::Network;
use wire::auth::{self, Scheme};
use wire::client::AddressError;

/// For all the files of a rule together.
const DEADLINE: Duration = Duration::from_secs(30);
/// Longest `rule.sig` in bytes.
const SIGNATURE_MAX: usize = 4 * 1024;

/// What a subnet's owner has published on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Digest and location.
    pub publication: Publication,
    /// Who published it: the owner's hotkey.
    pub owner: Hotkey,
    /// The block it stands in.
    pub block: u64,
}

/// Why a published rule cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// A kind of location that is not followed on a chain of other people.
    #[error("`{location}` is not followed: https:// is wanted")]
    Location {
        /// What was published.
        location: String,
    },
    /// An address of none of the hosts that are called.
    #[error("`{location}` is not called")]
    Address {
        /// What was published.
        location: String,
        /// Why not.
        source: AddressError,
    },
    /// The host's name leads nowhere.
    #[error("the host of `{location}` is not found")]
    Host {
        /// What was published.
        location: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The host did not send a file.
    #[error("cannot fetch {url}")]
    Http {
        /// Of which file.
        url: String,
        /// Why not.
        source: reqwest::Error,
    },
    /// The host answered with another status than 200.
    #[error("{url}: the host answers with status {status}")]
    Status {
        /// Of which file.
        url: String,
        /// The status.
        status: u16,
    },
    /// A file is too long.
    #[error("{url} has more than {most} bytes")]
    TooLong {
        /// Of which file.
        url: String,
        /// The most allowed.
        most: usize,
    },
    /// A file is no text.
    #[error("{url} is no UTF-8")]
    NotText {
        /// Of which file.
        url: String,
    },
    /// The files took too long.
    #[error("not all files came within {} s", DEADLINE.as_secs())]
    Deadline,
    /// The files are no rule.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// Another rule lies there.
    #[error("the rule at `{location}` has the digest {found}, not the published {published}")]
    OtherDigest {
        /// Where.
        location: String,
        /// What the chain says.
        published: Digest,
        /// What lies there.
        found: Digest,
    },
    /// The owner's signature is missing or of something else.
    #[error("the rule at `{location}` is not signed by the owner {owner}")]
    Unsigned {
        /// Where.
        location: String,
        /// Who should have signed.
        owner: Hotkey,
    },
    /// The files cannot be kept.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl FetchError {
    /// Whether the same files may be there at another time: not found yet, or a host that fails.
    pub const fn may_pass(&self) -> bool {
        !matches!(self, Self::Location { .. } | Self::Address { .. })
    }
}

/// A rule's files, checked against the publication.
#[derive(Debug, Clone, PartialEq)]
pub struct Files {
    /// The rule.
    pub package: Package,
    /// All of the texts, by file name.
    texts: BTreeMap<&'static str, String>,
}

/// The publication of a subnet's owner at a block (or at the newest finalized one).
///
/// # Errors
/// The chain cannot be read.
pub async fn published(
    chain: &Chain,
    netuid: NetUid,
    owner: Hotkey,
    at: Option<[u8; 32]>,
) -> Result<Option<Published>, chain::ReadError> {
    let commitment = chain.commitment(netuid, &owner, at).await?;
    Ok(commitment.and_then(|commitment| {
        let publication = Publication::from_fields(&commitment.fields)?;
        Some(Published { publication, owner, block: commitment.block })
    }))
}

/// Fetches a rule and checks that it is the published one, and signed by the owner. `beside` are files
/// outside the digest to take along where they are.
///
/// # Errors
/// The rule cannot be had, or it is not that rule.
pub async fn fetch(
    published: &Published,
    network: Network,
    beside: &[&'static str],
) -> Result<Files, FetchError> {
    let location = published.publication.location();
    let fetching = async { Source::open(location, network).await?.files(beside).await };
    let fetched = tokio::time::timeout(DEADLINE, fetching).await;
    let files = fetched.map_err(|_| FetchError::Deadline)??;
    files.check(published)?;
    Ok(files)
}

/// Where files lie.
enum Source {
    Folder(PathBuf),
    Web { http: reqwest::Client, base: String },
}

impl Source {
    async fn open(location: &str, network: Network) -> Result<Self, FetchError> {
        let refused = || FetchError::Location { location: location.to_owned() };
        let local = network == Network::Local;
        let url = match Url::parse(location) {
            Ok(url) if url.scheme() == "https" || (local && url.scheme() == "http") => url,
            Err(_) if local && Path::new(location).is_absolute() => {
                return Ok(Self::Folder(PathBuf::from(location)));
            }
            _ => return Err(refused()),
        };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return Err(refused());
        };
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found = tokio::net::lookup_host((bare, port));
        let not_found = |source| FetchError::Host { location: location.to_owned(), source };
        let sockets: Vec<_> = found.await.map_err(not_found)?.collect();
        for socket in &sockets {
            network
                .check_socket(*socket)
                .map_err(|source| FetchError::Address { location: location.to_owned(), source })?;
        }
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .timeout(DEADLINE)
            // The addresses that were checked, whatever the name leads to by then.
            .resolve_to_addrs(host, &sockets)
            .build()
            .map_err(|source| FetchError::Http { url: location.to_owned(), source })?;
        Ok(Self::Web { http, base: location.trim_end_matches('/').to_owned() })
    }

    async fn files(self, beside: &[&'static str]) -> Result<Files, FetchError> {
        let mut texts = BTreeMap::new();
        let manifest = self.text(MANIFEST, MANIFEST_MAX).await?;
        let mut package = Package::of_manifest(&manifest, Path::new(&self.name(MANIFEST)))?;
        if package.has_source() {
            let source = self.text(SOURCE, SOURCE_MAX).await?;
            package.source = Some(source.clone());
            texts.insert(SOURCE, source);
        }
        texts.insert(MANIFEST, manifest);
        // What is absent is said by the check; what else lies there is not needed.
        for (file, most) in std::iter::once((SIGNATURE, SIGNATURE_MAX))
            .chain(beside.iter().map(|file| (*file, SOURCE_MAX)))
        {
            if let Ok(text) = self.text(file, most).await {
                texts.insert(file, text);
            }
        }
        Ok(Files { package, texts })
    }

    fn name(&self, file: &str) -> String {
        match self {
            Self::Folder(folder) => folder.join(file).display().to_string(),
            Self::Web { base, .. } => format!("{base}/{file}"),
        }
    }

    async fn text(&self, file: &str, most: usize) -> Result<String, FetchError> {
        let (http, url) = match self {
            Self::Folder(folder) => return Ok(package::read(&folder.join(file), most)?),
            Self::Web { http, .. } => (http, self.name(file)),
        };
        let bytes = get(http, &url, most).await?;
        String::from_utf8(bytes).map_err(|_| FetchError::NotText { url })
    }
}

/// The bytes of one file behind an address, at most so many.
async fn get(http: &reqwest::Client, url: &str, most: usize) -> Result<Vec<u8>, FetchError> {
    let failed = |source| FetchError::Http { url: url.to_owned(), source };
    let mut answer = http.get(url).send().await.map_err(failed)?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(FetchError::Status { status: answer.status().as_u16(), url: url.to_owned() });
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if bytes.len() + chunk.len() > most {
            return Err(FetchError::TooLong { url: url.to_owned(), most });
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// One file from a location of a commitment, under the same guard as a rule's files: what lies there is
/// held against its digest by whoever asked.
///
/// # Errors
/// It cannot be had.
pub async fn file(location: &str, network: Network, most: usize) -> Result<Vec<u8>, FetchError> {
    let fetching = async {
        match Source::open(location, network).await? {
            Source::Web { http, base } => get(&http, &base, most).await,
            Source::Folder(path) => {
                let failed = |source| PackageError::Read { path: path.clone(), source };
                let plain = path.symlink_metadata().map_err(failed)?;
                if !plain.is_file() {
                    return Err(PackageError::NotPlain { path }.into());
                }
                if plain.len() > most as u64 {
                    return Err(PackageError::TooLong { path, most }.into());
                }
                Ok(std::fs::read(&path).map_err(failed)?)
            }
        }
    };
    tokio::time::timeout(DEADLINE, fetching).await.map_err(|_| FetchError::Deadline)?
}

impl Files {
    /// Whether they are the published rule, and signed by who published it.
    fn check(&self, published: &Published) -> Result<(), FetchError> {
        let Published { publication, owner, .. } = published;
        let location = || publication.location().to_owned();
        let found = self.package.digest();
        if found != publication.digest() {
            let published = publication.digest();
            return Err(FetchError::OtherDigest { location: location(), published, found });
        }
        let signature = self.texts.get(SIGNATURE);
        let signature = signature.and_then(|text| serde_json::from_str::<Signature>(text).ok());
        let bytes = signature.and_then(|signature| signature.of(owner, &found));
        let message = Signature::message(&found);
        let genuine = bytes
            .is_some_and(|bytes| Scheme::Sr25519.verify(&auth::Signature(bytes), &message, owner));
        if genuine {
            Ok(())
        } else {
            Err(FetchError::Unsigned { location: location(), owner: *owner })
        }
    }

    /// Writes them to `folder`, which is made.
    ///
    /// # Errors
    /// The folder or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), FetchError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| FetchError::Write { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        for (file, text) in &self.texts {
            let path = folder.join(file);
            std::fs::write(&path, text).map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// The rules that were fetched, by digest.
#[derive(Debug, Clone)]
pub struct Shelf {
    dir: PathBuf,
}

impl Shelf {
    /// Below a folder of state.
    pub fn new(state: &Path) -> Self {
        Self { dir: state.join("rules") }
    }

    /// The rule of that digest, if it was kept and is still what it was.
    pub fn get(&self, digest: &Digest) -> Option<Package> {
        let package = Package::open(&self.dir.join(digest.to_string())).ok()?;
        (package.digest() == *digest).then_some(package)
    }

    /// Keeps a rule's files.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn put(&self, files: &Files) -> Result<(), FetchError> {
        files.write(&self.dir.join(files.package.digest().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use chain::Keypair;

    /// A signed rule in a folder, and its publication.
    fn signed(folder: &Path) -> Published {
        let owner = Keypair::dev("//Alice").unwrap();
        let package = Package::shipped("ledger").unwrap();
        let (digest, shipped) = (package.digest(), package.source.unwrap());
        std::fs::write(folder.join(SOURCE), shipped).unwrap();
        std::fs::write(folder.join(MANIFEST), toml_of_ledger()).unwrap();
        let bytes = owner.sign(&Signature::message(&digest));
        let signature = Signature { owner: owner.hotkey(), digest, signature: hex::encode(bytes) };
        std::fs::write(folder.join(SIGNATURE), serde_json::to_string(&signature).unwrap()).unwrap();
        let publication = Publication::new(digest, folder.to_str().unwrap()).unwrap();
        Published { publication, owner: owner.hotkey(), block: 1 }
    }

    fn toml_of_ledger() -> &'static str {
        include_str!("../../subnet-rules/src/rules/ledger/rule.toml")
    }

    #[tokio::test]
    async fn a_signed_rule_is_fetched_and_kept() {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let published = signed(there.path());
        let files = fetch(&published, Network::Local, &[]).await.unwrap();
        let shelf = Shelf::new(here.path());
        assert!(shelf.get(&published.publication.digest()).is_none());
        shelf.put(&files).unwrap();
        assert_eq!(shelf.get(&published.publication.digest()), Some(files.package));
    }

    #[tokio::test]
    async fn what_the_chain_does_not_name_is_refused() {
        let there = tempfile::tempdir().unwrap();
        let published = signed(there.path());
        std::fs::write(there.path().join(SOURCE), "def draw(subject, state):\n    pass\n").unwrap();
        let refused = fetch(&published, Network::Local, &[]).await.unwrap_err();
        assert!(matches!(refused, FetchError::OtherDigest { .. }), "{refused:?}");
    }

    #[tokio::test]
    async fn a_rule_that_the_owner_did_not_sign_is_refused() {
        let there = tempfile::tempdir().unwrap();
        let published = signed(there.path());
        let other =
            Published { owner: Keypair::dev("//Bob").unwrap().hotkey(), ..published.clone() };
        let refused = fetch(&other, Network::Local, &[]).await.unwrap_err();
        assert!(matches!(refused, FetchError::Unsigned { .. }), "{refused:?}");
        std::fs::remove_file(there.path().join(SIGNATURE)).unwrap();
        let refused = fetch(&published, Network::Local, &[]).await.unwrap_err();
        assert!(matches!(refused, FetchError::Unsigned { .. }), "{refused:?}");
    }

    #[tokio::test]
    async fn on_a_foreign_chain_only_public_hosts_are_asked() {
        let there = tempfile::tempdir().unwrap();
        let published = signed(there.path());
        let at = |location: &str| {
            let digest = published.publication.digest();
            let publication = Publication::new(digest, location).unwrap();
            Published { publication, ..published.clone() }
        };
        let folder = fetch(&published, Network::Public, &[]).await.unwrap_err();
        assert!(matches!(folder, FetchError::Location { .. }), "{folder:?}");
        let plain = fetch(&at("http://1.1.1.1/r"), Network::Public, &[]).await.unwrap_err();
        assert!(matches!(plain, FetchError::Location { .. }), "{plain:?}");
        for inside in ["https://127.0.0.1/r", "https://[::1]/r", "https://169.254.169.254/r"] {
            let refused = fetch(&at(inside), Network::Public, &[]).await.unwrap_err();
            assert!(matches!(refused, FetchError::Address { .. }), "{inside}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn a_shelf_whose_file_was_changed_is_empty() {
        let (there, here) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let published = signed(there.path());
        let files = fetch(&published, Network::Local, &[]).await.unwrap();
        let (shelf, digest) = (Shelf::new(here.path()), files.package.digest());
        shelf.put(&files).unwrap();
        std::fs::write(here.path().join("rules").join(digest.to_string()).join(SOURCE), "x")
            .unwrap();
        assert_eq!(shelf.get(&digest), None);
    }
}
