//! `model`: fetch, inspect, convert and measure models, and the evidence of what they answer.

mod show;

use std::{
    io::{self, IsTerminal as _, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand, value_parser};
use indicatif::{ProgressBar, ProgressDrawTarget};

use crate::{
    Device, DeviceError, LoadError, LoadOptions, Model, ModelSource, NumericClass, bench,
    evidence::{
        Verdict, Verifies,
        cli::{self as evidence, CommandError},
    },
    hub::{CATALOGUE, Hub},
    requantise,
};

/// Fetch, inspect, convert and measure models, and check what they answered.
#[derive(Debug, Parser)]
#[command(name = "model", version, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Download a model of the catalogue, checked against its pinned digest.
    Fetch {
        /// Its name, as `model list` gives it.
        name: String,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Say which models are known by name, and which of them are on this machine.
    List {
        /// Print one JSON array.
        #[arg(long)]
        json: bool,
    },
    /// Load a model and say what it is: its id, its shape, what it takes in memory.
    Inspect {
        #[command(flatten)]
        model: ModelArgs,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Write a GGUF file anew in another numeric class.
    ///
    /// The new file loads as exactly what the old one becomes when it is loaded in that class: the
    /// ids are equal.
    Quantize(QuantizeArgs),
    /// Measure speed, memory and perplexity.
    Bench(BenchArgs),
    /// Answer a prompt and record the evidence.
    Answer(evidence::AnswerArgs),
    /// Check recorded answers with one prefill of the model each.
    Verify(evidence::VerifyArgs),
    /// Measure how honest answers look to a verifier, and keep it in a file.
    Calibrate(evidence::CalibrateArgs),
    /// Run real cheats against the verifier, and say after how many tokens each is convicted.
    EvidenceTable(evidence::TableArgs),
}

/// Which model, in which arithmetic, on how many threads.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    /// `tiny` (shipped), a name of the catalogue, a folder with safetensors, or a .gguf file.
    model: String,
    /// Numeric class to run in; without it, the file's own.
    #[arg(long, value_parser = value_parser!(NumericClass))]
    class: Option<NumericClass>,
    /// Threads to compute with; without it, chosen by the machine.
    #[arg(long, value_parser = threads)]
    threads: Option<usize>,
    /// Where to compute: `cpu`; `cuda`, in bf16; `metal`, in bf16 or f32; or `auto`, which is `cuda` for
    /// the class bf16 where a device is, and else `cpu`.
    #[arg(long, value_parser = value_parser!(Device), default_value_t = Device::Auto)]
    device: Device,
}

impl ModelArgs {
    pub(crate) fn load(&self) -> Result<Model> {
        let Self { class, threads, device, .. } = *self;
        let options = LoadOptions { class, threads, device, ..LoadOptions::default() };
        let spinner = spinner("loading");
        let model = Model::load(&ModelSource::parse(&self.model), options)
            .with_context(|| format!("cannot load the model `{}`", self.model));
        spinner.finish_and_clear();
        model
    }
}

#[derive(Debug, clap::Args)]
struct QuantizeArgs {
    /// A .gguf file, or a name of the catalogue.
    model: String,
    /// The class to write.
    #[arg(long, value_parser = value_parser!(NumericClass))]
    class: NumericClass,
    /// The file to write; one that exists is left alone.
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
struct BenchArgs {
    #[command(flatten)]
    model: ModelArgs,
    /// Tokens of the prompt.
    #[arg(long, default_value_t = 128, value_parser = value_parser!(u32).range(1..=MOST_TOKENS))]
    prompt: u32,
    /// Tokens generated after it.
    #[arg(long, default_value_t = 64, value_parser = value_parser!(u32).range(2..=MOST_TOKENS))]
    decode: u32,
    /// Jobs at once for the aggregate.
    #[arg(long, default_value_t = 1, value_parser = value_parser!(u32).range(1..=MOST_JOBS))]
    concurrency: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Longest prompt or completion of a benchmark: beyond any context that is served here.
const MOST_TOKENS: i64 = 131_072;

/// Most jobs at once of a benchmark.
const MOST_JOBS: i64 = 256;

/// Most compute threads: more than the cores of any machine this is run on.
const MOST_THREADS: usize = 1024;

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if (1..=MOST_THREADS).contains(&threads) => Ok(threads),
        _ => Err(format!("`{text}` is not within 1..={MOST_THREADS}")),
    }
}

/// How a command ended; the number is the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, and what was checked holds.
    Done = 0,
    /// It failed, or what was checked does not hold.
    Failed = 1,
}

/// Runs one command; output on stdout, errors and progress on stderr. `verifies` checks the
/// signatures of answers.
pub fn main(args: Args, verifies: Verifies) -> Outcome {
    let mut out = io::stdout().lock();
    match run(args.command, verifies, &mut out) {
        Ok(outcome) => outcome,
        Err(error) if show::reader_has_gone(&error) => Outcome::Done,
        Err(error) => {
            // Nobody is left to tell where stderr is closed.
            drop(writeln!(io::stderr(), "{}", show::failure(&error)));
            Outcome::Failed
        }
    }
}

fn run(command: Command, verifies: Verifies, out: &mut impl Write) -> Result<Outcome> {
    match command {
        Command::Fetch { name, json } => fetch(&name, json, out)?,
        Command::List { json } => list(json, out)?,
        Command::Inspect { model, json } => show::inspection(&model.load()?, json, out)?,
        Command::Quantize(args) => quantize(&args, out)?,
        Command::Bench(args) => measure(&args, out)?,
        Command::Answer(args) => runtime()?.block_on(evidence::answer(&args, out))?,
        Command::Verify(args) => {
            let verdict = runtime()?.block_on(evidence::verify(&args, verifies, out))?;
            if verdict == Verdict::Fail {
                return Ok(Outcome::Failed);
            }
        }
        Command::Calibrate(args) => runtime()?.block_on(evidence::calibrate(&args, out))?,
        Command::EvidenceTable(args) => {
            runtime()?.block_on(evidence::evidence_table(&args, out))?;
        }
    }
    Ok(Outcome::Done)
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_time().build()
}

fn fetch(name: &str, json: bool, out: &mut impl Write) -> Result<()> {
    let known = CATALOGUE.iter().find(|model| model.name == name);
    let Some(model) = known else {
        let names: Vec<&str> = CATALOGUE.iter().map(|model| model.name).collect();
        bail!("`{name}` is not in the catalogue (known: {})", names.join(", "));
    };
    let path = Hub::from_env()?.fetch(model)?;
    show::fetched(model, &path, json, out)
}

fn list(json: bool, out: &mut impl Write) -> Result<()> {
    let hub = Hub::from_env()?;
    let known: Vec<_> = CATALOGUE.iter().map(|model| (model, hub.cached(model))).collect();
    show::catalogue(&known, json, out)
}

fn quantize(args: &QuantizeArgs, out: &mut impl Write) -> Result<()> {
    let path = match ModelSource::parse(&args.model) {
        ModelSource::Path(path) => path,
        ModelSource::Hub(model) => Hub::from_env()?.fetch(&model)?,
        ModelSource::Tiny => bail!("`tiny` ships inside the program and is no GGUF file"),
        ModelSource::Random(shape) => bail!("`{}` is no GGUF file", shape.name()),
    };
    let bar = ProgressBar::with_draw_target(None, draw_target());
    let written = requantise(&path, args.class, &args.out, |done, all| {
        bar.set_length(all);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    let written = written.with_context(|| format!("cannot convert `{}`", args.model))?;
    show::converted(&args.out, args.class, written, args.json, out)
}

fn measure(args: &BenchArgs, out: &mut impl Write) -> Result<()> {
    let model = args.model.load()?;
    let work = bench::Workload {
        prompt: args.prompt as usize,
        decode: args.decode as usize,
        concurrency: args.concurrency as usize,
    };
    let spinner = spinner("measuring");
    let measured = runtime()?.block_on(bench::measure(Arc::new(model), work));
    spinner.finish_and_clear();
    show::measured(&measured?, args.json, out)
}

/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);

pub(crate) fn spinner(what: &'static str) -> ProgressBar {
    let spinner = ProgressBar::with_draw_target(None, draw_target()).with_message(what);
    spinner.enable_steady_tick(TICK);
    spinner
}

fn draw_target() -> ProgressDrawTarget {
    if io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    }
}

/// What to try where a model does not load.
const HINT: &str = "a model is tiny, a name of `model list`, a folder with safetensors, or a .gguf \
                    file; HF_ENDPOINT names another hub";

/// What to try where a device does not do.
const DEVICE_HINT: &str = "`--device cpu` computes on this machine's processors; docs/cuda.md says \
                           what CUDA needs";

fn hint(error: &anyhow::Error) -> Option<&'static str> {
    if let Some(hint) = error.downcast_ref().and_then(CommandError::hint) {
        return Some(hint);
    }
    let of_device = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<DeviceError>()
            || matches!(cause.downcast_ref::<LoadError>(), Some(LoadError::Device(_)))
    };
    if error.chain().any(of_device) {
        return Some(DEVICE_HINT);
    }
    error.chain().any(<dyn std::error::Error + 'static>::is::<LoadError>).then_some(HINT)
}
