//! The live wire: messages to miners in the envelope of the exchange, over signed requests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chain_metadata::Hotkey;
use subnet_rules::digest::Digest;
use subnet_rules::exchange::{self, Artefact, Envelope, Fault, Message, Sending, Wire};
use wire::{Answer, AnswerError, Client, Endpoint, Question};

use crate::artefacts::Fetcher;

/// Statuses of a miner that does not hear this caller.
const FORBIDDEN: [u16; 2] = [401, 403];

/// Miners behind sockets.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) rule: Digest,
    pub(crate) client: Client,
    pub(crate) endpoints: BTreeMap<Hotkey, Endpoint>,
    pub(crate) concurrency: usize,
    pub(crate) fetcher: Fetcher,
    pub(crate) height: u64,
    /// Who would not hear us at all.
    pub(crate) forbidden: BTreeSet<Hotkey>,
}

#[async_trait]
impl Wire for Sockets {
    async fn send(&mut self, batch: Vec<Sending>) -> Vec<Result<Message, Fault>> {
        // Those without an endpoint are not asked; everybody else is, at once.
        let known = |sending: &Sending| self.endpoints.get(&sending.miner).copied();
        let question = |sending: &Sending| {
            let envelope = Envelope {
                rule: self.rule,
                task: sending.task,
                phase: sending.phase,
                body: &sending.body,
            };
            Some(Question {
                endpoint: known(sending)?,
                path: exchange::PATH.to_owned(),
                body: serde_json::to_vec(&envelope).ok()?.into(),
            })
        };
        let questions: Vec<Option<Question>> = batch.iter().map(question).collect();
        let sent = questions.iter().flatten().cloned().collect();
        let mut answers = self.client.fan_out(sent, self.concurrency).await.into_iter();
        let mut came = Vec::with_capacity(batch.len());
        for question in questions {
            let answer = question.and_then(|_| answers.next());
            came.push(match answer {
                None => Err(Fault::Unreachable),
                Some((miner, Err(AnswerError::Status(status)))) if FORBIDDEN.contains(&status) => {
                    self.forbidden.insert(miner);
                    Err(Fault::Refused)
                }
                Some((_, Err(error))) => Err(fault(&error)),
                Some((_, Ok(answer))) => Ok(message(&answer)),
            });
        }
        came
    }

    async fn artefacts(&mut self, miners: &[Hotkey], wanted: &[Digest]) -> Vec<Vec<Artefact>> {
        self.fetcher.held(&self.client, &self.endpoints, miners, wanted, self.height).await
    }
}

/// An answer as rules see it; times in steps of a hundredth of a second would hide nothing, so they are
/// kept whole in the log and a rule rounds what it pays by.
fn message(answer: &Answer) -> Message {
    Message {
        body: Bytes::as_ref(&answer.body).into(),
        first_byte_us: micros(answer.timing.first_byte),
        total_us: micros(answer.timing.total),
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The rule's name for a failure. Whatever it is, the miner did not answer.
pub(crate) const fn fault(error: &AnswerError) -> Fault {
    match error {
        AnswerError::Address(_) | AnswerError::Connection(_) => Fault::Unreachable,
        AnswerError::Timeout { .. } | AnswerError::Abandoned => Fault::Timeout,
        AnswerError::TooLarge { .. } => Fault::TooLarge,
        AnswerError::BadSignature(_) => Fault::Unsigned,
        AnswerError::Status(404) => Fault::UnknownRule,
        AnswerError::Status(429) => Fault::Busy,
        AnswerError::Status(_) => Fault::Refused,
        _ => Fault::Malformed,
    }
}
