//! One validator's use of a rule: draw, measure, judge, remember, settle.
//!
//! ```text
//! Session::begin ─▶ Round: draw … asks, challenge, measure … judge ─▶ Judged ─▶ Session::end
//! ```
//!
//! Validator, arena and [replay](crate::replay) run this same code. A [`Session`] and its [`Round`]s are
//! the faces by which programs hold any rule; [`Examiner`] and [`RoundOf`] are what stands behind them.

use std::any::Any;
use std::fmt;
use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use chain_metadata::{Hotkey, Uid, Weights};
use scoring::book::{Assessment, Book, BookError};
use scoring::weigh::{Payee, Shares, WeighError, shares, weigh};
use serde_json::Value;

use crate::digest::{Digest, canonical};
use crate::exchange::{Exchange, Exchanged, Fault, Message, Phase, Sending, Whom};
use crate::log::{Body, BodyOf};
use crate::manifest::Manifest;
use crate::rule::{Asked, DrawOf, Finding, JudgeError, Measured, MeasuredOf, Rule, Subject};
use crate::secret::{TaskKey, Ticket};
use crate::tools::{ToolError, Tools};

/// A rule with a book and the rule's state, whatever rule it is.
pub trait Session: Send + Sync + fmt::Debug {
    /// The rule's declared part.
    fn manifest(&self) -> &Manifest;

    /// What the rule is adopted by.
    fn digest(&self) -> Digest;

    /// Whom a draw is for.
    fn whom(&self) -> Whom;

    /// Begins a round in the state of now.
    fn begin(&self, ticket: Ticket) -> Box<dyn Round>;

    /// Takes a round in: evidence into the book, and what was learned. What does not fit the rule's
    /// tracks is left out and returned.
    fn end(&mut self, judged: &mut Judged) -> Vec<(Hotkey, BookError)>;

    /// Goes on with a book and a state from before.
    ///
    /// # Errors
    /// The state is none of this rule's.
    fn resume(&mut self, book: Book, state: Value) -> serde_json::Result<()>;

    /// The standings.
    fn book(&self) -> &Book;

    /// The rule's own state, as JSON.
    fn state(&self) -> Value;

    /// Why the rule judges nothing any more, if it does not.
    fn failed(&self) -> Option<String>;

    /// What a miner is worth now.
    fn assess(&self, hotkey: &Hotkey, epoch: u64) -> Assessment;

    /// What the miners are worth now, and the weights that follow.
    ///
    /// # Errors
    /// The evidence makes no shares.
    fn settle(
        &self,
        epoch: u64,
        miners: &[(Hotkey, Option<Uid>)],
        burn_uid: Option<Uid>,
    ) -> Result<Settlement, WeighError>;

    /// The lines that a log of this session begins with, as JSON.
    ///
    /// # Errors
    /// Something that cannot be written.
    fn preamble(&self, validator: Hotkey) -> io::Result<[String; 2]>;
}

/// A round under way, whatever its rule.
#[async_trait]
pub trait Round: Send + Sync + fmt::Debug {
    /// What its tasks are drawn from.
    fn ticket(&self) -> &Ticket;

    /// How its tasks travel.
    fn exchange(&self) -> Exchange;

    /// Draws a task.
    ///
    /// # Errors
    /// The rule's own fault: nobody is asked.
    fn draw(&mut self, subject: Subject, counter: u64) -> Result<(), String>;

    /// The first messages of all tasks drawn, one for each miner.
    fn asks(&self, phase: Phase) -> Vec<Sending>;

    /// What `miner` must open of its commitment.
    ///
    /// # Errors
    /// The commitment is none.
    fn challenge(&self, place: usize, miner: &Hotkey, commit: &Message) -> Result<Value, Fault>;

    /// Commitments that are run beside each miner's latest.
    fn wanted(&self) -> Vec<Digest>;

    /// Measures what came of a task for one miner.
    ///
    /// # Errors
    /// A tool failed: nothing is said of the miner.
    async fn measure(
        &self,
        place: usize,
        miner: Hotkey,
        came: &Exchanged,
        tools: &Tools<'_>,
    ) -> Result<Taken, ToolError>;

    /// Judges all that was measured; with `logged`, the lines for the log.
    fn judge(self: Box<Self>, taken: Vec<Taken>, logged: bool) -> Judged;
}

/// A measurement, on its way from [`Round::measure`] to [`Round::judge`].
pub struct Taken {
    place: usize,
    miner: Hotkey,
    measurement: Box<dyn Any + Send>,
    fault: Option<Fault>,
}

impl Taken {
    /// Why it is of no answer, where it is of none.
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Taken({} of {})", self.place, self.miner)
    }
}

/// What came of a round.
pub struct Judged {
    /// The epoch it was in.
    pub epoch: u64,
    /// What was found, by task.
    pub findings: Vec<Vec<Finding>>,
    /// Tasks that could not be judged, and why: the rule's own fault.
    pub errors: Vec<(usize, JudgeError)>,
    /// Lines for the log, as JSON.
    pub lines: Vec<String>,
    state: Option<Box<dyn Any + Send>>,
}

impl Judged {
    /// A round of which nothing came.
    pub const fn nothing(epoch: u64) -> Self {
        Self { epoch, findings: Vec::new(), errors: Vec::new(), lines: Vec::new(), state: None }
    }
}

impl fmt::Debug for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, findings, errors, .. } = self;
        write!(f, "Judged(epoch {epoch}: {} tasks, {} errors)", findings.len(), errors.len())
    }
}

/// What an epoch's end decides.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// What each payee is worth and why, in their order.
    pub assessments: Vec<(Hotkey, Assessment)>,
    /// Shares; `None` where nobody showed anything.
    pub shares: Option<Shares>,
    /// What the chain gets; `None` is no submission.
    pub weights: Option<Weights>,
}

/// Why a round changed nothing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ExamineError {
    /// It could not be judged.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// What the judge found does not fit the rule's tracks.
    #[error("{hotkey}: {source}")]
    Book {
        /// About whom.
        hotkey: Hotkey,
        /// What does not fit.
        source: BookError,
    },
}

/// A rule with a book and the rule's state.
pub struct Examiner<R: Rule> {
    rule: Arc<R>,
    book: Book,
    state: Arc<R::State>,
    /// The state after the round under way, once something was learned in it.
    next: Option<R::State>,
}

impl<R: Rule> fmt::Debug for Examiner<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Examiner({})", self.rule.manifest().name)
    }
}

impl<R: Rule> Examiner<R> {
    /// Begins with an empty book.
    pub fn new(rule: Arc<R>) -> Self {
        Self::resumed(rule, Book::default(), R::State::default())
    }

    /// Goes on with a book and a state from before.
    pub fn resumed(rule: Arc<R>, book: Book, state: R::State) -> Self {
        Self { rule, book, state: Arc::new(state), next: None }
    }

    /// Begins a round in the state of now.
    pub fn round(&self, ticket: Ticket) -> RoundOf<R> {
        let (rule, state) = (Arc::clone(&self.rule), Arc::clone(&self.state));
        RoundOf { rule, state, ticket, tasks: Vec::new() }
    }

    /// The task of a ticket, and its key.
    pub fn draw(&self, ticket: &Ticket, subject: &Subject, counter: u64) -> (TaskKey, DrawOf<R>) {
        let key = ticket.key(subject, counter);
        (key, self.rule.draw(&mut key.draw(), subject, &self.state))
    }

    /// Judges what was measured of a draw and takes it in: all of it or nothing. All draws of a round
    /// are made and judged in the state at its beginning; what is learned counts from its
    /// [end](Self::close) on.
    ///
    /// # Errors
    /// It cannot be judged, or does not fit the rule's tracks.
    pub fn take(
        &mut self,
        epoch: u64,
        draw: &DrawOf<R>,
        measured: &[MeasuredOf<R>],
    ) -> Result<Vec<Finding>, ExamineError> {
        let findings = self.rule.judge(draw, measured, &self.state)?;
        self.record(epoch, &findings)?;
        let next = self.next.take().unwrap_or_else(|| (*self.state).clone());
        self.next = Some(self.rule.learn(next, draw, measured));
        Ok(findings)
    }

    fn record(&mut self, epoch: u64, findings: &[Finding]) -> Result<(), ExamineError> {
        let mut book = self.book.clone_of(findings.iter().map(|finding| finding.hotkey));
        for finding in findings {
            let Finding { hotkey, track, evidence } = finding.clone();
            book.record(&self.rule.manifest().tracks, hotkey, epoch, &[(track, evidence)])
                .map_err(|source| ExamineError::Book { hotkey, source })?;
        }
        self.book.merge(book);
        Ok(())
    }

    /// Ends a round.
    pub fn close(&mut self) {
        if let Some(next) = self.next.take() {
            self.state = Arc::new(next);
        }
    }

    /// The rule's own state.
    pub fn own_state(&self) -> &R::State {
        &self.state
    }
}

impl<R: Rule> Session for Examiner<R> {
    fn manifest(&self) -> &Manifest {
        self.rule.manifest()
    }

    fn digest(&self) -> Digest {
        self.rule.digest()
    }

    fn whom(&self) -> Whom {
        self.rule.whom()
    }

    fn begin(&self, ticket: Ticket) -> Box<dyn Round> {
        Box::new(self.round(ticket))
    }

    fn end(&mut self, judged: &mut Judged) -> Vec<(Hotkey, BookError)> {
        let epoch = judged.epoch;
        let mut left_out = Vec::new();
        for findings in &judged.findings {
            match self.record(epoch, findings) {
                Err(ExamineError::Book { hotkey, source }) => left_out.push((hotkey, source)),
                Ok(()) | Err(ExamineError::Judge(_)) => {}
            }
        }
        if let Some(state) = judged.state.take().and_then(|state| state.downcast().ok()) {
            self.state = Arc::new(*state);
        }
        left_out
    }

    fn resume(&mut self, book: Book, state: Value) -> serde_json::Result<()> {
        let state =
            if state.is_null() { R::State::default() } else { serde_json::from_value(state)? };
        *self = Self::resumed(Arc::clone(&self.rule), book, state);
        Ok(())
    }

    fn book(&self) -> &Book {
        &self.book
    }

    fn state(&self) -> Value {
        serde_json::to_value(&*self.state).unwrap_or_default()
    }

    fn failed(&self) -> Option<String> {
        self.rule.failed(&self.state)
    }

    fn assess(&self, hotkey: &Hotkey, epoch: u64) -> Assessment {
        self.book.assess(&self.rule.manifest().tracks, hotkey, epoch)
    }

    fn settle(
        &self,
        epoch: u64,
        miners: &[(Hotkey, Option<Uid>)],
        burn_uid: Option<Uid>,
    ) -> Result<Settlement, WeighError> {
        let pay = &self.rule.manifest().pay;
        let assessments: Vec<_> =
            miners.iter().map(|(hotkey, _)| (*hotkey, self.assess(hotkey, epoch))).collect();
        let mut payees: Vec<_> = miners
            .iter()
            .zip(&assessments)
            .map(|((hotkey, uid), (_, it))| Payee { hotkey: *hotkey, uid: *uid, worth: it.score() })
            .collect();
        paid_once(&mut payees, &self.rule.clusters(&self.state));
        let shares = shares(&payees, &pay.shape, pay.burn)?;
        let weights = shares.as_ref().map(|shares| weigh(shares, burn_uid)).transpose()?.flatten();
        Ok(Settlement { assessments, shares, weights })
    }

    fn preamble(&self, validator: Hotkey) -> io::Result<[String; 2]> {
        let resumed: BodyOf<R> = Body::Resumed {
            validator,
            book: Box::new(self.book.clone()),
            state: Session::state(self),
        };
        let opened = BodyOf::<R>::opened(&*self.rule);
        Ok([serde_json::to_string(&opened)?, serde_json::to_string(&resumed)?])
    }
}

/// Leaves the worth of each cluster to its first member that is a payee.
pub fn paid_once(payees: &mut [Payee], clusters: &[Vec<Hotkey>]) {
    for cluster in clusters {
        let place = |hotkey: &Hotkey| payees.iter().position(|payee| payee.hotkey == *hotkey);
        let others: Vec<usize> = cluster.iter().filter_map(place).skip(1).collect();
        for other in others {
            payees[other].worth = 0.0;
        }
    }
}

/// A round of the rule `R`.
pub struct RoundOf<R: Rule> {
    rule: Arc<R>,
    /// The state at its beginning, in which all of it is drawn and judged.
    state: Arc<R::State>,
    ticket: Ticket,
    tasks: Vec<Task<R>>,
}

/// A task drawn.
struct Task<R: Rule> {
    subject: Subject,
    counter: u64,
    key: TaskKey,
    draw: DrawOf<R>,
    /// What each miner is sent.
    public: Arc<Value>,
    /// The task's id for each miner of the subject, in their order.
    ids: Vec<Digest>,
}

impl<R: Rule> fmt::Debug for RoundOf<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoundOf({}, {} tasks)", self.rule.manifest().name, self.tasks.len())
    }
}

impl<R: Rule> RoundOf<R> {
    /// What was drawn at a place.
    pub fn drawn(&self, place: usize) -> Option<&DrawOf<R>> {
        self.tasks.get(place).map(|task| &task.draw)
    }

    /// The task at a place as one of its miners has it.
    fn asked(&self, place: usize, miner: &Hotkey) -> Option<Asked<'_, R>> {
        let task = self.tasks.get(place)?;
        let at = task.subject.miners().iter().position(|one| one == miner)?;
        let id = *task.ids.get(at)?;
        Some(Asked { draw: &task.draw, miner: *miner, task: id, key: task.key })
    }

    /// Measures as [`Round::measure`] does, to the rule's own type.
    ///
    /// # Errors
    /// A tool failed, or nobody was asked this.
    pub async fn measured(
        &self,
        place: usize,
        miner: Hotkey,
        came: &Exchanged,
        tools: &Tools<'_>,
    ) -> Result<MeasuredOf<R>, ToolError> {
        let asked =
            self.asked(place, &miner).ok_or_else(|| ToolError::failed("nobody was asked"))?;
        let measurement = self.rule.measure(asked, came, tools).await?;
        Ok(Measured { hotkey: miner, measurement })
    }

    /// Ends the round: its tasks, in order, with their subjects.
    pub fn into_tasks(self) -> Vec<(Subject, u64, DrawOf<R>)> {
        self.tasks.into_iter().map(|task| (task.subject, task.counter, task.draw)).collect()
    }
}

#[async_trait]
impl<R: Rule> Round for RoundOf<R> {
    fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    fn exchange(&self) -> Exchange {
        self.rule.exchange()
    }

    fn draw(&mut self, subject: Subject, counter: u64) -> Result<(), String> {
        let key = self.ticket.key(&subject, counter);
        let draw = self.rule.draw(&mut key.draw(), &subject, &self.state);
        let public = self.rule.ask(&draw)?;
        let bytes = canonical(&public);
        let id = |miner: &Hotkey| self.ticket.task(miner, counter, bytes.as_bytes());
        let ids = subject.miners().iter().map(id).collect();
        self.tasks.push(Task { subject, counter, key, draw, public: Arc::new(public), ids });
        Ok(())
    }

    fn asks(&self, phase: Phase) -> Vec<Sending> {
        let of_task = |(place, task): (usize, &'_ Task<R>)| {
            let sendings = task.subject.miners().iter().zip(&task.ids).map(|(miner, id)| Sending {
                place,
                miner: *miner,
                task: *id,
                phase,
                body: Arc::clone(&task.public),
            });
            sendings.collect::<Vec<_>>()
        };
        self.tasks.iter().enumerate().flat_map(of_task).collect()
    }

    fn challenge(&self, place: usize, miner: &Hotkey, commit: &Message) -> Result<Value, Fault> {
        let asked = self.asked(place, miner).ok_or(Fault::Malformed)?;
        self.rule.challenge(&asked, commit)
    }

    fn wanted(&self) -> Vec<Digest> {
        self.rule.wanted(&self.state)
    }

    async fn measure(
        &self,
        place: usize,
        miner: Hotkey,
        came: &Exchanged,
        tools: &Tools<'_>,
    ) -> Result<Taken, ToolError> {
        let measured = self.measured(place, miner, came, tools).await?;
        let fault = self.rule.fault(&measured.measurement);
        Ok(Taken { place, miner, measurement: Box::new(measured.measurement), fault })
    }

    fn judge(self: Box<Self>, taken: Vec<Taken>, logged: bool) -> Judged {
        let mut measured: Vec<Vec<MeasuredOf<R>>> = self.tasks.iter().map(|_| Vec::new()).collect();
        for Taken { place, miner, measurement, .. } in taken {
            if let (Some(of_task), Ok(measurement)) =
                (measured.get_mut(place), measurement.downcast::<R::Measurement>())
            {
                of_task.push(Measured { hotkey: miner, measurement: *measurement });
            }
        }
        let Self { rule, state, ticket, tasks } = *self;
        let (mut findings, mut errors, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        let mut next = None;
        for (place, (task, measured)) in tasks.into_iter().zip(measured).enumerate() {
            if measured.is_empty() {
                findings.push(Vec::new());
                continue;
            }
            match rule.judge(&task.draw, &measured, &state) {
                Ok(found) => findings.push(found),
                Err(error) => {
                    findings.push(Vec::new());
                    errors.push((place, error));
                    continue;
                }
            }
            let before = next.take().unwrap_or_else(|| (*state).clone());
            next = Some(rule.learn(before, &task.draw, &measured));
            if logged {
                let Task { subject, counter, draw, .. } = task;
                let ticket = Box::new(ticket.clone());
                let body: BodyOf<R> = Body::Round { ticket, subject, counter, draw, measured };
                lines.extend(serde_json::to_string(&body));
            }
        }
        let state = next.map(|next| Box::new(next) as Box<dyn Any + Send>);
        Judged { epoch: ticket.beacon.epoch, findings, errors, lines, state }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_paid_once_whoever_of_it_is_there() {
        let key = |n: u8| Hotkey::from_bytes([n; 32]);
        let payee = |n: u8| Payee { hotkey: key(n), uid: None, worth: f64::from(n) };
        let mut payees = [payee(1), payee(2), payee(3), payee(4)];
        paid_once(&mut payees, &[vec![key(9), key(3), key(1)], vec![key(4)]]);
        let worth: Vec<f64> = payees.iter().map(|payee| payee.worth).collect();
        assert_eq!(worth, [0.0, 2.0, 3.0, 4.0]);
    }
}
