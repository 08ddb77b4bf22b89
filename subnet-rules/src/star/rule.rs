//! A [`Rule`] whose verbs are functions of `rule.star`.
//!
//! ```python
//! def draw(subject, state):               # {"public": …, "secret": …}; `prf` works here alone
//! def judge(draw, replies, state):        # a list of score(…), trials(…), matches(…), volume(…)
//! def learn(state, draw, replies):        # the next state; may be left out
//! def clusters(state):                    # lists of addresses that are one: paid once; may be left out
//! ```
//!
//! `subject` is `{"miner": address}` or `{"miners": [address, …]}`. `public` is any JSON value: it is what
//! miners are sent. Each reply is a dict: `miner`, `answer` (the JSON that came, `None` where nothing that
//! can be judged did), `text` (the answer where it is a text, or what it holds under `text`), `fault`
//! (why there is none, or `None`) and `ms`, the time by the validator's clock. `state` is `None` at
//! first; all draws of a round are made and judged in one state, and what `learn` returns counts from
//! the next round on.
//!
//! `[examine]` in `rule.toml` says `whom` a draw is for (`each`, `shared`) and which `exchange` it takes
//! (`once`, `commit-open`). A miner without a program of the engineer's own answers what holds a text
//! under `prompt`, with `max_tokens` (else 256), `temperature` (else 0) and `seed`.

use std::sync::{Mutex, PoisonError};

use chain_metadata::Hotkey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::process::{Host, HostError, Program};
use super::protocol::Limits;
use crate::digest::Digest;
use crate::exchange::{Exchange, Exchanged, Fault, Whom};
use crate::manifest::Manifest;
use crate::package::Package;
use crate::prf::Prf;
use crate::rule::{Asked, Draw, Finding, JudgeError, Measured, Rule, Subject};
use crate::sealed;
use crate::tools::{ToolError, Tools};

/// Name of the source in messages and in a rule's folder.
const SOURCE: &str = "rule.star";
/// Longest answer that is judged, bytes of JSON: longer ones count as [`Fault::TooLarge`].
pub const REPLY_MAX: usize = 16 * 1024;

/// One exchange, as the validator saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Nothing that can be judged came in time.
    Unanswered(Fault),
    /// A signed reply.
    Answered {
        /// What it says.
        answer: Value,
        /// From sending the request to the last byte, by the validator's monotonic clock.
        total_us: u64,
    },
}

/// What a task is judged by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Draws {
    /// The rule's secret.
    Drawn(Value),
    /// The rule failed to draw: nobody is asked, and judging it is an error.
    Failed(String),
}

/// What the rule remembers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Its state; null at first.
    pub value: Value,
    /// Why it could not learn: from then on nothing is judged.
    pub failed: Option<String>,
}

/// A rule written in Starlark.
#[derive(Debug)]
pub struct Star {
    manifest: Manifest,
    source: String,
    digest: Digest,
    learns: bool,
    clusters: bool,
    host: Mutex<Host>,
}

/// Why a package is no Starlark rule.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StarError {
    /// Its source cannot be run.
    #[error(transparent)]
    Host(#[from] HostError),
    /// A verb is missing.
    #[error("{SOURCE}: there is no function `{verb}`")]
    MissingVerb {
        /// Which.
        verb: &'static str,
    },
    /// Parameters that JSON cannot write.
    #[error("rule.toml: [params] cannot be given to the rule")]
    Params(#[from] serde_json::Error),
}

impl Star {
    /// Starts the rule of a package in a process of `program`.
    pub fn start(package: &Package, program: &Program, limits: Limits) -> Result<Self, StarError> {
        let manifest = package.manifest.clone();
        let params = serde_json::to_value(&manifest.params)?;
        let source = package.source.clone().unwrap_or_default();
        let host = Host::start(program, SOURCE, &source, params, limits)?;
        for verb in ["draw", "judge"] {
            if !host.defines(verb) {
                return Err(StarError::MissingVerb { verb });
            }
        }
        let (learns, clusters) = (host.defines("learn"), host.defines("clusters"));
        let (digest, host) = (package.digest(), Mutex::new(host));
        Ok(Self { manifest, source, digest, learns, clusters, host })
    }

    fn call(
        &self,
        function: &str,
        arguments: Vec<Value>,
        prf: Option<[u8; 32]>,
    ) -> Result<Value, HostError> {
        // A panic while the lock was held leaves a host that starts its process again.
        let mut host = self.host.lock().unwrap_or_else(PoisonError::into_inner);
        host.call(function, arguments, prf)
    }

    /// Identities that the rule holds to be one in a state.
    fn clustered(&self, state: &Value) -> Result<Vec<Vec<Hotkey>>, String> {
        if !self.clusters {
            return Ok(Vec::new());
        }
        let found = self.call("clusters", vec![state.clone()], None);
        let found = found.map_err(|error| error.to_string())?;
        serde_json::from_value(found).map_err(|error| {
            format!("{SOURCE}: `clusters` returns a list of lists of addresses: {error}")
        })
    }
}

/// What `draw` returns.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Drawn {
    public: Value,
    secret: Value,
}

fn drawn(value: Value) -> Result<Drawn, String> {
    serde_json::from_value(value).map_err(|error| {
        format!("{SOURCE}: `draw` returns a dict of `public` and `secret`: {error}")
    })
}

fn subject(subject: &Subject) -> Value {
    match subject {
        Subject::Miner(hotkey) => json!({ "miner": hotkey }),
        Subject::Shared(hotkeys) | Subject::Committed(hotkeys) => json!({ "miners": hotkeys }),
    }
}

fn reply(measured: &Measured<Reply>) -> Value {
    let (answer, fault, us) = match &measured.measurement {
        Reply::Unanswered(fault) => (None, Some(*fault), 0),
        Reply::Answered { answer, total_us } => (Some(answer), None, *total_us),
    };
    let text = answer.and_then(|answer| answer.as_str().or_else(|| answer.get("text")?.as_str()));
    let ms = us.div_ceil(1000);
    json!({ "miner": measured.hotkey, "answer": answer, "text": text, "fault": fault, "ms": ms })
}

fn replies(measured: &[Measured<Reply>]) -> Value {
    Value::Array(measured.iter().map(reply).collect())
}

fn task(draw: &Draw<Value, Draws>) -> Result<Value, JudgeError> {
    match &draw.secret {
        Draws::Drawn(secret) => Ok(json!({ "public": draw.public, "secret": secret })),
        Draws::Failed(why) => Err(JudgeError::Rule(why.clone())),
    }
}

/// What the judge returned, if all of it is about those who were measured.
fn findings(value: Value, measured: &[Measured<Reply>]) -> Result<Vec<Finding>, JudgeError> {
    let findings: Vec<Finding> = serde_json::from_value(value).map_err(|error| {
        JudgeError::Rule(format!("{SOURCE}: `judge` returns a list of evidence: {error}"))
    })?;
    let about = |hotkey: &Hotkey| measured.iter().any(|one| one.hotkey == *hotkey);
    match findings.iter().find(|finding| !about(&finding.hotkey)) {
        Some(Finding { hotkey, .. }) => Err(JudgeError::Inconsistent {
            hotkey: *hotkey,
            what: "the judge found something about a miner that was not asked".to_owned(),
        }),
        None => Ok(findings),
    }
}

impl Rule for Star {
    type Public = Value;
    type Secret = Draws;
    type Measurement = Reply;
    type State = Memory;

    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn digest(&self) -> Digest {
        self.digest
    }

    fn source(&self) -> Option<&str> {
        Some(&self.source)
    }

    fn exchange(&self) -> Exchange {
        self.manifest.examine.exchange.unwrap_or_default()
    }

    fn whom(&self) -> Whom {
        self.manifest.examine.whom.unwrap_or_default()
    }

    fn ask(&self, draw: &Draw<Value, Draws>) -> Result<Value, String> {
        match &draw.secret {
            Draws::Drawn(_) => Ok(draw.public.clone()),
            Draws::Failed(why) => Err(why.clone()),
        }
    }

    async fn measure(
        &self,
        asked: Asked<'_, Self>,
        came: &Exchanged,
        _tools: &Tools<'_>,
    ) -> Result<Reply, ToolError> {
        let (answer, size, total_us) = match came {
            Exchanged::Nothing(fault) | Exchanged::Opened { opening: Err(fault), .. } => {
                return Ok(Reply::Unanswered(*fault));
            }
            Exchanged::Replied(message) => {
                (message.read::<Value>(), message.body.len(), message.total_us)
            }
            Exchanged::Opened { commit, opening: Ok(opening) } => {
                let answer = sealed::opened(&asked.task, &asked.miner, commit, opening);
                (answer, opening.body.len(), commit.total_us)
            }
            Exchanged::Held(_) => (Err(Fault::Malformed), 0, 0),
        };
        Ok(match answer {
            Ok(_) if size > REPLY_MAX => Reply::Unanswered(Fault::TooLarge),
            Ok(answer) => Reply::Answered { answer, total_us },
            Err(fault) => Reply::Unanswered(fault),
        })
    }

    fn failed(&self, state: &Memory) -> Option<String> {
        state.failed.clone()
    }

    fn draw(&self, prf: &mut Prf, of: &Subject, state: &Memory) -> Draw<Value, Draws> {
        let arguments = vec![subject(of), state.value.clone()];
        let returned = self.call("draw", arguments, Some(prf.key()));
        match returned.map_err(|error| error.to_string()).and_then(drawn) {
            Ok(Drawn { public, secret }) => Draw { public, secret: Draws::Drawn(secret) },
            Err(why) => Draw { public: Value::Null, secret: Draws::Failed(why) },
        }
    }

    fn fault(&self, measurement: &Reply) -> Option<Fault> {
        match measurement {
            Reply::Unanswered(fault) => Some(*fault),
            Reply::Answered { .. } => None,
        }
    }

    fn judge(
        &self,
        draw: &Draw<Value, Draws>,
        measured: &[Measured<Reply>],
        state: &Memory,
    ) -> Result<Vec<Finding>, JudgeError> {
        if let Some(why) = &state.failed {
            return Err(JudgeError::Rule(why.clone()));
        }
        let arguments = vec![task(draw)?, replies(measured), state.value.clone()];
        let returned = self.call("judge", arguments, None);
        findings(returned.map_err(|error| JudgeError::Rule(error.to_string()))?, measured)
    }

    fn clusters(&self, state: &Memory) -> Vec<Vec<Hotkey>> {
        // What fails here failed when the state was learned, and was said then.
        self.clustered(&state.value).unwrap_or_default()
    }

    fn learn(
        &self,
        state: Memory,
        draw: &Draw<Value, Draws>,
        measured: &[Measured<Reply>],
    ) -> Memory {
        if state.failed.is_some() || !(self.learns || self.clusters) {
            return state;
        }
        let learned = if self.learns {
            task(draw).map_err(|error| error.to_string()).and_then(|task| {
                let arguments = vec![state.value.clone(), task, replies(measured)];
                self.call("learn", arguments, None).map_err(|error| error.to_string())
            })
        } else {
            Ok(state.value.clone())
        };
        // A state in which the rule cannot say who is one would pay each of them.
        let learned = learned.and_then(|value| self.clustered(&value).map(|_| value));
        match learned {
            Ok(value) => Memory { value, failed: None },
            Err(why) => Memory { value: state.value, failed: Some(why) },
        }
    }
}
