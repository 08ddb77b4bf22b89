//! One round: draw, ask everybody at once, measure, judge. Which rule it is, nothing here knows.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use chain_metadata::{AxonInfo, Hotkey};
use futures::{StreamExt as _, stream};
use sp_crypto_hashing::blake2_256;
use subnet_rules::digest::canonical;
use subnet_rules::exchange::{Exchanged, Fault, Phase, Sending, Whom, execute};
use subnet_rules::rule::{Finding, Subject};
use subnet_rules::session::{Judged, Round, Taken};
use subnet_rules::tools::{Reference, Tools};
use tokio::task::spawn_blocking;
use wire::{Client, Endpoint};

use crate::artefacts::Fetcher;
use crate::audit;
use crate::evidence::{self, KEPT_EPOCHS, Outcome};
use crate::reference::EngineReference;
use crate::sockets::Sockets;

/// Answers measured at a time: enough to fill a batch of the reference engine.
const MEASURED_TOGETHER: usize = 8;

/// All that rounds need beside their plan.
#[derive(Debug, Clone)]
pub(crate) struct Hands {
    /// The model that rules may name, if one is loaded.
    pub(crate) reference: Option<Arc<EngineReference>>,
    pub(crate) client: Client,
    pub(crate) concurrency: usize,
    pub(crate) fetcher: Fetcher,
    /// Where answers are kept with their evidence, if anywhere.
    pub(crate) audit: Option<PathBuf>,
}

/// Whom to ask, and how.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) panel: Vec<(Hotkey, Option<AxonInfo>)>,
    pub(crate) whom: Whom,
    /// Tasks of the round, or for each of the panel.
    pub(crate) draws: u64,
    /// Whether we had a validator's permit: who refuses one that has none is in the right.
    pub(crate) permit: bool,
}

/// What came of a round.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) round: evidence::Round,
    pub(crate) judged: Judged,
}

impl Hands {
    /// Runs a round to its end.
    pub(crate) async fn round(self, round: Box<dyn Round>, plan: Plan) -> Finished {
        let round = draw(round, &plan).await;
        let endpoints = endpoints(&plan.panel);
        let mut sockets = Sockets {
            rule: round.ticket().beacon.rule,
            client: self.client.clone(),
            endpoints,
            concurrency: self.concurrency,
            fetcher: self.fetcher.clone(),
            height: round.ticket().beacon.height,
            forbidden: BTreeSet::new(),
        };
        let asked = asked(&*round);
        let mut came = execute(&*round, &mut sockets).await;
        if !plan.permit {
            came.retain(|(_, miner, _)| !sockets.forbidden.contains(miner));
        }
        let (taken, rows) = self.measure(&*round, &asked, &came).await;
        let (epoch, block) = (round.ticket().beacon.epoch, round.ticket().beacon.height);
        if let Some(dir) = &self.audit {
            Self::keep(dir, &*round, &came);
        }
        let logged = self.audit.is_some();
        let judged = spawn_blocking(move || round.judge(taken, logged)).await;
        let judged = judged.unwrap_or_else(|error| {
            tracing::error!(%error, "a round is not judged");
            Judged::nothing(epoch)
        });
        for (place, error) in &judged.errors {
            tracing::error!(place, error = error as &dyn std::error::Error, "a task is not judged");
        }
        let exchanges = rows
            .into_iter()
            .map(|(place, row)| evidence::Exchange {
                findings: about(&judged, place, &row.hotkey),
                ..row
            })
            .collect();
        Finished { round: evidence::Round { epoch, block, exchanges }, judged }
    }

    /// Measures all that came; what our own tools fail on is not scored.
    async fn measure(
        &self,
        round: &dyn Round,
        asked: &BTreeMap<(usize, Hotkey), String>,
        came: &[(usize, Hotkey, Exchanged)],
    ) -> (Vec<Taken>, Vec<(usize, evidence::Exchange)>) {
        let reference = self.reference.as_deref().map(|engine| engine as &dyn Reference);
        let tools = Tools { reference };
        let one = async |(place, miner, exchanged): &(usize, Hotkey, Exchanged)| {
            let taken = round.measure(*place, *miner, exchanged, &tools).await;
            let request = asked.get(&(*place, *miner)).cloned().unwrap_or_default();
            let row = |outcome| evidence::Exchange {
                hotkey: *miner,
                counter: *place as u64,
                request,
                outcome,
                findings: Vec::new(),
            };
            match taken {
                Ok(taken) => {
                    let outcome =
                        taken.fault().map_or_else(|| outcome(exchanged), Outcome::Unanswered);
                    (Some(taken), (*place, row(outcome)))
                }
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, %miner, "an answer is not scored");
                    (None, (*place, row(Outcome::NotMeasured)))
                }
            }
        };
        let measured: Vec<_> =
            stream::iter(came).map(one).buffered(MEASURED_TOGETHER).collect().await;
        let (taken, rows): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
        (taken.into_iter().flatten().collect(), rows)
    }

    /// Keeps what was answered, for whoever verifies it later.
    fn keep(dir: &std::path::Path, round: &dyn Round, came: &[(usize, Hotkey, Exchanged)]) {
        let (epoch, block) = (round.ticket().beacon.epoch, round.ticket().beacon.height);
        for (place, miner, exchanged) in came {
            let Exchanged::Replied(message) = exchanged else { continue };
            let path = dir.join(audit::file(epoch, block, miner, *place as u64));
            if let Err(error) = audit::keep(&path, &message.body) {
                tracing::warn!(%error, %miner, "an answer is not kept");
            }
        }
        let oldest = epoch.saturating_sub(KEPT_EPOCHS);
        if let Err(error) = audit::expire(dir, oldest) {
            tracing::warn!(%error, dir = %dir.display(), "old audited answers are not removed");
        }
    }
}

/// Draws off the async threads: a rule in Starlark answers from another process.
async fn draw(mut round: Box<dyn Round>, plan: &Plan) -> Box<dyn Round> {
    let subjects = subjects(plan);
    let drawing = spawn_blocking(move || {
        for (counter, subject) in (0..).zip(subjects) {
            if let Err(why) = round.draw(subject, counter) {
                tracing::error!(%why, "the rule drew no question: nobody is asked");
            }
        }
        round
    });
    match drawing.await {
        Ok(round) => round,
        // Drawing runs our own code and the rule's in another process: a panic is a bug of ours.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn subjects(plan: &Plan) -> Vec<Subject> {
    let all = || plan.panel.iter().map(|(hotkey, _)| *hotkey);
    let times = || 0..plan.draws;
    match plan.whom {
        Whom::Each => {
            all().flat_map(|hotkey| times().map(move |_| Subject::Miner(hotkey))).collect()
        }
        Whom::Shared => times().map(|_| Subject::Shared(all().collect())).collect(),
        Whom::Committed => times().map(|_| Subject::Committed(all().collect())).collect(),
    }
}

fn endpoints(panel: &[(Hotkey, Option<AxonInfo>)]) -> BTreeMap<Hotkey, Endpoint> {
    let endpoint = |(hotkey, axon): &(Hotkey, Option<AxonInfo>)| {
        let place = axon.as_ref()?.dial();
        Some((*hotkey, Endpoint { ip: place.ip(), port: place.port(), hotkey: *hotkey }))
    };
    panel.iter().filter_map(endpoint).collect()
}

/// Digests of what each is asked, in hex: prompts are kept as digests only.
fn asked(round: &dyn Round) -> BTreeMap<(usize, Hotkey), String> {
    let digest = |ask: Sending| {
        let digest = hex::encode(blake2_256(canonical(&ask.body).as_bytes()));
        ((ask.place, ask.miner), digest)
    };
    round.asks(Phase::Once).into_iter().map(digest).collect()
}

/// What was found of one miner at a place, by track.
fn about(
    judged: &Judged,
    place: usize,
    miner: &Hotkey,
) -> Vec<(String, scoring::evidence::Evidence)> {
    let found = judged.findings.get(place).map(Vec::as_slice).unwrap_or_default();
    let of = found.iter().filter(|finding| finding.hotkey == *miner);
    of.map(|Finding { track, evidence, .. }| (track.clone(), evidence.clone())).collect()
}

fn outcome(came: &Exchanged) -> Outcome {
    let answered = |body: &[u8], total_us| Outcome::Answered {
        answer: hex::encode(blake2_256(body)),
        total_us,
    };
    match came {
        Exchanged::Nothing(fault) | Exchanged::Opened { opening: Err(fault), .. } => {
            Outcome::Unanswered(*fault)
        }
        Exchanged::Replied(message) => answered(&message.body, message.total_us),
        Exchanged::Opened { commit, opening: Ok(opening) } => {
            answered(&opening.body, commit.total_us)
        }
        Exchanged::Held(artefacts) => match artefacts.first().map(|one| &one.bytes) {
            Some(Ok(bytes)) => answered(bytes, 0),
            Some(Err(fault)) => Outcome::Unanswered(*fault),
            None => Outcome::Unanswered(Fault::NoArtefact),
        },
    }
}
