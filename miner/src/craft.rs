//! Artefacts: what is committed on chain instead of answering.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chain::{Call, Chain, FIELDS_MAX, Keypair};
use chain_metadata::NetUid;
use subnet_rules::artefact::{Declared, MARK, compose};
use subnet_rules::digest::Digest;
use subnet_rules::exchange::Exchange;

use crate::Error;
use crate::tasks::{Artefacts, Served};

/// Artefacts that are handed out at a time: the latest, and those that validators may still fetch.
const KEPT: usize = 8;

/// Makes artefacts, hands them out and commits to them.
#[derive(Debug)]
pub(crate) struct Crafts {
    artefacts: Artefacts,
    dir: PathBuf,
    order: Vec<Digest>,
    /// The epoch that was seen last.
    epoch: Option<u64>,
}

impl Crafts {
    pub(crate) fn new(artefacts: Artefacts, state: &Path) -> Self {
        Self { artefacts, dir: state.join("artefacts"), order: Vec::new(), epoch: None }
    }

    /// At a new epoch: asks the workers for what there is new, and commits to it.
    pub(crate) async fn see(
        &mut self,
        chain: &Chain,
        keypair: &Keypair,
        netuid: NetUid,
        epoch: u64,
        served: &[Served],
    ) -> Result<(), Error> {
        // The first one of a program's life is a commitment, whatever the worker's own period.
        let asked = if self.epoch.is_none() { 0 } else { epoch };
        if self.epoch.replace(epoch) == Some(epoch) {
            return Ok(());
        }
        for one in served.iter().filter(|one| one.exchange == Exchange::Artefact) {
            match one.worker.artefact(asked).await {
                Ok(None) => {}
                Ok(Some(bytes)) => self.commit(chain, keypair, netuid, bytes).await?,
                Err(error) => tracing::error!(rule = one.name, %error, "there is no artefact"),
            }
        }
        Ok(())
    }

    /// Hands the bytes out, and puts their digest on chain beside what else stands there.
    async fn commit(
        &mut self,
        chain: &Chain,
        keypair: &Keypair,
        netuid: NetUid,
        bytes: Vec<u8>,
    ) -> Result<(), Error> {
        let digest = Digest::plain(&bytes);
        let written = std::fs::create_dir_all(&self.dir)
            .and_then(|()| std::fs::write(self.dir.join(digest.to_string()), &bytes));
        if let Err(error) = written {
            tracing::warn!(%error, dir = %self.dir.display(), "an artefact is not kept on disk");
        }
        self.hand_out(digest, bytes.into());
        let held = chain.commitment(netuid, &keypair.hotkey(), None).await?;
        let held = held.map(|held| held.fields).unwrap_or_default();
        let declared = Declared { digest, location: None };
        if Declared::from_fields(&held).as_ref() == Some(&declared) {
            return Ok(());
        }
        let fields = match compose(&held, MARK, &declared.fields(), FIELDS_MAX) {
            Ok(fields) => fields,
            Err(error) => {
                tracing::error!(%error, "an artefact is not committed to");
                return Ok(());
            }
        };
        let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
        let call = Call::set_commitment(netuid, &fields).map_err(Error::Commitment)?;
        chain.submit(&call, keypair).await.map_err(Error::Publish)?;
        tracing::info!(%digest, "an artefact is committed to");
        Ok(())
    }

    fn hand_out(&mut self, digest: Digest, bytes: Arc<[u8]>) {
        let mut artefacts = self.artefacts.write();
        artefacts.insert(digest, bytes);
        self.order.retain(|known| *known != digest);
        self.order.push(digest);
        if self.order.len() > KEPT {
            artefacts.remove(&self.order.remove(0));
        }
    }
}
