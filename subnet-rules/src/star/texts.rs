//! The miners of rules whose answers are texts: actors are small programs in Starlark.
//!
//! ```python
//! def honest(task, seen):     # one function a kind; `seen` is the latest honest answer or None
//!     return "a text"         # any JSON; it worked for it: as long as its engine takes
//!     return {"answer": "a text", "ms": 10}   # it did not: when it comes (or under "text")
//!     return None             # nothing
//! ```
//!
//! A kind is looked for in the owner's own actors first (`--actor KIND=FILE`), then in the rule's
//! `cast.star`, then among those that need to know nothing of the rule. An engine takes the time that
//! the task allows (`allowed_ms`), and the identities of one operator share it. A program sends texts;
//! what they are worth is decided by the rule alone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::arena::cast::{Identity, Kind};
use crate::arena::seals::Seals;
use crate::arena::season::{Moment, World};
use crate::digest::Digest;
use crate::exchange::{Exchange, Fault, Message, Phase, Sending};
use crate::prf::Prf;
use crate::rule::Draw;
use crate::star::{Draws, Host, HostError, Limits, Program, Star};
use crate::work::{Job, Work, WorkError};

/// Time an engine takes for a task that allows none, ms.
const ENGINE_MS: u64 = 1000;
/// Relative spread of times.
const JITTER: f64 = 0.02;
/// The actors that need to know nothing of a rule.
const COMMON: &str = include_str!("common.star");

/// The source of an owner's own actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Which kind it plays.
    pub kind: Kind,
    /// Its name in messages.
    pub file: String,
    /// Its text: a function of the kind's name.
    pub source: String,
}

/// The world.
#[derive(Debug)]
pub struct Texts {
    sources: Vec<Host>,
    /// Where each kind's program is: an index into `sources`.
    programs: BTreeMap<Kind, usize>,
    prf: Prf,
    /// The latest honest answer that each validator saw: what a copier sends.
    latest: BTreeMap<u16, Value>,
    exchange: Exchange,
    seals: Seals,
    failed: Option<HostError>,
    answered: u64,
}

/// What a program returns that did not work for it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Idle {
    #[serde(alias = "text")]
    answer: Value,
    ms: u64,
}

impl Texts {
    /// The world of a seed: `cast` is the rule's own `cast.star`.
    pub fn start(
        program: &Program,
        cast: Option<&str>,
        actors: &[Actor],
        exchange: Exchange,
        seed: u64,
    ) -> Result<Self, HostError> {
        let start = |file: &str, source: &str| {
            Host::start(program, file, source, json!({}), Limits::default())
        };
        let mut sources = Vec::new();
        for actor in actors {
            sources.push(start(&actor.file, &actor.source)?);
        }
        let owned = sources.len();
        if let Some(cast) = cast {
            sources.push(start("cast.star", cast)?);
        }
        sources.push(start("common.star", COMMON)?);
        let mut programs = BTreeMap::new();
        for kind in Kind::ALL {
            let own = actors.iter().position(|actor| actor.kind == kind);
            let shared = || (owned..sources.len()).find(|at| sources[*at].defines(kind.name()));
            if let Some(at) = own.or_else(shared) {
                programs.insert(kind, at);
            }
        }
        let prf = Prf::from_seed(seed).child("texts");
        let latest = BTreeMap::new();
        let seals = Seals::default();
        Ok(Self { sources, programs, prf, latest, exchange, seals, failed: None, answered: 0 })
    }

    /// The first mistake of an actor's program, if one was made: what was played is void then.
    pub fn mistake(&mut self) -> Option<HostError> {
        self.failed.take()
    }

    /// A sybil does the work, as an honest one does.
    fn program(&self, kind: Kind) -> Option<(usize, &'static str)> {
        let of = |kind: Kind| Some((*self.programs.get(&kind)?, kind.name()));
        of(kind).or_else(|| if kind == Kind::Sybil { of(Kind::Honest) } else { None })
    }

    /// What an actor's program returns; null where it answers nothing.
    fn sent(&mut self, who: &Identity, validator: u16, task: &Value) -> Result<Value, Fault> {
        let Some((at, function)) = self.program(who.kind) else { return Err(Fault::Malformed) };
        let seen = self.latest.get(&validator).cloned();
        let key = self.prf.child(&format!("{}/{}", who.uid, self.answered)).key();
        self.answered += 1;
        let returned = self.sources[at].call(function, vec![task.clone(), json!(seen)], Some(key));
        returned.map_err(|error| {
            self.failed.get_or_insert(error);
            Fault::Malformed
        })
    }

    fn answer(
        &mut self,
        who: &Identity,
        validator: u16,
        task: &Value,
    ) -> Result<(Value, u64), Fault> {
        let sent = self.sent(who, validator, task)?;
        let (answer, total_us) = match Idle::deserialize(&sent) {
            _ if sent.is_null() => return Err(Fault::Timeout),
            Ok(Idle { answer, ms }) => (answer, ms.saturating_mul(1000)),
            Err(_) => (sent, self.engine_us(who, task)),
        };
        if who.kind == Kind::Honest {
            self.latest.insert(validator, answer.clone());
        }
        Ok((answer, total_us))
    }

    /// What the engine of an operator takes while all its identities are asked.
    fn engine_us(&mut self, who: &Identity, task: &Value) -> u64 {
        let allowed = task.get("allowed_ms").and_then(Value::as_u64).unwrap_or(ENGINE_MS);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds in microseconds, and a load above 0"
        )]
        let taken = {
            let load = who.siblings as f64 * (1.0 + JITTER * self.prf.normal());
            (allowed as f64 * 1000.0 * load.max(0.0)) as u64
        };
        taken
    }
}

impl World<Star> for Texts {
    fn reply(
        &mut self,
        moment: Moment,
        who: &Identity,
        sending: &Sending,
        _draw: &Draw<Value, Draws>,
    ) -> Result<Message, Fault> {
        if sending.phase == Phase::Open {
            return self.seals.open(&who.hotkey, sending.task, 0, |_| ());
        }
        let (answer, us) = self.answer(who, moment.validator, &sending.body)?;
        Ok(match self.exchange {
            Exchange::Sealed => {
                self.seals.seal(&mut self.prf, &who.hotkey, sending.task, answer, us)
            }
            _ => Message::of(&answer, us),
        })
    }

    fn work(&self) -> (u64, u64) {
        (self.answered, self.answered)
    }

    fn inapplicable(&self, kind: Kind) -> Option<&'static str> {
        match self.program(kind) {
            Some(_) => None,
            None => Some("the rule's cast has no program for it: it answers nothing"),
        }
    }
}

/// A kind's program as the hand of a live miner: what an owner writes for the arena answers over sockets.
#[derive(Debug)]
pub struct Player {
    host: Mutex<Host>,
    function: &'static str,
}

impl Player {
    /// The program of `kind`: in the rule's `cast.star`, else among those that know nothing of the rule.
    /// `None` where there is none.
    ///
    /// # Errors
    /// A source cannot be run.
    pub fn start(
        program: &Program,
        cast: Option<&str>,
        kind: Kind,
    ) -> Result<Option<Self>, HostError> {
        let sources =
            cast.map(|cast| ("cast.star", cast)).into_iter().chain([("common.star", COMMON)]);
        for (file, source) in sources {
            let host = Host::start(program, file, source, json!({}), Limits::default())?;
            for function in [kind.name(), if kind == Kind::Sybil { "honest" } else { kind.name() }]
            {
                if host.defines(function) {
                    return Ok(Some(Self { host: Mutex::new(host), function }));
                }
            }
        }
        Ok(None)
    }
}

impl Work for Player {
    fn answer(&self, job: &Job<'_>) -> Result<Value, WorkError> {
        let key = Digest::of("ganglion/star/player", &[&job.task.0]).0;
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = host.call(self.function, vec![job.body.clone(), Value::Null], Some(key));
        drop(host);
        let sent = sent.map_err(|error| WorkError::Failed(error.to_string()))?;
        match Idle::deserialize(&sent) {
            _ if sent.is_null() => Err(WorkError::Failed("it plays dead".into())),
            Ok(Idle { answer, .. }) => Ok(answer),
            Err(_) => Ok(sent),
        }
    }
}
