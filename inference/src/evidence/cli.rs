//! `model answer | verify | calibrate | evidence-table`.

use std::{
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use clap::{Args, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{
    Answer, AnswerError, Binding, Bytes32, Calibration, CalibrationError, Drawn, Pair, Reading,
    Report, Sample, Sampler, Scheme, Side, TrialError, Verdict, Verifies,
    calibrate as measure_pair, read as read_answer, side,
    table::{self, Case, Plan, Progress, Row, Step, Table, TableError},
};
use crate::{
    Engine, EngineOptions, LoadError, LoadOptions, Model, ModelId, ModelSource, NumericClass,
};

/// How answers are drawn.
#[derive(Debug, Args)]
struct Draw {
    /// Most tokens of an answer.
    #[arg(long, default_value_t = 96, value_parser = value_parser!(u32).range(1..=4096))]
    tokens: u32,
    /// The divisor of logits.
    #[arg(long, default_value_t = 0.8)]
    temperature: f32,
    /// Fixes prompts and draws.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How hidden states are fingerprinted: `sketches`, or `toploc`, which sends twice the bytes.
    #[arg(long, default_value = "sketches")]
    fingerprint: Scheme,
    /// Compute threads; one core is left free unless told otherwise.
    #[arg(long)]
    threads: Option<usize>,
}

impl Draw {
    const fn drawn(&self) -> Drawn {
        let Self { seed, temperature, fingerprint, .. } = *self;
        Drawn { seed, temperature, scheme: fingerprint }
    }
}

/// Answer a prompt and record the evidence.
#[derive(Debug, Args)]
pub struct AnswerArgs {
    /// `tiny`, a name of `model list`, or a path.
    model: String,
    /// What to answer; a chat turn where the model has a template.
    #[arg(long)]
    prompt: String,
    /// The class to run in; the file's own where left out.
    #[arg(long)]
    class: Option<NumericClass>,
    #[command(flatten)]
    draw: Draw,
    /// Fix the seed by a validator's nonce (64 hex digits) in place of --seed.
    #[arg(long, requires = "hotkey", value_parser = bytes32)]
    nonce: Option<Bytes32>,
    /// The public key (64 hex digits) that the seed is bound to.
    #[arg(long, requires = "nonce", value_parser = bytes32)]
    hotkey: Option<Bytes32>,
    /// Answer as a cheat would, to see the evidence at work.
    #[arg(long, default_value = "honest")]
    rehearse: Case,
    /// Where to write the answer; standard output where left out.
    #[arg(long, short)]
    out: Option<PathBuf>,
}

/// Check recorded answers with one prefill of the model each.
///
/// Exits with 1 where the verdict is `fail`, and where the answer is refused.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The recorded answer; several of one server are judged together.
    #[arg(required = true, value_name = "ANSWER.json")]
    answers: Vec<PathBuf>,
    /// The model that it should come from: `tiny`, a name of `model list`, or a path.
    #[arg(long)]
    model: String,
    /// The class to check in; the answer's own where left out.
    #[arg(long)]
    class: Option<NumericClass>,
    /// What honest answers look like, from `model calibrate`.
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// Compute threads.
    #[arg(long)]
    threads: Option<usize>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Measure how honest answers look to a verifier, and keep it in a file.
#[derive(Debug, Args)]
pub struct CalibrateArgs {
    /// `tiny`, a name of `model list`, or a path.
    model: String,
    /// The verifier's class.
    #[arg(long, default_value = "f32")]
    class: NumericClass,
    /// Classes of servers, by commas; the verifier's own and bf16 where left out.
    #[arg(long, value_delimiter = ',')]
    server_class: Vec<NumericClass>,
    /// Honest answers measured for each pair.
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=100_000))]
    sequences: u32,
    #[command(flatten)]
    draw: Draw,
    /// The file; pairs already in it stay. `NAME.calibration.json` here where left out.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Print the measurements as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Run real cheats against the verifier and say after how many tokens each is convicted.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
pub struct TableArgs {
    /// `tiny`, a name of `model list`, or a path.
    model: String,
    /// What servers do, by commas.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "honest,q8,q4,fp8,kv8,drop,prompt,other,forger"
    )]
    cases: Vec<Case>,
    /// Answers a case.
    #[arg(long, default_value_t = 200, value_parser = value_parser!(u32).range(1..=100_000))]
    sequences: u32,
    #[command(flatten)]
    draw: Draw,
    /// The verifier's class, and the servers' in the same-class half.
    #[arg(long, default_value = "f32")]
    class: NumericClass,
    /// The servers' class in the other half.
    #[arg(long, default_value = "bf16", conflicts_with = "same_class_only")]
    across: NumericClass,
    /// Leave the other half out.
    #[arg(long)]
    same_class_only: bool,
    /// Leave the same-class half out.
    #[arg(long, conflicts_with = "same_class_only")]
    across_only: bool,
    /// Time how long honest answers take to write, alone and together, and to verify.
    #[arg(long)]
    cost: bool,
    /// Who writes in the case `other`; a close relative of the model where left out.
    #[arg(long)]
    other: Option<String>,
    /// Measurements to use in place of new ones.
    #[arg(long)]
    calibration: Option<PathBuf>,
    /// Honest answers measured first; as many as --sequences where left out.
    #[arg(long)]
    calibration_sequences: Option<u32>,
    /// Keep the table in this file, line by line as they are done; a later run goes on with it.
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// A command that could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The model does not load.
    #[error("the model does not load")]
    Load(#[from] LoadError),
    /// The file is no answer, or an altered one.
    #[error("the answer is refused")]
    Answer(#[from] AnswerError),
    /// The calibration cannot be used.
    #[error("the calibration is refused")]
    Calibration(#[from] CalibrationError),
    /// The answer names a model that is not the one given.
    #[error("a foreign answer: it names {named}, and the model given is {loaded}")]
    Foreign {
        /// What the answer names.
        named: ModelId,
        /// What was loaded in its class.
        loaded: ModelId,
    },
    /// No file was given.
    #[error("no answer was given")]
    NoAnswer,
    /// Answers of more than one server cannot be judged together.
    #[error("answers of different servers ({first} and {other}, or other keys or samplers)")]
    Mixed {
        /// What the first answer names.
        first: ModelId,
        /// What another names.
        other: ModelId,
    },
    /// Nobody measured this pair.
    #[error("no calibration of {server} seen from {verifier} through {scheme}")]
    Uncalibrated {
        /// How hidden states were fingerprinted.
        scheme: Scheme,
        /// Who answered.
        server: Box<Side>,
        /// Who checks.
        verifier: Box<Side>,
    },
    /// Computing failed.
    #[error("computing failed")]
    Trial(#[from] TrialError),
    /// The table could not be made.
    #[error("the table could not be made")]
    Table(#[from] TableError),
    /// The file to go on with holds no table.
    #[error("cannot go on with {path}")]
    Before {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or the terminal cannot be written.
    #[error("cannot write {what}")]
    Write {
        /// What.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// A result that is no JSON.
    #[error("cannot print as JSON")]
    Json(#[from] serde_json::Error),
}

impl CommandError {
    /// What to do about it.
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Foreign { .. } => Some(
                "give the model that the answer names, or its own class by leaving --class out",
            ),
            Self::Uncalibrated { .. } => Some(
                "measure the pair with `model calibrate MODEL --class VERIFIER --server-class SERVER \
                 --fingerprint SCHEME` and pass the file with --calibration",
            ),
            Self::Answer(AnswerError::Truncated { .. }) => Some("fetch the file again"),
            Self::Before { .. } | Self::Table(TableError::Another) => {
                Some("give another file with --out, or the arguments that this one was made with")
            }
            _ => None,
        }
    }
}

fn bytes32(text: &str) -> Result<Bytes32, String> {
    serde_json::from_value(text.into()).map_err(|error| error.to_string())
}

fn engine(
    source: &ModelSource,
    class: Option<NumericClass>,
    threads: Option<usize>,
) -> Result<Engine, LoadError> {
    let mut options = LoadOptions::default();
    (options.class, options.threads) = (class, threads);
    Ok(Engine::start(Model::load(source, options)?, EngineOptions::default()))
}

fn written(what: &str) -> impl Fn(io::Error) -> CommandError {
    move |source| CommandError::Write { what: what.to_owned(), source }
}

fn print_json(out: &mut impl Write, value: &impl serde::Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value)?;
    writeln!(out, "{text}").map_err(written("the result"))
}

/// `model answer`.
pub async fn answer(args: &AnswerArgs, out: &mut impl Write) -> Result<(), CommandError> {
    let source = ModelSource::parse(&args.model);
    let class = match args.class {
        Some(class) => class,
        None => engine(&source, None, args.draw.threads)?.model_id().class,
    };
    let binding = args.nonce.zip(args.hotkey).map(|(nonce, hotkey)| {
        let request = request_digest(&args.prompt, args.draw.tokens, args.draw.temperature);
        Binding { nonce, hotkey, request }
    });
    let seed = binding.map_or(args.draw.seed, |binding| binding.seed());
    let temperature = args.draw.temperature;
    let sampler = Sampler::Seeded { temperature, seed, binding };
    let plan = Plan {
        source,
        cases: vec![args.rehearse],
        sequences: 1,
        max_tokens: args.draw.tokens,
        drawn: Drawn { seed, ..args.draw.drawn() },
        class,
        same_class: true,
        cost: false,
        across: None,
        other: None,
        calibration_sequences: 0,
        calibration: None,
        threads: args.draw.threads,
    };
    let answer = table::rehearse(&plan, args.rehearse, &args.prompt, sampler).await?;
    match &args.out {
        None => print_json(out, &answer),
        Some(path) => write_json(path, &answer),
    }
}

/// SHA-256 of a prompt, its bound and its temperature, each with its length before it.
fn request_digest(prompt: &str, tokens: u32, temperature: f32) -> Bytes32 {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for part in [prompt.as_bytes(), &tokens.to_le_bytes(), &temperature.to_le_bytes()] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    Bytes32(digest.finalize().into())
}

/// Whole or not at all: beside the file first, then in its place.
fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(written(&path.display().to_string()))
}

/// `model verify`.
pub async fn verify(
    args: &VerifyArgs,
    verifies: Verifies,
    out: &mut impl Write,
) -> Result<Verdict, CommandError> {
    let answers: Vec<Answer> =
        args.answers.iter().map(|path| Answer::read(path)).collect::<Result<_, _>>()?;
    let signers: Vec<Option<Bytes32>> =
        answers.iter().map(|answer| answer.signer(verifies)).collect::<Result<_, _>>()?;
    let [answer, rest @ ..] = answers.as_slice() else { return Err(CommandError::NoAnswer) };
    if let Some(other) = rest.iter().find(|other| !same_server(answer, other)) {
        return Err(CommandError::Mixed { first: answer.model, other: other.model });
    }
    let calibration = args.calibration.as_deref().map(Calibration::read).transpose()?;
    let source = ModelSource::parse(&args.model);
    let verifier = engine(&source, args.class.or(Some(answer.model.class)), args.threads)?;
    let pair = pair(answer, &verifier, calibration.as_ref())?;
    let seeded = answer.sampler.is_seeded();
    let mut reading = Reading::default();
    for answer in &answers {
        reading = reading.then(read_answer(&verifier, answer).await?);
    }
    let mut report = Report::new(&reading, &pair, seeded);
    report.reasons.push(match signers.first() {
        Some(Some(key)) => format!("signed by {}", hex::encode(key.0)),
        _ => "nobody signed it: whose answer it is must be known from elsewhere".to_owned(),
    });
    if args.json {
        print_json(out, &report)?;
    } else {
        print_report(out, &report, answer).map_err(written("the report"))?;
    }
    Ok(report.verdict)
}

/// Whether two answers say that they come from one server's model, drawn in one way.
fn same_server(a: &Answer, b: &Answer) -> bool {
    let key = |answer: &Answer| answer.signature.as_ref().map(|signature| signature.hotkey);
    let seeded = |answer: &Answer| answer.sampler.is_seeded();
    let states = |answer: &Answer| answer.fingerprint.scheme();
    (a.model, &a.engine, key(a), seeded(a), states(a))
        == (b.model, &b.engine, key(b), seeded(b), states(b))
}

/// How an honest answer of the server would look: measured, or equal to the bit.
fn pair(
    answer: &Answer,
    verifier: &Engine,
    calibration: Option<&Calibration>,
) -> Result<Pair, CommandError> {
    let server = Side { model: answer.model, engine: answer.engine.clone() };
    let own = side(verifier);
    let scheme = answer.fingerprint.scheme();
    let known = calibration.and_then(|calibration| calibration.pair(&server, &own, scheme));
    if let Some(pair) = known.cloned().or_else(|| Pair::equality(&server, &own)) {
        return Ok(pair);
    }
    if server.model.class == own.model.class && server.model != own.model {
        return Err(CommandError::Foreign { named: server.model, loaded: own.model });
    }
    Err(CommandError::Uncalibrated { scheme, server: Box::new(server), verifier: Box::new(own) })
}

fn print_report(out: &mut impl Write, report: &Report, answer: &Answer) -> io::Result<()> {
    writeln!(out, "verdict          {}", report.verdict)?;
    writeln!(out, "model            {}", answer.model.short())?;
    writeln!(out, "tokens           {} ({} with a choice)", report.tokens, report.evidence_tokens)?;
    for (name, number) in [
        ("seed match", report.seed_match),
        ("margin, mean", report.margin_mean),
        ("Δ logprob, mean", report.dlogprob_mean),
        ("fingerprint, max", report.fingerprint_max),
    ] {
        writeln!(
            out,
            "{name:<16} {}",
            number.map_or_else(|| "–".to_owned(), |x| format!("{x:.4}"))
        )?;
    }
    for reason in &report.reasons {
        writeln!(out, "· {reason}")?;
    }
    Ok(())
}

/// `model calibrate`.
pub async fn calibrate(args: &CalibrateArgs, out: &mut impl Write) -> Result<(), CommandError> {
    let source = ModelSource::parse(&args.model);
    let path = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(format!("{}.calibration.json", source.name())));
    let mut calibration =
        if path.exists() { Calibration::read(&path)? } else { Calibration::new(&source.name()) };
    let verifier = engine(&source, Some(args.class), args.draw.threads)?;
    let classes = if args.server_class.is_empty() {
        vec![args.class, NumericClass::Bf16]
    } else {
        args.server_class.clone()
    };
    let (max_tokens, drawn) = (args.draw.tokens, args.draw.drawn());
    let sample = Sample { sequences: args.sequences, max_tokens, drawn };
    let progress = Bar::default();
    for class in classes {
        let own = class == args.class;
        let other = if own { None } else { Some(engine(&source, Some(class), args.draw.threads)?) };
        let total = 2 * u64::from(args.sequences);
        progress.begin(Step { setting: "calibration", case: class.name(), total });
        let server = other.as_ref().unwrap_or(&verifier);
        let pair = measure_pair(server, &verifier, sample, &|| progress.advance()).await?;
        calibration.put(pair);
    }
    progress.end();
    write_json(&path, &calibration)?;
    if args.json {
        return print_json(out, &calibration);
    }
    print_calibration(out, &calibration, &path).map_err(written("the result"))?;
    let digest = hex::encode(calibration.digest()?.0);
    writeln!(out, "digest {digest} (what a rule names)").map_err(written("the result"))
}

fn print_calibration(
    out: &mut impl Write,
    calibration: &Calibration,
    path: &Path,
) -> io::Result<()> {
    for pair in &calibration.pairs {
        writeln!(out, "{} seen from {}", pair.server, pair.verifier)?;
        writeln!(
            out,
            "  {} answers, {} tokens, {} with a choice{}",
            pair.sequences,
            pair.tokens,
            pair.evidence_tokens,
            if pair.exact { ": equal to the bit" } else { "" }
        )?;
        for (name, spread) in [
            ("margin", &pair.margin),
            ("Δ logprob", &pair.dlogprob),
            ("fingerprint", &pair.fingerprint),
            ("surprisal", &pair.surprisal),
        ] {
            writeln!(
                out,
                "  {name:<12} p50 {:.4}  p90 {:.4}  p99 {:.4}  max {:.4}",
                spread.p50, spread.p90, spread.p99, spread.max
            )?;
        }
    }
    writeln!(out, "written to {}", path.display())
}

/// `model evidence-table`.
pub async fn evidence_table(args: &TableArgs, out: &mut impl Write) -> Result<(), CommandError> {
    let plan = Plan {
        source: ModelSource::parse(&args.model),
        cases: args.cases.clone(),
        sequences: args.sequences,
        max_tokens: args.draw.tokens,
        drawn: args.draw.drawn(),
        class: args.class,
        same_class: !args.across_only,
        cost: args.cost,
        across: (!args.same_class_only && args.across != args.class).then_some(args.across),
        other: args.other.as_deref().map(ModelSource::parse),
        calibration_sequences: args.calibration_sequences.unwrap_or(args.sequences),
        calibration: args.calibration.as_deref().map(Calibration::read).transpose()?,
        threads: args.draw.threads,
    };
    let before = args.out.as_deref().map(so_far).transpose()?.flatten();
    let progress = Bar { kept: args.out.clone(), ..Bar::default() };
    let table = table::run(&plan, before, &progress).await?;
    progress.end();
    // What could not be kept on the way is an error in the end.
    if let Some(path) = &args.out {
        write_json(path, &table)?;
    }
    if args.json {
        return print_json(out, &table);
    }
    print_table(out, &table).map_err(written("the table"))
}

/// The table of an earlier run; `None` where there is no such file.
fn so_far(path: &Path) -> Result<Option<Table>, CommandError> {
    let refused = |source| CommandError::Before { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(MAX_TABLE_BYTES).read_to_end(&mut bytes).map_err(refused)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| refused(error.into()))
}

/// A table has tens of lines.
const MAX_TABLE_BYTES: u64 = 1 << 20;

fn print_table(out: &mut impl Write, table: &Table) -> io::Result<()> {
    writeln!(
        out,
        "{} ({}), {} answers of at most {} tokens a case, T = {}, α = {:e}",
        table.model,
        table.model_id.short(),
        table.sequences,
        table.max_tokens,
        table.temperature,
        table.alpha
    )?;
    for cost in &table.cost {
        writeln!(
            out,
            "{:>2} at once: {:.2} ms to write a token, {:.2} to verify it: {:.2}",
            cost.concurrency,
            cost.generate_ms_per_token,
            cost.verify_ms_per_token,
            cost.verify_to_generate
        )?;
    }
    let mut setting = None;
    for row in &table.cases {
        if setting.replace(row.setting) != Some(row.setting) {
            writeln!(
                out,
                "\n{}: server {}, verifier {}",
                row.setting.name(),
                row.server_class,
                row.verifier_class
            )?;
            writeln!(
                out,
                "{:<8}{:>8}{:>9}{:>10}{:>8}{:>9}{:>8}{:>11}{:>8}{:>11}{:>8}",
                "case",
                "tokens",
                "evidence",
                "mismatch",
                "match",
                "margin",
                "states",
                "convicted",
                "median",
                "seed only",
                "verify"
            )?;
        }
        print_row(out, row)?;
    }
    Ok(())
}

fn print_row(out: &mut impl Write, row: &Row) -> io::Result<()> {
    let number =
        |x: Option<f64>, places: usize| x.map_or("–".to_owned(), |x| format!("{x:.places$}"));
    let count = |x: Option<usize>| x.map_or("–".to_owned(), |x| x.to_string());
    let convicted = format!("{}/{}", row.convictions, row.sequences);
    writeln!(
        out,
        "{:<8}{:>8}{:>9}{:>10}{:>8}{:>9}{:>8}{convicted:>11}{:>8}{:>11}{:>8}",
        row.case,
        row.tokens,
        row.evidence_tokens,
        row.mismatches,
        number(row.seed_match, 4),
        number(row.margin_mean, 4),
        number(row.fingerprint_max, 3),
        count(row.median_evidence_tokens),
        count(row.median_evidence_tokens_by_seed),
        number(row.verify_to_generate, 2)
    )
}

/// A bar on a terminal, a line a step elsewhere.
#[derive(Debug, Default)]
struct Bar {
    shown: std::cell::RefCell<Option<ProgressBar>>,
    /// Where a table is kept while it grows.
    kept: Option<PathBuf>,
}

/// The bar's looks; a template that indicatif refuses leaves the default looks.
const BAR: &str = "{msg:<28} {bar:30} {pos}/{len} {eta}";

impl Bar {
    fn end(&self) {
        if let Some(bar) = self.shown.take() {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
    fn begin(&self, step: Step<'_>) {
        self.end();
        let name = format!("{} {}", step.setting, step.case);
        let bar = ProgressBar::with_draw_target(Some(step.total), ProgressDrawTarget::stderr());
        if bar.is_hidden() {
            // A closed stderr leaves nobody to tell.
            drop(writeln!(io::stderr(), "{name}: {} answers to write and read", step.total / 2));
        }
        if let Ok(style) = ProgressStyle::with_template(BAR) {
            bar.set_style(style);
        }
        bar.set_message(name);
        self.shown.replace(Some(bar));
    }

    fn advance(&self) {
        if let Some(bar) = &*self.shown.borrow() {
            bar.inc(1);
        }
    }

    fn row(&self, so_far: &Table) {
        self.end();
        // A run takes hours on a large model: what is known is said and kept at once. A closed stderr
        // leaves nobody to tell.
        if let Some(row) = so_far.cases.last() {
            drop(print_row(&mut io::stderr(), row));
        }
        if let Some(path) = &self.kept
            && let Err(error) = write_json(path, so_far)
        {
            tracing::warn!(%error, path = %path.display(), "the table so far could not be kept");
        }
    }
}
