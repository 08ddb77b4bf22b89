//! One round: draw a task for each miner of the panel, ask all at once, measure, judge.

use std::path::PathBuf;
use std::sync::Arc;

use chain_metadata::{AxonInfo, Hotkey, NetUid};
use futures::{StreamExt as _, stream};
use inference::Engine;
use scoring::evidence::Evidence;
use serde::Serialize;
use sp_crypto_hashing::blake2_256;
use subnet_rules::log::Body;
use subnet_rules::prf::Beacon;
use subnet_rules::rule::{Finding, JudgeError, Measured, Rule as _, Subject};
use subnet_rules::serve::{Fault, Measurement, Serve};
use subnet_rules::star::{Memory, Reply, Star};
use wire::generate;
use wire::{AnswerError, Client, Endpoint, Question};

use crate::audit;
use crate::evidence::{Exchange, KEPT_EPOCHS, Outcome, Round};
use crate::exam::{Exam, Task};
use crate::measure::{measure, read_text};
use crate::record::Line;

/// Answers measured at a time: enough to fill a batch of the reference engine.
const MEASURED_TOGETHER: usize = 8;

/// All that a round needs beside its plan.
#[derive(Debug, Clone)]
pub(crate) struct Examiner {
    pub(crate) rule: Arc<Exam>,
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
    /// What the rule remembers.
    pub(crate) memory: Memory,
}

/// What came of a round.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) round: Round,
    /// What the rule remembers now.
    pub(crate) memory: Memory,
    /// What was measured and judged, where it is logged.
    pub(crate) lines: Vec<Line>,
}

/// A question on its way.
#[derive(Debug)]
struct Asked {
    hotkey: Hotkey,
    counter: u64,
    beacon: Beacon,
    task: Task,
    /// The request's bytes; empty where the rule drew no question.
    body: Vec<u8>,
    endpoint: Option<Endpoint>,
}

type Answered = Option<Result<wire::Answer, AnswerError>>;

/// An exchange, and its line in the log.
type Examined = (Exchange, Option<Line>);

impl Examiner {
    /// The rule's digest, in hex.
    pub(crate) fn rule_digest(&self) -> String {
        self.rule.digest().to_string()
    }

    /// Runs a round to its end.
    pub(crate) async fn round(self, plan: Plan) -> Finished {
        let asked = self.draw(&plan).await;
        let answers = self.ask(&asked).await;
        let pairs = asked.into_iter().zip(answers);
        let (examined, memory): (Vec<_>, _) = match &*self.rule {
            Exam::Serve(rule) => {
                let examined = stream::iter(pairs)
                    .map(|(asked, answer)| self.examine(rule, &plan, asked, answer))
                    .buffered(MEASURED_TOGETHER)
                    .collect()
                    .await;
                (examined, plan.memory.clone())
            }
            Exam::Star(_) => self.examine_texts(pairs.collect(), plan.memory.clone()).await,
        };
        let (exchanges, lines): (Vec<_>, Vec<_>) = examined.into_iter().unzip();
        let lines = lines.into_iter().flatten().collect();
        if let Some(dir) = &self.audit {
            let oldest = plan.epoch.saturating_sub(KEPT_EPOCHS);
            if let Err(error) = audit::expire(dir, oldest) {
                tracing::warn!(%error, dir = %dir.display(), "old audited answers are not removed");
            }
        }
        Finished { round: Round { epoch: plan.epoch, block: plan.block, exchanges }, memory, lines }
    }

    /// Draws off the async threads: a rule in Starlark answers from another process.
    async fn draw(&self, plan: &Plan) -> Vec<Asked> {
        let (examiner, plan) = (self.clone(), plan.clone());
        let drawing = tokio::task::spawn_blocking(move || examiner.draw_all(&plan));
        drawing.await.unwrap_or_else(|error| {
            tracing::error!(%error, "no tasks were drawn");
            Vec::new()
        })
    }

    fn draw_all(&self, plan: &Plan) -> Vec<Asked> {
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
            rule: self.rule.digest(),
            epoch: plan.epoch,
            validator: *self.hotkey.as_bytes(),
            miner: *hotkey.as_bytes(),
            counter,
        };
        let task = self.rule.draw(&mut beacon.prf(), hotkey, &plan.memory);
        let body = match task.request(self.audit.is_some() || self.rule.accounts()) {
            Ok(request) => serialise(&request),
            Err(why) => {
                tracing::error!(%why, "the rule drew no question: nobody is asked");
                Vec::new()
            }
        };
        let endpoint = axon.filter(|_| !body.is_empty()).map(|axon| {
            let place = axon.dial();
            Endpoint { ip: place.ip(), port: place.port(), hotkey }
        });
        Asked { hotkey, counter, beacon, task, body, endpoint }
    }

    /// One result for each question, in order; those without an endpoint are not asked.
    async fn ask(&self, asked: &[Asked]) -> Vec<Answered> {
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

    async fn examine(&self, rule: &Serve, plan: &Plan, asked: Asked, answer: Answered) -> Examined {
        let Asked { hotkey, counter, beacon, task, body, .. } = asked;
        let request = hex::encode(blake2_256(&body));
        let Task::Serve(draw) = task else {
            return (Exchange::not_measured(hotkey, counter, request), None);
        };
        if let (Some(dir), Some(Ok(answer))) = (&self.audit, &answer) {
            let name = audit::file(plan.epoch, plan.block, &hotkey, counter);
            let kept = audit::keep(&dir.join(name), &self.engine, &draw.public, &hotkey, answer);
            if let Err(error) = kept {
                tracing::debug!(%hotkey, %error, "an answer is not kept for audit");
            }
        }
        let measured = match answer {
            None => Ok(Measurement::Unanswered(Fault::Unreachable)),
            Some(answer) => {
                let accounted = rule.params().account.is_some();
                measure(&self.engine, &draw, answer, accounted).await
            }
        };
        let measurement = match measured {
            Ok(measurement) => measurement,
            Err(error) => {
                tracing::error!(%error, "the reference engine failed: an answer is not scored");
                return (Exchange::not_measured(hotkey, counter, request), None);
            }
        };
        let outcome = outcome(&measurement);
        let measured = vec![Measured { hotkey, measurement }];
        let findings = said(rule.judge(&draw, &measured, &()));
        let judged = self.audit.is_some() && findings.is_some();
        let line = judged.then(|| {
            let subject = Subject::Miner(hotkey);
            Line::Serve(Box::new(Body::Round { beacon, subject, draw, measured }))
        });
        let findings = findings.unwrap_or_default();
        (Exchange { hotkey, counter, request, outcome, findings }, line)
    }

    /// Judges texts off the async threads, all in the memory at the round's beginning; and what the
    /// rule remembers after them.
    async fn examine_texts(
        &self,
        answers: Vec<(Asked, Answered)>,
        memory: Memory,
    ) -> (Vec<Examined>, Memory) {
        let (rule, before, logged) = (Arc::clone(&self.rule), memory.clone(), self.audit.is_some());
        let judging = tokio::task::spawn_blocking(move || {
            let Exam::Star(rule) = &*rule else { return (Vec::new(), memory) };
            let mut next = memory.clone();
            let mut examined = Vec::with_capacity(answers.len());
            for (asked, answer) in answers {
                let (exchange, line) = examine_text(rule, asked, answer, &memory, &mut next);
                examined.push((exchange, line.filter(|_| logged)));
            }
            (examined, next)
        });
        judging.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a round is not judged");
            (Vec::new(), before)
        })
    }
}

fn examine_text(
    rule: &Star,
    asked: Asked,
    answer: Answered,
    memory: &Memory,
    next: &mut Memory,
) -> Examined {
    let Asked { hotkey, counter, beacon, task, body, .. } = asked;
    let request = hex::encode(blake2_256(&body));
    let draw = match task {
        Task::Star(draw) if !body.is_empty() => draw,
        _ => return (Exchange::not_measured(hotkey, counter, request), None),
    };
    let reply = answer.map_or(Reply::Unanswered(Fault::Unreachable), read_text);
    let outcome = outcome_of_text(&reply);
    let measured = vec![Measured { hotkey, measurement: reply }];
    let Some(findings) = said(rule.judge(&draw, &measured, memory)) else {
        return (Exchange { hotkey, counter, request, outcome, findings: Vec::new() }, None);
    };
    *next = rule.learn(std::mem::take(next), &draw, &measured);
    let subject = Subject::Miner(hotkey);
    let line = Line::Star(Box::new(Body::Round { beacon, subject, draw, measured }));
    (Exchange { hotkey, counter, request, outcome, findings }, Some(line))
}

/// What a rule found, by track; a rule that cannot judge scores nothing, and says so.
fn said(judged: Result<Vec<Finding>, JudgeError>) -> Option<Vec<(String, Evidence)>> {
    match judged {
        Ok(findings) => Some(findings.into_iter().map(|one| (one.track, one.evidence)).collect()),
        Err(error) => {
            tracing::error!(%error, "an answer is not scored");
            None
        }
    }
}

fn outcome_of_text(reply: &Reply) -> Outcome {
    match reply {
        Reply::Unanswered(fault) => Outcome::Unanswered(*fault),
        Reply::Answered { text, total_us } => {
            let tokens = hex::encode(blake2_256(text.as_bytes()));
            Outcome::Answered { tokens, total_us: *total_us }
        }
    }
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
