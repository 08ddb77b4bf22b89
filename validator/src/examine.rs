//! One round: draw a task for each miner of the panel, ask all at once, measure, judge.

use std::path::PathBuf;
use std::sync::Arc;

use chain_metadata::{AxonInfo, Hotkey, NetUid};
use futures::{StreamExt as _, stream};
use inference::Engine;
use scoring::evidence::Evidence;
use serde::Serialize;
use sp_crypto_hashing::blake2_256;
use subnet_rules::prf::Beacon;
use subnet_rules::rule::{Measured, Rule as _, Subject};
use subnet_rules::serve::{Fault, Measurement, Serve, ServeDraw, Task};
use wire::generate::{self, GenerateRequest};
use wire::{AnswerError, Client, Endpoint, Question};

use crate::audit;
use crate::evidence::{Exchange, KEPT_EPOCHS, Outcome, Round};
use crate::measure::measure;

/// Answers measured at a time: enough to fill a batch of the reference engine.
const MEASURED_TOGETHER: usize = 8;

/// All that a round needs beside its plan.
#[derive(Debug)]
pub(crate) struct Examiner {
    pub(crate) rule: Serve,
    pub(crate) engine: Arc<Engine>,
    pub(crate) client: Client,
    pub(crate) netuid: NetUid,
    pub(crate) hotkey: Hotkey,
    pub(crate) concurrency: usize,
    /// Where answers are kept with their evidence, if anywhere.
    pub(crate) audit: Option<PathBuf>,
}

/// Whom to ask, and from which beacon.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) epoch: u64,
    pub(crate) block: u64,
    pub(crate) block_hash: [u8; 32],
    pub(crate) panel: Vec<(Hotkey, Option<AxonInfo>)>,
    pub(crate) tasks: usize,
}

/// A question on its way.
#[derive(Debug)]
struct Asked {
    hotkey: Hotkey,
    counter: u64,
    draw: ServeDraw,
    body: Vec<u8>,
    endpoint: Option<Endpoint>,
}

impl Examiner {
    /// The rule's digest, in hex.
    pub(crate) fn rule_digest(&self) -> String {
        self.rule.manifest().digest().to_string()
    }

    /// Runs a round to its end.
    pub(crate) async fn round(&self, plan: Plan) -> Round {
        let asked = self.draw(&plan);
        let answers = self.ask(&asked).await;
        let exchanges = stream::iter(asked.into_iter().zip(answers))
            .map(|(asked, answer)| self.examine(&plan, asked, answer))
            .buffered(MEASURED_TOGETHER)
            .collect()
            .await;
        if let Some(dir) = &self.audit {
            let oldest = plan.epoch.saturating_sub(KEPT_EPOCHS);
            if let Err(error) = audit::expire(dir, oldest) {
                tracing::warn!(%error, dir = %dir.display(), "old audited answers are not removed");
            }
        }
        Round { epoch: plan.epoch, block: plan.block, exchanges }
    }

    fn draw(&self, plan: &Plan) -> Vec<Asked> {
        let of_miner = |(hotkey, axon): &(Hotkey, Option<AxonInfo>)| {
            let (hotkey, axon) = (*hotkey, *axon);
            (0..plan.tasks as u64).map(move |counter| self.draw_one(plan, hotkey, axon, counter))
        };
        plan.panel.iter().flat_map(of_miner).collect()
    }

    fn draw_one(&self, plan: &Plan, hotkey: Hotkey, axon: Option<AxonInfo>, counter: u64) -> Asked {
        let beacon = Beacon {
            block_hash: plan.block_hash,
            netuid: self.netuid.0,
            rule: self.rule.manifest().digest(),
            epoch: plan.epoch,
            validator: *self.hotkey.as_bytes(),
            miner: *hotkey.as_bytes(),
            counter,
        };
        let draw = self.rule.draw(&mut beacon.prf(), &Subject::Miner(hotkey), &());
        let endpoint = axon.map(|axon| {
            let place = axon.dial();
            Endpoint { ip: place.ip(), port: place.port(), hotkey }
        });
        let body = body(&draw.public, self.audit.is_some());
        Asked { hotkey, counter, draw, body, endpoint }
    }

    /// One result for each question, in order; those without an endpoint are not asked.
    async fn ask(&self, asked: &[Asked]) -> Vec<Option<Result<wire::Answer, AnswerError>>> {
        let questions: Vec<Question> = asked
            .iter()
            .filter_map(|asked| {
                Some(Question {
                    endpoint: asked.endpoint?,
                    path: generate::PATH.to_owned(),
                    body: asked.body.clone().into(),
                })
            })
            .collect();
        let mut answers = self.client.fan_out(questions, self.concurrency).await.into_iter();
        asked
            .iter()
            .map(|asked| asked.endpoint.and_then(|_| answers.next()).map(|(_, answer)| answer))
            .collect()
    }

    async fn examine(
        &self,
        plan: &Plan,
        asked: Asked,
        answer: Option<Result<wire::Answer, AnswerError>>,
    ) -> Exchange {
        let Asked { hotkey, counter, draw, body, .. } = asked;
        if let (Some(dir), Some(Ok(answer))) = (&self.audit, &answer) {
            let name = audit::file(plan.epoch, plan.block, &hotkey, counter);
            let kept = audit::keep(&dir.join(name), &self.engine, &draw.public, &hotkey, answer);
            if let Err(error) = kept {
                tracing::debug!(%hotkey, %error, "an answer is not kept for audit");
            }
        }
        let measured = match answer {
            None => Ok(Measurement::Unanswered(Fault::Unreachable)),
            Some(answer) => measure(&self.engine, &draw, answer).await,
        };
        let request = hex::encode(blake2_256(&body));
        let (outcome, findings) = match measured {
            Ok(measurement) => {
                let outcome = outcome(&measurement);
                (outcome, self.judge(hotkey, &draw, measurement))
            }
            Err(error) => {
                tracing::error!(%error, "the reference engine failed: an answer is not scored");
                (Outcome::NotMeasured, Vec::new())
            }
        };
        Exchange { hotkey, counter, request, outcome, findings }
    }

    fn judge(
        &self,
        hotkey: Hotkey,
        draw: &ServeDraw,
        measurement: Measurement,
    ) -> Vec<(String, Evidence)> {
        match self.rule.judge(draw, &[Measured { hotkey, measurement }], &()) {
            Ok(findings) => findings.into_iter().map(|f| (f.track, f.evidence)).collect(),
            Err(error) => {
                tracing::error!(%error, "an answer is not scored");
                Vec::new()
            }
        }
    }
}

/// The request's bytes. A task is made of text and numbers, so it always serialises.
fn body(task: &Task, evidence: bool) -> Vec<u8> {
    serialise(&GenerateRequest {
        model: Some(task.model.clone()),
        prompt: task.prompt.clone(),
        max_tokens: task.max_tokens,
        temperature: task.temperature,
        seed: task.seed,
        evidence,
    })
}

fn serialise(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

fn outcome(measurement: &Measurement) -> Outcome {
    match measurement {
        Measurement::Unanswered(fault) => Outcome::Unanswered(*fault),
        Measurement::Answered(answer) => {
            let bytes: Vec<u8> = answer.token_ids.iter().flat_map(|id| id.to_le_bytes()).collect();
            let tokens = hex::encode(blake2_256(&bytes));
            Outcome::Answered { tokens, total_us: answer.total_us }
        }
    }
}
