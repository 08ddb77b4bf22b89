//! Blocks that will not be taken back.
//!
//! ```text
//! subscription ── rings ──► follower ── newest, or each in order ──► Heads::next
//!                              │ silent for two block times, or every few blocks
//!                              └──► survey of all endpoints: renew, rotate, go back
//! ```
//!
//! The subscription only rings the bell: blocks are counted by number, and a number and a hash need
//! no state, so a reconnect, a lost notification, a slow reader or a node that has dropped old
//! states stops nothing.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use subxt::{config::substrate::SubstrateHeader, rpcs::client::RpcSubscription, utils::H256};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};

use crate::{
    Chain, ReadError,
    survey::{Sighting, TIMESTAMP_KEY, max_lag},
};

/// Block times without a word after which all endpoints are asked. A third one is left for asking,
/// so that work goes on after three.
const SILENT_BLOCKS: u32 = 2;

/// And no less than this time: a busy machine is silent for a moment.
const SHORTEST_SILENCE: Duration = Duration::from_secs(2);

/// Heads between two comparisons of the endpoints while all is well: a minute at 12 s.
const SURVEY_HEADS: u32 = 5;

/// First wait after a failed read of the chain; doubles up to a block time, or [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(250);

/// Longest wait between two tries to reach a chain that is down: a block of 12 s.
const LONGEST_WAIT: Duration = Duration::from_secs(12);

/// A block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Height.
    pub number: u64,
    /// Hash of the header.
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
}

/// Finalized blocks: the newest each time, from [`Chain::heads`], or each in order, from
/// [`Chain::heads_from`].
///
/// The chain is followed by a task that this owns: it goes on while nobody asks, and ends with it.
#[derive(Debug)]
pub struct Heads {
    heads: mpsc::Receiver<Result<Head, ReadError>>,
    _follower: JoinSet<()>,
}

impl Heads {
    pub(crate) fn newest(chain: Chain) -> Self {
        Self::follow(chain, Order::Newest)
    }

    pub(crate) fn in_order(chain: Chain, from: u64) -> Self {
        Self::follow(chain, Order::Each { next: from })
    }

    fn follow(chain: Chain, order: Order) -> Self {
        let (sender, heads) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        tasks.spawn(Follower::new(chain, order).follow(sender));
        Self { heads, _follower: tasks }
    }

    /// The next finalized block; waits for it.
    ///
    /// An error means that the chain cannot be reached for now. Call again to go on: nothing is
    /// lost, and tries are spaced out. Dropping the future loses nothing either.
    pub async fn next(&mut self) -> Result<Head, ReadError> {
        // The follower never ends by itself.
        self.heads.recv().await.unwrap_or_else(|| Err(ReadError::NoBlock { block: "next".into() }))
    }
}

/// Which blocks are handed out.
#[derive(Clone, Copy, Debug)]
enum Order {
    Newest,
    Each { next: u64 },
}

/// A subscription, and the endpoint that it was made with.
struct Bell {
    rings: RpcSubscription<SubstrateHeader<H256>>,
    place: usize,
}

/// Follows the chain's finalized head.
struct Follower {
    chain: Chain,
    order: Order,
    /// The highest finalized block heard of.
    finalized: Option<u64>,
    /// The highest handed out, where only the newest is.
    seen: Option<u64>,
    bell: Option<Bell>,
    heard_at: Instant,
    surveyed_at: Instant,
    heads_since_survey: u32,
    /// Whether this silence has been met with a new socket.
    reconnected: bool,
}

impl Follower {
    fn new(chain: Chain, order: Order) -> Self {
        let now = Instant::now();
        Self {
            chain,
            order,
            finalized: None,
            seen: None,
            bell: None,
            heard_at: now,
            surveyed_at: now,
            heads_since_survey: 0,
            reconnected: false,
        }
    }

    async fn follow(mut self, out: mpsc::Sender<Result<Head, ReadError>>) {
        let mut wait = FIRST_WAIT;
        while !out.is_closed() {
            match self.step(&out).await {
                Ok(()) => wait = FIRST_WAIT,
                Err(error) => {
                    // A reader that is busy hears of the next one.
                    out.try_send(Err(error)).ok();
                    sleep(wait).await;
                    wait = (wait * 2).min(self.pace().clamp(FIRST_WAIT, LONGEST_WAIT));
                }
            }
        }
    }

    async fn step(&mut self, out: &mpsc::Sender<Result<Head, ReadError>>) -> Result<(), ReadError> {
        if self.bell.as_ref().is_some_and(|bell| bell.place != self.chain.link().home()) {
            self.bell = None;
        }
        if self.bell.is_none() {
            let rings = self.chain.rpc().chain_subscribe_finalized_heads().await?;
            self.bell = Some(Bell { rings, place: self.chain.link().home() });
            let finalized = self.chain.finalized_number().await?;
            self.heard(finalized);
            learn_pace(&self.chain.clone()).await;
        }
        let Some(number) = self.due() else { return self.listen().await };
        let head = self.chain.block(number).await?;
        match self.order {
            Order::Each { .. } => {
                if out.send(Ok(head)).await.is_ok() {
                    self.order = Order::Each { next: number + 1 };
                }
            }
            Order::Newest => {
                read_clock(&self.chain.clone()).await;
                tokio::select! {
                    permit = out.reserve() => if let Ok(permit) = permit {
                        permit.send(Ok(head));
                        self.seen = Some(number);
                    },
                    heard = self.listen() => heard?,
                }
            }
        }
        Ok(())
    }

    /// The block to hand out next, if it is there.
    fn due(&self) -> Option<u64> {
        let finalized = self.finalized?;
        match self.order {
            Order::Each { next } => Some(next).filter(|next| *next <= finalized),
            Order::Newest => Some(finalized).filter(|newest| self.seen.is_none_or(|s| *newest > s)),
        }
    }

    /// Waits for the bell, or for its silence to be long enough to look around.
    async fn listen(&mut self) -> Result<(), ReadError> {
        if self.heads_since_survey >= SURVEY_HEADS && self.chain.link().endpoints() > 1 {
            self.survey().await;
            return Ok(());
        }
        let patience = (self.pace() * SILENT_BLOCKS).max(SHORTEST_SILENCE);
        let until = self.heard_at.max(self.surveyed_at) + patience;
        let Some(bell) = &mut self.bell else { return Ok(()) };
        match timeout_at(until, bell.rings.next()).await {
            Ok(Some(Ok(header))) => self.heard(header.number),
            Ok(Some(Err(_)) | None) => self.bell = None,
            Err(_) => self.look_around().await,
        }
        Ok(())
    }

    /// After a silence: is it the subscription's, the endpoint's, or the chain's?
    async fn look_around(&mut self) {
        let link = self.chain.link().clone();
        let home = link.home();
        let Some(sighting) = self.survey().await else {
            self.bell = None;
            return;
        };
        if self.finalized.is_some_and(|known| sighting.finalized > known) {
            tracing::warn!("the subscription to finalized heads went mute; renewing it");
            self.bell = None;
        } else if link.home() == home && link.endpoints() == 1 && !self.reconnected {
            // Behind one address there may be several nodes: a new socket may meet another one.
            self.reconnected = true;
            let silence = self.heard_at.elapsed().as_secs();
            link.give_up(home, &format!("{} has no new block for {silence} s", link.name(home)));
            self.bell = None;
        }
    }

    /// Compares the endpoints; what the one in use from now on says.
    async fn survey(&mut self) -> Option<Sighting> {
        self.surveyed_at = Instant::now();
        self.heads_since_survey = 0;
        let pace = self.pace();
        self.chain.link().survey(deadline(pace), max_lag(pace)).await
    }

    fn heard(&mut self, number: u64) {
        if self.finalized.is_none_or(|known| number > known) {
            self.finalized = Some(number);
            self.heard_at = Instant::now();
            self.heads_since_survey += 1;
            self.reconnected = false;
            self.chain.gauge().heard(number);
        }
    }

    fn pace(&self) -> Duration {
        self.chain.gauge().block_time()
    }
}

/// How fast this chain is; until it can be read, as fast as finney.
async fn learn_pace(chain: &Chain) {
    if !chain.gauge().knows_block_time() {
        match chain.block_time().await {
            Ok(time) => chain.gauge().set_block_time(time),
            Err(error) => tracing::debug!(%error, "the block time cannot be read"),
        }
    }
}

/// Holds this machine's clock against the newest block's time. That an answer is missing is for
/// others to say.
async fn read_clock(chain: &Chain) {
    let link = chain.link();
    let deadline = deadline(chain.gauge().block_time());
    let method = "state_getStorage";
    let read = link.ask::<Option<String>>(link.home(), method, TIMESTAMP_KEY, deadline).await;
    if let Ok(Some(time)) = read
        && let Some(block_ms) = Sighting::new(0, 0, Some(&time)).time_ms
    {
        chain.gauge().clock(i64::try_from(block_ms).unwrap_or(i64::MAX), wall_ms());
    }
}

/// For one look at an endpoint: half a block, so that three block times are enough for a silence
/// and what is done about it.
fn deadline(pace: Duration) -> Duration {
    (pace / 2).clamp(Duration::from_secs(1), Duration::from_secs(6))
}

/// This machine's clock, Unix milliseconds; one before 1970 counts as 1970.
#[expect(clippy::disallowed_methods, reason = "the clock is what is being checked")]
fn wall_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
