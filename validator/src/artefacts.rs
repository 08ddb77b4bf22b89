//! Artefacts behind commitments: fetched by digest in bounded pieces, kept by commitment, held against
//! both before anybody sees them.
//!
//! Everything about them is a stranger's: how long they say they are, where they say they lie, and what
//! comes. So a digest is computed of what came, and a commitment of the digest and the hotkey.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chain::Chain;
use chain_metadata::{Hotkey, NetUid};
use futures::{StreamExt as _, stream};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use subnet_rules::artefact::{ARTEFACT_MAX, Declared, PATH, PIECE_MAX, Piece, commitment};
use subnet_rules::digest::Digest;
use subnet_rules::exchange::{Artefact, Fault};
use wire::{Client, Endpoint, Network};

use crate::sockets::fault;
use neuron::library;

/// Artefacts fetched at a time.
const TOGETHER: usize = 8;
/// Time for one artefact.
const DEADLINE: Duration = Duration::from_secs(60);
/// Artefacts kept in memory: all that a round of a full subnet runs, of the usual size.
const KEPT: usize = 256;

/// Fetches what miners have committed.
#[derive(Debug, Clone)]
pub(crate) struct Fetcher {
    chain: Chain,
    netuid: NetUid,
    network: Network,
    dir: PathBuf,
    kept: Arc<Mutex<BTreeMap<Digest, Kept>>>,
}

/// An artefact that was had.
#[derive(Debug, Clone)]
struct Kept {
    seen: Seen,
    bytes: Arc<[u8]>,
    /// The height at which it was wanted last.
    used: u64,
}

/// What is written beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    miner: Hotkey,
    committed_at: u64,
}

impl Fetcher {
    pub(crate) fn new(
        chain: Chain,
        netuid: NetUid,
        network: Network,
        state: &std::path::Path,
    ) -> Self {
        let (dir, kept) = (state.join("artefacts"), Arc::default());
        Self { chain, netuid, network, dir, kept }
    }

    /// What each miner had committed before `height`; of earlier commitments those that are wanted and
    /// were had before.
    pub(crate) async fn held(
        &self,
        client: &Client,
        endpoints: &BTreeMap<Hotkey, Endpoint>,
        miners: &[Hotkey],
        wanted: &[Digest],
        height: u64,
    ) -> Vec<Vec<Artefact>> {
        // Built before it is streamed: a future that borrows from each item is more than the compiler
        // can prove to be one that may move between threads.
        let each: Vec<_> = miners
            .iter()
            .map(|miner| self.of(client, endpoints.get(miner), miner, wanted, height))
            .collect();
        let held = stream::iter(each).buffered(TOGETHER).collect().await;
        self.expire();
        held
    }

    async fn of(
        &self,
        client: &Client,
        endpoint: Option<&Endpoint>,
        miner: &Hotkey,
        wanted: &[Digest],
        height: u64,
    ) -> Vec<Artefact> {
        let mut held: Vec<Artefact> = Vec::new();
        match self.chain.commitment(self.netuid, miner, None).await {
            // What was committed in the beacon's block or later could have been chosen knowing it.
            Ok(Some(on_chain)) if on_chain.block < height => {
                if let Some(declared) = Declared::from_fields(&on_chain.fields) {
                    let seen = Seen { miner: *miner, committed_at: on_chain.block };
                    held.push(self.artefact(client, endpoint, &declared, seen, height).await);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%miner, %error, "a commitment cannot be read"),
        }
        for commitment in wanted {
            if held.iter().any(|one| one.commitment == *commitment) {
                continue;
            }
            if let Some(kept) = self.known(commitment, height).filter(|it| it.seen.miner == *miner)
            {
                let committed_at = kept.seen.committed_at;
                held.push(Artefact {
                    commitment: *commitment,
                    committed_at,
                    bytes: Ok(kept.bytes),
                });
            }
        }
        held
    }

    async fn artefact(
        &self,
        client: &Client,
        endpoint: Option<&Endpoint>,
        declared: &Declared,
        seen: Seen,
        height: u64,
    ) -> Artefact {
        let commitment = commitment(&declared.digest, &seen.miner);
        let bytes = if let Some(kept) = self.known(&commitment, height) {
            Ok(kept.bytes)
        } else {
            let fetching = self.fetch(client, endpoint, declared);
            let fetched = tokio::time::timeout(DEADLINE, fetching).await;
            let fetched = fetched.unwrap_or(Err(Fault::Timeout));
            fetched.map(|bytes| self.keep(commitment, seen, bytes, height))
        };
        Artefact { commitment, committed_at: seen.committed_at, bytes }
    }

    /// The bytes of that digest, from where the commitment says.
    async fn fetch(
        &self,
        client: &Client,
        endpoint: Option<&Endpoint>,
        declared: &Declared,
    ) -> Result<Vec<u8>, Fault> {
        let bytes = match &declared.location {
            Some(location) => {
                let file = library::file(location, self.network, ARTEFACT_MAX).await;
                file.map_err(|error| {
                    let error = &error as &dyn std::error::Error;
                    tracing::info!(location, error, "no artefact");
                    Fault::NoArtefact
                })?
            }
            None => pieces(client, endpoint.ok_or(Fault::Unreachable)?, declared.digest).await?,
        };
        if Digest::plain(&bytes) == declared.digest { Ok(bytes) } else { Err(Fault::NoArtefact) }
    }

    fn known(&self, commitment: &Digest, height: u64) -> Option<Kept> {
        if let Some(kept) = self.kept.lock().get_mut(commitment) {
            kept.used = height;
            return Some(kept.clone());
        }
        let path = self.dir.join(commitment.to_string());
        let seen: Seen =
            serde_json::from_slice(&std::fs::read(path.with_extension("json")).ok()?).ok()?;
        let bytes: Arc<[u8]> = std::fs::read(&path).ok()?.into();
        let ours = subnet_rules::artefact::commitment(&Digest::plain(&bytes), &seen.miner);
        let kept = Kept { seen, bytes, used: height };
        (ours == *commitment).then(|| {
            self.kept.lock().insert(*commitment, kept.clone());
            kept
        })
    }

    /// Keeps it in memory and on disk, where a restart finds the one that reigns.
    fn keep(&self, commitment: Digest, seen: Seen, bytes: Vec<u8>, height: u64) -> Arc<[u8]> {
        let path = self.dir.join(commitment.to_string());
        let written = std::fs::create_dir_all(&self.dir)
            .and_then(|()| std::fs::write(&path, &bytes))
            .and_then(|()| std::fs::write(path.with_extension("json"), serde_json::to_vec(&seen)?));
        if let Err(error) = written {
            tracing::warn!(%error, path = %path.display(), "an artefact is not kept on disk");
        }
        let bytes: Arc<[u8]> = bytes.into();
        let kept = Kept { seen, bytes: Arc::clone(&bytes), used: height };
        self.kept.lock().insert(commitment, kept);
        bytes
    }

    /// Drops what was not wanted for longest.
    fn expire(&self) {
        let mut kept = self.kept.lock();
        while kept.len() > KEPT {
            let oldest = kept.iter().min_by_key(|(_, one)| one.used).map(|(digest, _)| *digest);
            let Some(oldest) = oldest else { return };
            kept.remove(&oldest);
            let path = self.dir.join(oldest.to_string());
            // What is not there any more need not be removed.
            drop(std::fs::remove_file(path.with_extension("json")));
            drop(std::fs::remove_file(path));
        }
    }
}

/// An artefact from its miner's axon, piece by piece until one is short.
async fn pieces(client: &Client, endpoint: &Endpoint, digest: Digest) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    loop {
        let piece = Piece { digest, from: bytes.len() as u64 };
        let question = serde_json::to_vec(&piece).map_err(|_| Fault::Malformed)?;
        let answer =
            client.post(endpoint, PATH, question).await.map_err(|error| match fault(&error) {
                Fault::UnknownRule => Fault::NoArtefact,
                other => other,
            })?;
        if answer.body.len() > PIECE_MAX || bytes.len() + answer.body.len() > ARTEFACT_MAX {
            return Err(Fault::TooLarge);
        }
        bytes.extend_from_slice(&answer.body);
        if answer.body.len() < PIECE_MAX {
            return Ok(bytes);
        }
    }
}
