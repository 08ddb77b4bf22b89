//! The miners of rules whose answers are texts: actors are small programs in Starlark.
//!
//! ```python
//! def honest(task, seen):     # one function a kind; `seen` is the latest honest answer or None
//!     return "a text"         # it worked for it: as long as its engine takes
//!     return {"text": "a text", "ms": 10}   # it did not: when it comes
//!     return None             # nothing
//! ```
//!
//! A kind is looked for in the owner's own actors first (`--actor KIND=FILE`), then in the rule's
//! `cast.star`, then among those that need to know nothing of the rule. An engine takes the time that
//! the task allows (`allowed_ms`), and the identities of one operator share it. A program sends texts;
//! what they are worth is decided by the rule alone.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::arena::cast::{Identity, Kind};
use crate::arena::season::{Moment, World};
use crate::prf::Prf;
use crate::rule::{Draw, Measured, Subject};
use crate::serve::Fault;
use crate::star::{Draws, Host, HostError, Limits, Program, REPLY_MAX, Reply, Star};

/// Draws for each miner, validator and epoch.
const DRAWS: usize = 1;
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
    latest: BTreeMap<u16, String>,
    failed: Option<HostError>,
    answered: u64,
}

/// What a program returns.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sent {
    Nothing(()),
    Worked(String),
    Idle(Idle),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Idle {
    text: String,
    ms: u64,
}

impl Texts {
    /// The world of a seed: `cast` is the rule's own `cast.star`.
    pub fn start(
        program: &Program,
        cast: Option<&str>,
        actors: &[Actor],
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
        Ok(Self { sources, programs, prf, latest, failed: None, answered: 0 })
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

    fn sent(&mut self, who: &Identity, validator: u16, task: &Value) -> Option<Sent> {
        let (at, function) = self.program(who.kind)?;
        let seen = self.latest.get(&validator).cloned();
        let key = self.prf.child(&format!("{}/{}", who.uid, self.answered)).key();
        self.answered += 1;
        let returned = self.sources[at].call(function, vec![task.clone(), json!(seen)], Some(key));
        match returned {
            Ok(value) => serde_json::from_value(value).ok(),
            Err(error) => {
                self.failed.get_or_insert(error);
                None
            }
        }
    }

    fn reply(&mut self, who: &Identity, validator: u16, task: &Value) -> Reply {
        let (text, total_us) = match self.sent(who, validator, task) {
            None => return Reply::Unanswered(Fault::Malformed),
            Some(Sent::Nothing(())) => return Reply::Unanswered(Fault::Timeout),
            Some(Sent::Worked(text)) => (text, self.engine_us(who, task)),
            Some(Sent::Idle(Idle { text, ms })) => (text, ms.saturating_mul(1000)),
        };
        if who.kind == Kind::Honest {
            self.latest.insert(validator, text.clone());
        }
        if text.len() > REPLY_MAX {
            return Reply::Unanswered(Fault::TooLarge);
        }
        Reply::Answered { text, total_us }
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
    fn subjects(&self, identities: &[Identity]) -> Vec<Subject> {
        let each = |one: &Identity| std::iter::repeat_n(Subject::Miner(one.hotkey), DRAWS);
        identities.iter().flat_map(each).collect()
    }

    fn measure(
        &mut self,
        moment: Moment,
        draw: &Draw<Value, Draws>,
        who: &[Identity],
    ) -> Vec<Measured<Reply>> {
        who.iter()
            .map(|one| Measured {
                hotkey: one.hotkey,
                measurement: self.reply(one, moment.validator, &draw.public),
            })
            .collect()
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
