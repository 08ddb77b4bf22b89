//! The evidence table: real cheats against the real verifier, in the same class and across classes.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    answer::{Answer, Bytes32, Sampler, leaf_bytes},
    calibration::{Calibration, CalibrationError, Drawn, Pair},
    reading::{Reading, mean},
    states::Scheme,
    trial::{
        AT_ONCE, Sample, Server, Trial, TrialError, Writer, calibrate, cpu_time, engine, readings,
        side,
    },
    verdict::{ALPHA, Listen, MIN_EVIDENCE_TOKENS, Standing},
};
use crate::{Deviation, Engine, LoadError, LoadOptions, Model, ModelId, ModelSource, NumericClass};

/// What a server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Case {
    /// What it says.
    Honest,
    /// Weights rounded to `Q8_0`.
    Q8,
    /// Weights rounded to `Q4_0`.
    Q4,
    /// Weights rounded to FP8 (e4m3).
    Fp8,
    /// Keys and values kept as signed bytes.
    Kv8,
    /// The middle layer left out.
    Drop,
    /// A system prompt of its own added.
    Prompt,
    /// Another model writes: a relative with every weight moved by a tenth, or one that is given.
    Other,
    /// A 4-bit model writes, and the true one reads its text for log-probabilities and fingerprints.
    Forger,
}

impl Case {
    /// Every case, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Honest,
        Self::Q8,
        Self::Q4,
        Self::Fp8,
        Self::Kv8,
        Self::Drop,
        Self::Prompt,
        Self::Other,
        Self::Forger,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Honest => "honest",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
            Self::Fp8 => "fp8",
            Self::Kv8 => "kv8",
            Self::Drop => "drop",
            Self::Prompt => "prompt",
            Self::Other => "other",
            Self::Forger => "forger",
        }
    }

    /// What the writer loads.
    const fn deviation(self) -> Option<Deviation> {
        match self {
            Self::Honest | Self::Prompt => None,
            Self::Q8 => Some(Deviation::Q8Weights),
            Self::Q4 | Self::Forger => Some(Deviation::Q4Weights),
            Self::Fp8 => Some(Deviation::Fp8Weights),
            Self::Kv8 => Some(Deviation::Int8Kv),
            Self::Drop => Some(Deviation::DroppedLayer),
            Self::Other => Some(Deviation::OtherWeights),
        }
    }

    fn writer<'a>(self, named: &'a Engine, other: Option<&'a Engine>, relay: bool) -> Writer<'a> {
        let engine = other.unwrap_or(named);
        match self {
            Self::Prompt => Writer::Altered(engine),
            Self::Forger => Writer::Forger(engine),
            Self::Other if relay => Writer::Relay(engine),
            _ => Writer::Itself(engine),
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// No such case.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown case `{0}` (known: honest, q8, q4, fp8, kv8, drop, prompt, other, forger)")]
pub struct UnknownCase(String);

impl FromStr for Case {
    type Err = UnknownCase;

    fn from_str(text: &str) -> Result<Self, UnknownCase> {
        Self::ALL
            .into_iter()
            .find(|case| case.name() == text)
            .ok_or_else(|| UnknownCase(text.to_owned()))
    }
}

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The named model.
    pub source: ModelSource,
    /// What servers do.
    pub cases: Vec<Case>,
    /// Answers a case.
    pub sequences: u32,
    /// Most tokens an answer.
    pub max_tokens: u32,
    /// Of prompts and draws.
    pub drawn: Drawn,
    /// The verifier's class, and the server's in the same-class half of the table.
    pub class: NumericClass,
    /// Whether that half is made.
    pub same_class: bool,
    /// The server's class in the other half; `None` leaves that half out.
    pub across: Option<NumericClass>,
    /// Who writes in [`Case::Other`]; a relative of the named model where `None`.
    pub other: Option<ModelSource>,
    /// Honest answers measured first for each half.
    pub calibration_sequences: u32,
    /// Measurements to use in place of new ones.
    pub calibration: Option<Calibration>,
    /// Compute threads.
    pub threads: Option<usize>,
    /// Whether writing and reading are timed, too.
    pub cost: bool,
}

/// Whether server and verifier compute alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// Both compute the same bits.
    SameClass,
    /// The server computes in another class.
    AcrossClasses,
}

impl Setting {
    /// Its name, as JSON gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SameClass => "same-class",
            Self::AcrossClasses => "across-classes",
        }
    }
}

impl Plan {
    fn setting(&self, server: NumericClass) -> Setting {
        if server == self.class { Setting::SameClass } else { Setting::AcrossClasses }
    }
}

/// How far a run has come.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Same class, across, or what else is measured.
    pub setting: &'a str,
    /// The case, or `calibration`.
    pub case: &'a str,
    /// Answers to write and to read.
    pub total: u64,
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Same class or across.
    pub setting: Setting,
    /// What the server does.
    pub case: Case,
    /// Its arithmetic.
    pub server_class: NumericClass,
    /// The verifier's.
    pub verifier_class: NumericClass,
    /// Answers.
    pub sequences: usize,
    /// Their tokens.
    pub tokens: usize,
    /// Those with a choice.
    pub evidence_tokens: usize,
    /// Tokens that the seed does not draw.
    pub mismatches: usize,
    /// Share of the tokens with a choice that the seed draws.
    pub seed_match: Option<f64>,
    /// Mean margin of the tokens with a choice, in nats.
    pub margin_mean: Option<f64>,
    /// Mean nats between log-probabilities.
    pub dlogprob_mean: Option<f64>,
    /// Largest distance of fingerprints.
    pub fingerprint_max: Option<f64>,
    /// Servers, each sending the answers from another one on, convicted by all evidence.
    pub convictions: usize,
    /// Convicted by the seed alone.
    pub convictions_by_seed: usize,
    /// Answers that convict by themselves.
    pub answers_convicted: usize,
    /// Median of evidence tokens to convict, by all evidence; `None` where most go free.
    pub median_evidence_tokens: Option<usize>,
    /// The same by the seed alone.
    pub median_evidence_tokens_by_seed: Option<usize>,
    /// Bytes of evidence sent for 32 tokens.
    pub bytes_per_32_tokens: usize,
    /// Share of the answers that have enough tokens with a choice to say anything of a model.
    pub with_evidence: Option<f64>,
    /// Processor time of verification over that of generation, both 48 at once.
    pub verify_to_generate: Option<f64>,
}

/// What answers cost by how many are written at once: a server's batch. Verification reads 48 at once
/// in any case: whoever verifies has time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Answers written at once.
    pub concurrency: usize,
    /// Processor time to write a token, its share of the prompt included, in milliseconds.
    pub generate_ms_per_token: f64,
    /// The same to verify it.
    pub verify_ms_per_token: f64,
    /// The one over the other.
    pub verify_to_generate: f64,
}

/// The table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The model's name.
    pub model: String,
    /// The verifier's identity.
    pub model_id: ModelId,
    /// Of prompts and draws.
    pub seed: u64,
    /// The divisor of logits.
    pub temperature: f32,
    /// Answers a case.
    pub sequences: u32,
    /// Most tokens an answer.
    pub max_tokens: u32,
    /// How hidden states are fingerprinted.
    pub fingerprint: Scheme,
    /// Who writes in [`Case::Other`]; a relative of the model where `None`.
    pub other: Option<String>,
    /// Digest of the calibration given, if one was.
    pub calibration: Option<Bytes32>,
    /// Chance that an honest server is ever convicted.
    pub alpha: f64,
    /// Honest answers measured first for each half where equality is not demanded and no calibration
    /// was given.
    pub calibration_sequences: u32,
    /// What an honest server's answers cost, in the verifier's class; empty unless asked for, and
    /// where the system does not tell processor times.
    pub cost: Vec<Cost>,
    /// The lines.
    pub cases: Vec<Row>,
}

/// A table that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A model does not load.
    #[error("the model does not load")]
    Load(#[from] LoadError),
    /// A trial failed.
    #[error("a trial failed")]
    Trial(#[from] TrialError),
    /// The calibration given cannot be named.
    #[error(transparent)]
    Calibration(#[from] CalibrationError),
    /// The table to go on with was made otherwise.
    #[error("the table to go on with was made with other arguments")]
    Another,
}

/// Where progress goes: told of each step, and then after each answer of it.
pub trait Progress {
    /// A step begins.
    fn begin(&self, step: Step<'_>);
    /// One answer more was written or read.
    fn advance(&self);
    /// The last line of the table is new.
    fn row(&self, so_far: &Table);
}

/// Answers whose cost is taken for each batch.
const COST_ANSWERS: u32 = 16;

/// Batches of a server: one user, a few, many.
const COST_BATCHES: [usize; 3] = [1, 4, 16];

/// Added to the seed of the prompts whose cost is taken: none of them is in a cache.
const COST_SEED: u64 = 0x0000_636f_7374_7321;

/// Added to the seed of the calibration's prompts, so that no case meets a prompt it was fitted to.
const CALIBRATION_SEED: u64 = 0x6361_6c69_6272_6174;

impl Table {
    /// Nothing measured yet.
    fn empty(plan: &Plan, model_id: ModelId) -> Result<Self, TableError> {
        let given = plan.calibration.as_ref();
        Ok(Self {
            model: plan.source.name(),
            model_id,
            seed: plan.drawn.seed,
            temperature: plan.drawn.temperature,
            sequences: plan.sequences,
            max_tokens: plan.max_tokens,
            fingerprint: plan.drawn.scheme,
            other: plan.other.as_ref().map(ModelSource::name),
            calibration: given.map(Calibration::digest).transpose()?,
            alpha: ALPHA,
            calibration_sequences: given.map_or(plan.calibration_sequences, |_| 0),
            cost: Vec::new(),
            cases: Vec::new(),
        })
    }

    /// Whether lines of both belong in one table.
    fn goes_on(&self, before: &Self) -> bool {
        let head = |table: &Self| Self { cost: Vec::new(), cases: Vec::new(), ..table.clone() };
        head(self) == head(before)
    }

    fn has(&self, setting: Setting, class: NumericClass, case: Case) -> bool {
        let key = (setting, class, case);
        self.cases.iter().any(|row| (row.setting, row.server_class, row.case) == key)
    }
}

/// Runs every case that `before`, an earlier run of the same plan, does not hold.
///
/// # Errors
/// [`TableError::Another`] where `before` is of another plan.
pub async fn run(
    plan: &Plan,
    before: Option<Table>,
    progress: &dyn Progress,
) -> Result<Table, TableError> {
    let verifier = load(plan, plan.class, None)?;
    let mut table = Table::empty(plan, verifier.model_id())?;
    if let Some(before) = before {
        if !table.goes_on(&before) {
            return Err(TableError::Another);
        }
        table = before;
    }
    if plan.cost && table.cost.is_empty() {
        table.cost = cost(plan, &verifier, progress).await?;
    }
    for class in plan.same_class.then_some(plan.class).into_iter().chain(plan.across) {
        let setting = plan.setting(class);
        let due = |case: &&Case| !table.has(setting, class, **case);
        let cases: Vec<Case> = plan.cases.iter().filter(due).copied().collect();
        if cases.is_empty() {
            continue;
        }
        let half = Half::new(plan, &verifier, class, progress).await?;
        for case in cases {
            table.cases.push(half.case(case, progress).await?);
            progress.row(&table);
        }
    }
    Ok(table)
}

/// Times honest answers, written one at a time and many together, and read.
async fn cost(
    plan: &Plan,
    verifier: &Arc<Engine>,
    progress: &dyn Progress,
) -> Result<Vec<Cost>, TableError> {
    let (writer, max_tokens) = (Writer::Itself(verifier), plan.max_tokens);
    let server = Server { named: verifier, writer, max_tokens, scheme: plan.drawn.scheme };
    let mut costs = Vec::new();
    for (place, at_once) in (1..).zip(COST_BATCHES) {
        let total = 2 * u64::from(COST_ANSWERS);
        progress.begin(Step { setting: "cost", case: "honest", total });
        let seed = plan.drawn.seed ^ COST_SEED.rotate_left(place);
        let drawn = Drawn { seed, ..plan.drawn };
        let trial = Trial { server, sequences: COST_ANSWERS, drawn, at_once };
        // Another engine's cache knows nothing of the answers; neither may this one's.
        let reader = engine(verifier.shared_model());
        let started = cpu_time();
        let answers = trial.answers(&|| progress.advance()).await?;
        let written = cpu_time();
        readings(&reader, &answers, &|| progress.advance()).await?;
        let tokens: usize = answers.iter().map(|answer| answer.completion_ids.len()).sum();
        let (Some(started), Some(written), Some(read)) = (started, written, cpu_time()) else {
            return Ok(Vec::new());
        };
        #[expect(clippy::cast_precision_loss, reason = "thousands of tokens")]
        let per_token = |time: Duration| time.as_secs_f64() * 1e3 / tokens.max(1) as f64;
        let (generate, verify) =
            (per_token(written.saturating_sub(started)), per_token(read.saturating_sub(written)));
        costs.push(Cost {
            concurrency: at_once,
            generate_ms_per_token: generate,
            verify_ms_per_token: verify,
            verify_to_generate: verify / generate.max(f64::MIN_POSITIVE),
        });
    }
    Ok(costs)
}

fn load(
    plan: &Plan,
    class: NumericClass,
    deviation: Option<Deviation>,
) -> Result<Arc<Engine>, TableError> {
    load_source(plan, &plan.source, Some(class), deviation)
}

fn load_source(
    plan: &Plan,
    source: &ModelSource,
    class: Option<NumericClass>,
    deviation: Option<Deviation>,
) -> Result<Arc<Engine>, TableError> {
    let mut options = LoadOptions::default().with_deviation(deviation);
    (options.class, options.threads) = (class, plan.threads);
    Ok(Arc::new(engine(Model::load(source, options)?)))
}

/// The engine that writes where it is not the named one.
fn load_other(
    plan: &Plan,
    class: NumericClass,
    case: Case,
) -> Result<Option<Arc<Engine>>, TableError> {
    match (&plan.other, case.deviation()) {
        (Some(source), _) if case == Case::Other => load_source(plan, source, None, None).map(Some),
        (_, Some(deviation)) => load(plan, class, Some(deviation)).map(Some),
        (_, None) => Ok(None),
    }
}

/// One class of servers before one verifier.
struct Half<'a> {
    plan: &'a Plan,
    verifier: &'a Arc<Engine>,
    honest: Arc<Engine>,
    pair: Pair,
    setting: Setting,
}

impl<'a> Half<'a> {
    async fn new(
        plan: &'a Plan,
        verifier: &'a Arc<Engine>,
        class: NumericClass,
        progress: &dyn Progress,
    ) -> Result<Self, TableError> {
        let setting = plan.setting(class);
        let honest = match setting {
            Setting::SameClass => Arc::clone(verifier),
            Setting::AcrossClasses => load(plan, class, None)?,
        };
        let known = plan
            .calibration
            .as_ref()
            .and_then(|known| known.pair(&side(&honest), &side(verifier), plan.drawn.scheme))
            .cloned()
            .or_else(|| Pair::equality(&side(&honest), &side(verifier)));
        let pair = if let Some(pair) = known {
            pair
        } else {
            let seed = plan.drawn.seed ^ CALIBRATION_SEED;
            let (sequences, max_tokens) = (plan.calibration_sequences, plan.max_tokens);
            let drawn = Drawn { seed, ..plan.drawn };
            let (setting, total) = (setting.name(), 2 * u64::from(sequences));
            progress.begin(Step { setting, case: "calibration", total });
            let sample = Sample { sequences, max_tokens, drawn };
            calibrate(&honest, verifier, sample, &|| progress.advance()).await?
        };
        Ok(Self { plan, verifier, honest, pair, setting })
    }

    async fn case(&self, case: Case, progress: &dyn Progress) -> Result<Row, TableError> {
        let plan = self.plan;
        let other = load_other(plan, self.honest.model_id().class, case)?;
        let writer = case.writer(&self.honest, other.as_deref(), plan.other.is_some());
        let (max_tokens, scheme) = (plan.max_tokens, plan.drawn.scheme);
        let server = Server { named: &self.honest, writer, max_tokens, scheme };
        let (sequences, drawn) = (plan.sequences, plan.drawn);
        let trial = Trial { server, sequences, drawn, at_once: AT_ONCE };
        let total = 2 * u64::from(plan.sequences);
        progress.begin(Step { setting: self.setting.name(), case: case.name(), total });
        let started = cpu_time();
        let answers = trial.answers(&|| progress.advance()).await?;
        let written = cpu_time();
        let read = readings(self.verifier, &answers, &|| progress.advance()).await?;
        let cost = [started, written, cpu_time()];
        Ok(self.row(case, &read, cost.map(|time| time.map(|time| time.as_secs_f64()))))
    }

    fn row(&self, case: Case, read: &[Reading], cost: [Option<f64>; 3]) -> Row {
        let by_all = convictions(read, &self.pair, Listen::All);
        let by_seed = convictions(read, &self.pair, Listen::Seed);
        let alone = read.iter().filter(|reading| {
            let mut standing = Standing::new(&self.pair, Listen::All);
            standing.observe(reading);
            standing.convicted_at.is_some()
        });
        let over = |number: fn(&Reading) -> Option<f64>| mean(read.iter().filter_map(number));
        let ratio = match cost {
            [Some(start), Some(written), Some(end)] if written > start => {
                Some((end - written) / (written - start))
            }
            _ => None,
        };
        Row {
            setting: self.setting,
            case,
            server_class: self.honest.model_id().class,
            verifier_class: self.verifier.model_id().class,
            sequences: read.len(),
            tokens: read.iter().map(|reading| reading.tokens).sum(),
            evidence_tokens: read.iter().map(Reading::evidence_tokens).sum(),
            mismatches: read.iter().map(|reading| reading.mismatches).sum(),
            seed_match: over(Reading::seed_match),
            margin_mean: over(Reading::margin_mean),
            dlogprob_mean: over(Reading::dlogprob_mean),
            fingerprint_max: read.iter().filter_map(Reading::fingerprint_max).reduce(f64::max),
            convictions: by_all.iter().flatten().count(),
            convictions_by_seed: by_seed.iter().flatten().count(),
            answers_convicted: alone.count(),
            median_evidence_tokens: median(by_all),
            median_evidence_tokens_by_seed: median(by_seed),
            bytes_per_32_tokens: leaf_bytes(self.plan.drawn.scheme),
            with_evidence: mean(read.iter().map(|reading| {
                if reading.evidence_tokens() < MIN_EVIDENCE_TOKENS { 0.0 } else { 1.0 }
            })),
            verify_to_generate: ratio,
        }
    }
}

/// One answer to `text` as a server of `case` would send it, naming the model of `plan`.
pub async fn rehearse(
    plan: &Plan,
    case: Case,
    text: &str,
    sampler: Sampler,
) -> Result<Answer, TableError> {
    let named = load(plan, plan.class, None)?;
    let other = load_other(plan, plan.class, case)?;
    let writer = case.writer(&named, other.as_deref(), plan.other.is_some());
    let (max_tokens, scheme) = (plan.max_tokens, plan.drawn.scheme);
    let server = Server { named: &named, writer, max_tokens, scheme };
    Ok(server.answer(text, sampler).await?)
}

/// Evidence tokens after which a server counts as free: over twice the largest number of tokens at
/// which a cheat is to be convicted. It bounds the time that many honest servers take.
const LONGEST_STREAM: usize = 5_000;

/// For each answer, the evidence tokens at which a server is convicted that sends that answer first,
/// then all later ones and the earlier ones again.
fn convictions(read: &[Reading], pair: &Pair, listen: Listen) -> Vec<Option<usize>> {
    let streams = (0..read.len()).map(|first| {
        let mut standing = Standing::new(pair, listen);
        for reading in read[first..].iter().chain(&read[..first]) {
            standing.observe(reading);
            if standing.convicted_at.is_some() || standing.evidence_tokens > LONGEST_STREAM {
                break;
            }
        }
        standing.convicted_at
    });
    streams.collect()
}

/// The median, counting those never convicted as later than all others.
fn median(mut at: Vec<Option<usize>>) -> Option<usize> {
    at.sort_by_key(|at| at.unwrap_or(usize::MAX));
    at.get(at.len() / 2).copied().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_counts_those_who_go_free() {
        assert_eq!(median(vec![Some(3), None, Some(1)]), Some(3));
        assert_eq!(median(vec![Some(3), None, None]), None);
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn cases_are_known_by_name() {
        assert!(Case::ALL.iter().all(|case| case.name().parse() == Ok(*case)));
        assert!("q5".parse::<Case>().is_err());
    }
}
