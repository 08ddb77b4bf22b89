//! Blocks that will not be taken back, one after the other.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use subxt::{config::substrate::SubstrateHeader, rpcs::client::RpcSubscription, utils::H256};
use tokio::time::{sleep, timeout};

use crate::{Chain, ReadError};

/// How long a subscription may be silent before we ask the node ourselves: three blocks of 12 s.
/// A socket can be half dead, and a subscription can be lost without a word.
const SILENCE: Duration = Duration::from_secs(36);

/// First wait after a failed read of the chain; doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Longest wait between two tries to reach a chain that is down: under three blocks.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Height.
    pub number: u64,
    /// Hash of the header.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
    /// The author's clock (`Timestamp.Now`), Unix milliseconds.
    pub timestamp_ms: Option<u64>,
}

/// Finalized blocks in order, none skipped, from [`Chain::heads`].
///
/// The subscription only rings the bell: blocks are counted by number, so a reconnect, a lost
/// notification or a slow reader skips nothing.
#[derive(Debug)]
pub struct Heads {
    chain: Chain,
    /// The next block to hand out; `None` before the first.
    next: Option<u64>,
    /// The highest finalized block heard of.
    finalized: Option<u64>,
    bell: Option<RpcSubscription<SubstrateHeader<H256>>>,
    /// Wait before the next try; `None` while the chain answers.
    wait: Option<Duration>,
}

impl Heads {
    pub(crate) fn new(chain: Chain, from: Option<u64>) -> Self {
        Self { chain, next: from, finalized: None, bell: None, wait: None }
    }

    /// The next finalized block; waits for it.
    ///
    /// An error means that the chain cannot be reached for now. Call again to go on: nothing is
    /// skipped, and tries are spaced out. Dropping the future loses nothing either.
    pub async fn next(&mut self) -> Result<Head, ReadError> {
        if let Some(wait) = self.wait {
            sleep(wait).await;
        }
        let result = self.advance().await;
        self.wait = match (&result, self.wait) {
            (Ok(_), _) => None,
            (Err(_), None) => Some(FIRST_WAIT),
            (Err(_), Some(wait)) => Some((wait * 2).min(LONGEST_WAIT)),
        };
        result
    }

    async fn advance(&mut self) -> Result<Head, ReadError> {
        loop {
            if self.bell.is_none() {
                self.bell = Some(self.chain.rpc().chain_subscribe_finalized_heads().await?);
                self.ask().await?;
            }
            if let (Some(next), Some(finalized)) = (self.next, self.finalized)
                && next <= finalized
            {
                let head = self.chain.block(next).await?;
                self.next = Some(next + 1);
                return Ok(head);
            }
            self.listen().await?;
        }
    }

    /// Waits for the bell, or for its silence to be long enough to ask.
    async fn listen(&mut self) -> Result<(), ReadError> {
        let Some(bell) = &mut self.bell else { return Ok(()) };
        match timeout(SILENCE, bell.next()).await {
            Ok(Some(Ok(header))) => self.heard(header.number),
            Ok(Some(Err(_)) | None) => self.bell = None,
            Err(_) => {
                let before = self.finalized;
                self.ask().await?;
                if self.finalized != before {
                    tracing::warn!("the subscription to finalized heads went mute; renewing it");
                    self.bell = None;
                }
            }
        }
        Ok(())
    }

    async fn ask(&mut self) -> Result<(), ReadError> {
        let finalized = self.chain.finalized_number().await?;
        self.heard(finalized);
        Ok(())
    }

    fn heard(&mut self, number: u64) {
        let finalized = self.finalized.map_or(number, |known| known.max(number));
        self.finalized = Some(finalized);
        self.next.get_or_insert(finalized);
    }
}
