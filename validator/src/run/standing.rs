//! What the validator thinks of each miner: whom to ask, what to pay, what to show.

use std::collections::BTreeMap;

use chain::Neuron;
use chain_metadata::{AxonInfo, Hotkey, Uid, Weights};
use neuron::Metrics;
use scoring::book::Assessment;
use scoring::estimators::Verdict;
use subnet_rules::exchange::Whom;
use subnet_rules::panel::{Candidate, choose, unsure};
use subnet_rules::session::Session;

use super::view::View;
use crate::evidence::{Outcome, Round};
use crate::{MinerStatus, Status};

/// Counts since the start, by hotkey. Standings themselves are in the book.
#[derive(Debug, Default)]
pub(super) struct Standings {
    tallies: BTreeMap<Hotkey, Tally>,
    rounds: u64,
    settled: u64,
    reveals: BTreeMap<&'static str, u64>,
    epoch: Option<u64>,
}

#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    answered: u64,
    fault: Option<&'static str>,
}

impl Standings {
    /// Says what an epoch paid, once it is over.
    pub(super) fn note_epoch(&mut self, view: &View) {
        let earlier = self.epoch.replace(view.epoch());
        let (Some(earlier), Some(me)) = (earlier, view.me()) else { return };
        if earlier != view.epoch() {
            tracing::info!(
                epoch = earlier,
                validator_trust = ratio(me.validator_trust),
                dividends = ratio(me.dividends),
                emission = %me.emission,
                "an epoch ran"
            );
        }
    }

    /// A weight vector is on chain.
    pub(super) fn settled(&mut self) {
        self.settled += 1;
    }

    /// The chain is done with a timelocked commit of our hotkey.
    pub(super) fn revealed(&mut self, end: &'static str) {
        *self.reveals.entry(end).or_default() += 1;
    }

    /// Counts a round's outcomes. Hotkeys that are asked no more keep their few bytes until the
    /// validator restarts; a subnet registers some tens a day.
    pub(super) fn count(&mut self, round: &Round, metrics: &Metrics) {
        self.rounds += 1;
        metrics.count("ganglion_validator_rounds_total", &[], 1);
        for exchange in &round.exchanges {
            let tally = self.tallies.entry(exchange.hotkey).or_default();
            tally.requests += 1;
            let code = match exchange.outcome {
                Outcome::Answered { .. } => {
                    tally.answered += 1;
                    tally.fault = None;
                    "ok"
                }
                Outcome::Unanswered(fault) => {
                    let name = fault.name();
                    tally.fault = Some(name);
                    name
                }
                Outcome::NotMeasured => "not measured",
            };
            metrics.count("ganglion_validator_miner_results_total", &[("code", code)], 1);
        }
    }

    /// What to show; the decision is the caller's to add.
    pub(super) fn status(
        &self,
        view: &View,
        session: &dyn Session,
        weights: Option<&Weights>,
    ) -> Status {
        let manifest = session.manifest();
        let me = view.me();
        let miner = |neuron: &Neuron| self.miner(view, session, weights, neuron);
        Status {
            hotkey: view.hotkey,
            uid: me.map(|me| me.uid),
            rule: format!("{} v{}", manifest.name, manifest.version),
            rule_digest: session.digest().to_string(),
            rule_differs: None,
            block: view.head.number,
            epoch: view.epoch(),
            next_epoch_block: view.epoch_end(),
            permit: me.is_some_and(|me| me.validator_permit),
            validator_trust: me.map_or(0.0, |me| ratio(me.validator_trust)),
            dividends: me.map_or(0.0, |me| ratio(me.dividends)),
            weights_set: self.settled,
            reveals: self.reveals.clone(),
            decision: String::new(),
            rounds: self.rounds,
            miners: miners(view, session).map(miner).collect(),
        }
    }

    fn miner(
        &self,
        view: &View,
        session: &dyn Session,
        weights: Option<&Weights>,
        neuron: &Neuron,
    ) -> MinerStatus {
        let assessment = session.assess(&neuron.hotkey, view.epoch());
        let tally = self.tallies.get(&neuron.hotkey);
        MinerStatus {
            uid: neuron.uid,
            hotkey: neuron.hotkey,
            requests: tally.map_or(0, |tally| tally.requests),
            answered: tally.map_or(0, |tally| tally.answered),
            score: session.book().standing(&neuron.hotkey).map(|_| assessment.score()),
            identity: identity(&assessment).to_owned(),
            weight: weights.map(|weights| weights.value_of(neuron.uid)),
            incentive: ratio(neuron.incentive),
            emission: neuron.emission,
            fault: tally.and_then(|tally| tally.fault).map(ToOwned::to_owned),
        }
    }
}

/// Whom to ask in a round.
pub(super) fn panel(view: &View, session: &dyn Session) -> Vec<(Hotkey, Option<AxonInfo>)> {
    let candidates: Vec<Candidate> = miners(view, session)
        .map(|neuron| Candidate {
            hotkey: neuron.hotkey,
            unsure: unsure(&session.assess(&neuron.hotkey, view.epoch())),
            asked: session.book().standing(&neuron.hotkey).map(|standing| standing.latest_epoch),
        })
        .collect();
    let axon = |hotkey: &Hotkey| view.metagraph.neuron_of(hotkey).and_then(|n| n.axon);
    // A task that all share is for all of them.
    let most = match session.whom() {
        Whom::Each => session.manifest().examine.panel.unwrap_or(candidates.len()),
        Whom::Shared | Whom::Committed => candidates.len(),
    };
    choose(&candidates, most, view.head.hash)
        .into_iter()
        .map(|hotkey| (hotkey, axon(&hotkey)))
        .collect()
}

/// The weights that the evidence earns; `None` where there is none, or where it does not make
/// valid weights.
pub(super) fn weights(view: &View, session: &dyn Session) -> Option<Weights> {
    let payees: Vec<_> = payees(view, session).collect();
    let settled = session.settle(view.epoch(), &payees, burn_uid(view));
    settled.map_or_else(
        |error| {
            tracing::error!(%error, "the evidence makes no weights");
            None
        },
        |settled| settled.weights,
    )
}

/// Those about whom there is evidence, and where they are.
pub(super) fn payees<'v>(
    view: &'v View,
    session: &'v dyn Session,
) -> impl Iterator<Item = (Hotkey, Option<Uid>)> + 'v {
    let known =
        miners(view, session).filter(|neuron| session.book().standing(&neuron.hotkey).is_some());
    known.map(|neuron| (neuron.hotkey, Some(neuron.uid)))
}

/// The slot that burns what is paid to it: the owner's.
pub(super) fn burn_uid(view: &View) -> Option<Uid> {
    view.metagraph.uid_of(&view.metagraph.owner_hotkey)
}

/// Those who serve, or about whom there is evidence: never ourselves.
fn miners<'v>(view: &'v View, session: &'v dyn Session) -> impl Iterator<Item = &'v Neuron> {
    view.metagraph.neurons.iter().filter(|neuron| {
        let serves = neuron.axon.is_some() || session.book().standing(&neuron.hotkey).is_some();
        serves && neuron.hotkey != view.hotkey
    })
}

/// What the rule's gates say together: `serve` has one, its identity gate.
fn identity(assessment: &Assessment) -> &'static str {
    let gates = &assessment.gates;
    if gates.values().any(|verdict| *verdict == Verdict::Fail) {
        "fail"
    } else if !gates.is_empty() && gates.values().all(|verdict| *verdict == Verdict::Pass) {
        "pass"
    } else {
        "no evidence"
    }
}

fn ratio(proportion: u16) -> f64 {
    f64::from(proportion) / f64::from(u16::MAX)
}
