//! The miners of `serve`: a table model, and those who do something else and say it was that.
//!
//! Every honest engine answers at the pace that the rule allows, and its identities share it: a validator asks
//! all miners at the same time. Whether a checkable answer is right is a property of model, prompt and
//! seed, at the pass rates of the calibration: what the model would know is told to the world when a
//! task is drawn, and actors send bytes alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::json;

use super::table::{Completion, TableModel, Variant, mix};
use super::{Calibration, Cell, Finish, Params, Reply, Secret, Serve, ServeDraw};
use crate::arena::cast::{Identity, Kind};
use crate::arena::season::{Moment, World};
use crate::digest::Digest;
use crate::exchange::{Fault, Message, Sending};
use crate::prf::Prf;
use crate::tools::{Account, Read, Reference, Sampled, TokenMeasure, ToolError, Tools};

/// The name of the table model in rules that name it.
pub const MODEL: &str = "table-model:f32";
/// Share of the allowed time that an engine of its own takes: the rule allows what its named hardware
/// needs, so two identities on one such engine are late.
const PACE: f64 = 1.0;
/// Relative spread of times.
const JITTER: f64 = 0.02;
/// What an answer without work takes, microseconds.
const IDLE_US: u64 = 10_000;
/// Share of its pass rate that a substitute keeps: four bits, eight bits.
const KEPT: [f64; 2] = [0.85, 0.98];
/// Tokens of the table model's vocabulary; what lies above is a byte of a checkable answer.
const TABLE_TOKENS: u32 = 16;
/// What tokens of the table read as.
const SENTENCE: &str = "ann fed the cat";

/// The table model's pass rates: falling with the level.
pub fn calibration() -> Calibration {
    Calibration::measure(20, 0, |task| {
        let rate = 1.0 - f64::from(task.level.get()) / 7.0;
        unit(&task.prompt, 0) < rate
    })
}

/// A number in [0, 1) fixed by a prompt and a seed.
fn unit(prompt: &str, seed: u64) -> f64 {
    Prf::new(Digest::of("ganglion/arena/skill", &[prompt.as_bytes(), &seed.to_le_bytes()]).0).unit()
}

/// What the table model knows: the tasks that were drawn for it.
#[derive(Debug)]
struct Engine {
    model: TableModel,
    params: Params,
    /// Checkable tasks of the round under way, by prompt.
    known: Mutex<BTreeMap<u64, (Cell, String)>>,
    read: Mutex<u64>,
}

impl Engine {
    fn learn(&self, draw: &ServeDraw) {
        if let Secret::Checked { family, level, answer } = &draw.secret {
            let cell = Cell { family: *family, level: *level };
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(prompt_hash(&draw.public.prompt), (cell, answer.clone()));
        }
    }

    fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// What a variant writes, where it is right with a share of the named model's rate.
    fn writes(&self, variant: Variant, kept: f64, of: &Sampled<'_>) -> Completion {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match known.get(&prompt_hash(of.prompt)) {
            None => self.model.generate(variant, prompt_hash(of.prompt), of.seed, of.max_tokens),
            Some((cell, answer)) => {
                let right = unit(of.prompt, of.seed) < self.params.calibration.rate(*cell) * kept;
                let text = if right { answer.clone() } else { format!("not {answer}") };
                let tokens = text.bytes().map(u32::from).chain([0]).collect();
                Completion { tokens, stopped: true }
            }
        }
    }

    fn is_known(&self, prompt: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(&prompt_hash(prompt))
    }
}

fn text(ids: &[u32]) -> String {
    let bytes: Vec<u8> = ids.iter().filter_map(|id| u8::try_from(*id).ok()).collect();
    if ids.iter().all(|id| *id < TABLE_TOKENS) {
        return SENTENCE.to_owned();
    }
    String::from_utf8_lossy(bytes.strip_suffix(&[0]).unwrap_or(&bytes)).into_owned()
}

#[async_trait]
impl Reference for Engine {
    fn model(&self) -> String {
        MODEL.to_owned()
    }

    fn ends(&self, token: u32) -> bool {
        token == 0
    }

    fn text(&self, ids: &[u32]) -> Option<String> {
        Some(text(ids))
    }

    async fn read(
        &self,
        of: &Sampled<'_>,
        ids: &[u32],
        account: Option<Account<'_>>,
    ) -> Result<Option<Read>, ToolError> {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) += ids.len() as u64;
        if self.is_known(of.prompt) {
            let own = self.writes(Variant::Exact, 1.0, of).tokens;
            let token = |(place, id): (usize, &u32)| TokenMeasure {
                entropy_mnat: 0,
                margin_milli: 0,
                matched: own.get(place) == Some(id),
            };
            return Ok(Some(Read {
                tokens: ids.iter().enumerate().map(token).collect(),
                account: None,
            }));
        }
        let prompt = prompt_hash(of.prompt);
        // The arithmetic whose numbers an account is made of stands for the numbers.
        let variant = account.and_then(|account| {
            serde_json::from_value(account.evidence.get("arithmetic")?.clone()).ok()
        });
        Ok(Some(Read {
            tokens: self.model.rescore(prompt, of.seed, ids),
            account: variant.map(|variant| self.model.account(variant, prompt, ids)),
        }))
    }

    async fn write(&self, of: &Sampled<'_>) -> Result<String, ToolError> {
        Ok(text(&self.writes(Variant::Exact, 1.0, of).tokens))
    }
}

/// The world.
#[derive(Debug, Clone)]
pub struct Serving {
    engine: Arc<Engine>,
    prf: Prf,
    /// The latest honest answer that each validator saw: what a copier sends.
    latest: BTreeMap<u16, Vec<u32>>,
    moment: Option<Moment>,
    answered: u64,
}

impl Serving {
    /// The world of a seed for a rule that names the table model.
    pub fn new(rule: &Serve, seed: u64) -> Self {
        let engine = Engine {
            model: TableModel::new(seed, rule.params().temperature),
            params: rule.params().clone(),
            known: Mutex::default(),
            read: Mutex::default(),
        };
        let prf = Prf::from_seed(seed).child("serving");
        Self { engine: Arc::new(engine), prf, latest: BTreeMap::new(), moment: None, answered: 0 }
    }

    /// The tokens an identity sends, and whether it worked for them.
    fn tokens(&self, who: &Identity, validator: u16, draw: &ServeDraw) -> (Vec<u32>, bool) {
        let of = draw.public.sampled();
        let canned = || vec![1, 2, 3, 4, 5, 6, 7, 0];
        let written = |variant, kept| (self.engine.writes(variant, kept, &of).tokens, true);
        match who.kind {
            Kind::Honest | Kind::Sybil => written(Variant::Exact, 1.0),
            Kind::Lazy | Kind::Colluder => (canned(), false),
            Kind::Copier => (self.latest.get(&validator).cloned().unwrap_or_else(canned), false),
            // It writes with another model and has the real one read it: the proof of a prefill is
            // genuine, the draws are not.
            Kind::Forger => written(Variant::Other, 0.5),
            Kind::Substitute => {
                let (variant, kept) = substitute(who);
                written(variant, kept)
            }
            // The end of the text at once is a whole answer, and costs nothing.
            Kind::EarlyEnd => (vec![0], false),
            Kind::Poison => (vec![u32::MAX; 100_000], false),
        }
    }

    fn time_us(&mut self, who: &Identity, tokens: usize, worked: bool) -> u64 {
        if !worked {
            return IDLE_US;
        }
        let params = &self.engine.params;
        let allowed_ms = u64::from(params.allowed_base_ms)
            + u64::from(params.allowed_per_token_ms) * tokens as u64;
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "seconds in microseconds, and a load above 0"
        )]
        let taken = {
            let load = who.siblings as f64 * PACE * (1.0 + JITTER * self.prf.normal());
            (allowed_ms as f64 * 1000.0 * load.max(0.0)) as u64
        };
        taken
    }
}

/// Which arithmetic an identity's account of its tokens is of; `None` where it can give none: what it
/// sends is not its own, or nothing. The forger reads its text with the named model.
const fn reader(who: &Identity) -> Option<Variant> {
    match who.kind {
        Kind::Honest | Kind::Sybil | Kind::Forger | Kind::EarlyEnd => Some(Variant::Exact),
        Kind::Substitute => Some(substitute(who).0),
        Kind::Lazy | Kind::Colluder | Kind::Copier | Kind::Poison => None,
    }
}

/// What a substitute serves, and the share of the quality that it keeps.
const fn substitute(who: &Identity) -> (Variant, f64) {
    if who.operator.is_multiple_of(2) { (Variant::Q4, KEPT[0]) } else { (Variant::Q8, KEPT[1]) }
}

fn prompt_hash(prompt: &str) -> u64 {
    prompt.bytes().fold(0, |hash, byte| mix(hash ^ u64::from(byte)))
}

impl World<Serve> for Serving {
    fn drawn(&mut self, moment: Moment, draw: &ServeDraw) {
        if self.moment.replace(moment) != Some(moment) {
            self.engine.forget();
        }
        self.engine.learn(draw);
    }

    fn reply(
        &mut self,
        moment: Moment,
        who: &Identity,
        _sending: &Sending,
        draw: &ServeDraw,
    ) -> Result<Message, Fault> {
        if who.kind == Kind::Poison && self.prf.chance(0.5) {
            return Ok(Message::at(b"{\"model\":NaN".as_slice(), IDLE_US));
        }
        let (token_ids, worked) = self.tokens(who, moment.validator, draw);
        let total_us = self.time_us(who, token_ids.len(), worked);
        if who.kind == Kind::Honest {
            self.latest.insert(moment.validator, token_ids.clone());
        }
        self.answered += token_ids.len().min(draw.public.max_tokens as usize) as u64;
        let wanted = |variant: Variant| json!({ "arithmetic": variant });
        let reply = Reply {
            model: MODEL.to_owned(),
            text: text(&token_ids),
            finish: Finish::Stop,
            prompt_tokens: 0,
            evidence: reader(who).filter(|_| draw.public.evidence).map(wanted),
            token_ids,
        };
        Ok(Message::of(&reply, total_us))
    }

    fn tools(&self) -> Tools<'_> {
        Tools { reference: Some(&*self.engine) }
    }

    fn work(&self) -> (u64, u64) {
        (*self.engine.read.lock().unwrap_or_else(PoisonError::into_inner), self.answered)
    }
}
