//! The miners of `serve`, on table language models.
//!
//! An engine answers at the pace that the rule allows, and its identities share it: a validator asks
//! all miners at the same time. Whether a checkable answer is right is a property of model, prompt and
//! seed, at the pass rates of the calibration.

use std::collections::BTreeMap;

use scoring::evidence::Claimed;

use super::table::{Completion, TableModel, Variant, mix};
use crate::arena::cast::{Identity, Kind};
use crate::arena::season::{Moment, World};
use crate::digest::Digest;
use crate::examiner::MeasuredOf;
use crate::prf::Prf;
use crate::rule::{Measured, Subject};
use crate::serve::{Answer, Calibration, Cell, Fault, Measurement, Secret, Serve, ServeDraw};

/// The name of the table model in rules that name it.
pub const MODEL: &str = "table-model:f32";
/// Draws for each miner, validator and epoch.
const DRAWS: usize = 4;
/// Share of the allowed time that an engine of its own takes: the rule allows what its named hardware
/// needs, so two identities on one such engine are late.
const PACE: f64 = 1.0;
/// Relative spread of times.
const JITTER: f64 = 0.02;
/// What an answer without work takes, microseconds.
const IDLE_US: u64 = 10_000;
/// Share of its pass rate that a substitute keeps: four bits, eight bits.
const KEPT: [f64; 2] = [0.85, 0.98];

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

/// The world.
#[derive(Debug, Clone)]
pub struct Serving {
    rule: Serve,
    model: TableModel,
    prf: Prf,
    /// The latest honest answer that each validator saw: what a copier sends.
    latest: BTreeMap<u16, (Vec<u32>, String)>,
    work: (u64, u64),
}

impl Serving {
    /// The world of a seed for a rule that names the table model.
    pub fn new(rule: &Serve, seed: u64) -> Self {
        let model = TableModel::new(seed, rule.params().temperature);
        let prf = Prf::from_seed(seed).child("serving");
        Self { rule: rule.clone(), model, prf, latest: BTreeMap::new(), work: (0, 0) }
    }

    /// What the named model writes, as tokens and as text.
    fn written(&self, variant: Variant, kept: f64, draw: &ServeDraw) -> (Completion, String) {
        let task = &draw.public;
        match &draw.secret {
            Secret::Open => {
                let prompt = prompt_hash(&task.prompt);
                let written = self.model.generate(variant, prompt, task.seed, task.max_tokens);
                let text = "ann fed the cat".to_owned();
                (written, text)
            }
            Secret::Checked { family, level, answer } => {
                let cell = Cell { family: *family, level: *level };
                let rate = self.rule.params().calibration.rate(cell) * kept;
                let right = unit(&task.prompt, task.seed) < rate;
                let text = if right { answer.clone() } else { format!("not {answer}") };
                let tokens = text.bytes().map(u32::from).chain([0]).collect();
                (Completion { tokens, stopped: true }, text)
            }
        }
    }

    /// What an identity sends, and whether it worked for it.
    fn sent(&self, who: &Identity, validator: u16, draw: &ServeDraw) -> (Completion, String, bool) {
        let exact = || self.written(Variant::Exact, 1.0, draw);
        let canned = || {
            let tokens = vec![1, 2, 3, 4, 5, 6, 7, 0];
            (Completion { tokens, stopped: true }, "I do not know".to_owned())
        };
        let ((completion, text), worked) = match who.kind {
            Kind::Honest | Kind::Sybil => (exact(), true),
            Kind::Lazy | Kind::Colluder => (canned(), false),
            Kind::Copier => match self.latest.get(&validator) {
                Some((tokens, text)) => {
                    ((Completion { tokens: tokens.clone(), stopped: true }, text.clone()), false)
                }
                None => (canned(), false),
            },
            // It writes with another model and has the real one read it: the proof of a prefill is
            // genuine, the draws are not.
            Kind::Forger => (self.written(Variant::Other, 0.5, draw), true),
            Kind::Substitute => {
                let (variant, kept) = substitute(who);
                (self.written(variant, kept, draw), true)
            }
            Kind::Poison => {
                let tokens = vec![u32::MAX; 100_000];
                ((Completion { tokens, stopped: false }, "\u{0}".repeat(64)), false)
            }
        };
        (completion, text, worked)
    }

    fn time_us(&mut self, who: &Identity, tokens: usize, worked: bool) -> u64 {
        if !worked {
            return IDLE_US;
        }
        let params = self.rule.params();
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

    fn answer(&mut self, who: &Identity, validator: u16, draw: &ServeDraw) -> Measurement {
        if who.kind == Kind::Poison && self.prf.chance(0.5) {
            return Measurement::Unanswered(Fault::Malformed);
        }
        let (completion, text, worked) = self.sent(who, validator, draw);
        let tokens = completion.tokens;
        let total_us = self.time_us(who, tokens.len(), worked);
        let open = draw.secret == Secret::Open;
        let oversized = tokens.len() > draw.public.max_tokens as usize;
        if oversized {
            // A validator does not score what is over the cap; the judge refuses it unread.
            return Measurement::Answered(answer(tokens, text, total_us));
        }
        let checks = if open {
            self.model.rescore(prompt_hash(&draw.public.prompt), draw.public.seed, &tokens)
        } else {
            Vec::new()
        };
        let account = match (open, reader(who)) {
            (true, Some(variant)) => {
                Some(self.model.account(variant, prompt_hash(&draw.public.prompt), &tokens))
            }
            _ => None,
        };
        let reference = (!open).then(|| self.written(Variant::Exact, 1.0, draw).1);
        if who.kind == Kind::Honest {
            self.latest.insert(validator, (tokens.clone(), text.clone()));
        }
        self.work.0 += tokens.len() as u64;
        self.work.1 += tokens.len() as u64;
        let stopped = completion.stopped;
        Measurement::Answered(Answer {
            stopped,
            checks,
            reference,
            account,
            ..answer(tokens, text, total_us)
        })
    }
}

fn answer(token_ids: Vec<u32>, text: String, total_us: u64) -> Answer {
    Answer {
        model: Claimed::new(MODEL.to_owned()),
        token_ids,
        stopped: false,
        text,
        checks: Vec::new(),
        account: None,
        reference: None,
        first_byte_us: total_us,
        total_us,
    }
}

/// Which arithmetic an identity's account of its tokens is of; `None` where it can give none: what it
/// sends is not its own, or nothing. The forger reads its text with the named model.
const fn reader(who: &Identity) -> Option<Variant> {
    match who.kind {
        Kind::Honest | Kind::Sybil | Kind::Forger => Some(Variant::Exact),
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
    fn subjects(&self, identities: &[Identity]) -> Vec<Subject> {
        let each = |one: &Identity| std::iter::repeat_n(Subject::Miner(one.hotkey), DRAWS);
        identities.iter().flat_map(each).collect()
    }

    fn measure(
        &mut self,
        moment: Moment,
        draw: &ServeDraw,
        who: &[Identity],
    ) -> Vec<MeasuredOf<Serve>> {
        who.iter()
            .map(|one| Measured {
                hotkey: one.hotkey,
                measurement: self.answer(one, moment.validator, draw),
            })
            .collect()
    }

    fn work(&self) -> (u64, u64) {
        self.work
    }
}
