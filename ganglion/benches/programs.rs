//! Figures of the programs as a user starts them, printed as one table: `cargo bench -p ganglion`.
//!
//! Every figure is of this run on this machine; nothing is asserted. Memory is the kernel's account
//! and is taken on Linux only.

#![expect(clippy::unwrap_used, reason = "a figure that cannot be taken stops the run")]

use std::io::{BufRead, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ganglion");
/// A chain with one subnet on which //Bob and //Charlie have slots.
const SUBNET: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/subnet.toml");
/// Starts of which the median is printed.
const STARTS: usize = 9;

fn main() {
    row("miner --help", "20 ms", millis(median(help)));
    row("exec to block 1 made and endpoint open", "20 ms", millis(median(chain_start)));
    let (weights, end) = up();
    row("up: exec to the first weights on chain", "60 s", seconds(weights));
    row("up: exec to the end of the first paid epoch", "-", seconds(end));
    memory();
}

fn help() -> Duration {
    let begun = Instant::now();
    let ended = ganglion(&["miner", "--help"]).stdout(Stdio::null()).status().unwrap();
    assert!(ended.success(), "help ended with {ended}");
    begun.elapsed()
}

fn chain_start() -> Duration {
    let begun = Instant::now();
    let mut chain = Program::start(&["localnet", "--instant", "--port", "0"]);
    chain.wait_for(Pipe::Out, "ws://");
    begun.elapsed()
}

/// Until the first weights are on chain, and until an epoch has paid by them.
fn up() -> (Duration, Duration) {
    let begun = Instant::now();
    let mut up = Program::start(&["up", "--epochs", "1", "--json"]);
    up.wait_for(Pipe::Err, "the chain holds the weights");
    let weights = begun.elapsed();
    let mut report = String::new();
    up.out.read_to_string(&mut report).unwrap();
    assert!(up.child.wait().unwrap().success(), "up failed");
    (weights, begun.elapsed())
}

/// What a miner and a validator hold once weights are on chain, in programs of their own.
fn memory() {
    let state = tempfile::tempdir().unwrap();
    let folder = |name: &str| state.path().join(name).to_string_lossy().into_owned();
    let mut chain =
        Program::start(&["localnet", "--genesis", SUBNET, "--block-ms", "250", "--port", "0"]);
    let line = chain.wait_for(Pipe::Out, "ws://");
    let url = line.split_whitespace().find(|word| word.starts_with("ws://")).unwrap();
    let subnet = ["--network", url, "--netuid", "1", "--health=false"];
    let neuron = |program: &str, hotkey: &str, state: &str| {
        let own = [program, "--wallet-hotkey", hotkey, "--state-dir", state];
        Program::start(&[&own[..], &subnet[..]].concat())
    };
    let mut miner = neuron("miner", "//Bob", &folder("miner"));
    miner.wait_for(Pipe::Err, "endpoint published");
    let mut validator = neuron("validator", "//Charlie", &folder("validator"));
    validator.wait_for(Pipe::Err, "the chain holds the weights");
    row("the model that ships: weights", "-", model_weights());
    for (name, goal, program) in [
        ("miner", "-", &miner),
        ("validator", "40 MB + model", &validator),
        ("localnet", "-", &chain),
    ] {
        for (field, goal) in [("VmHWM", goal), ("RssAnon", "-"), ("RssFile", "-")] {
            row(&format!("{name}: {field}"), goal, program.memory(field));
        }
    }
}

fn model_weights() -> String {
    let said = ganglion(&["model", "inspect", "tiny", "--json"]).output().unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    megabytes(said["weight_bytes"].as_f64().unwrap())
}

/// A running program, ended with its owner.
struct Program {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
    err: BufReader<std::process::ChildStderr>,
}

#[derive(Clone, Copy)]
enum Pipe {
    Out,
    Err,
}

impl Program {
    fn start(args: &[&str]) -> Self {
        let mut child =
            ganglion(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let err = BufReader::new(child.stderr.take().unwrap());
        Self { child, out, err }
    }

    /// Reads until a line with `text`. Programs say little, so the pipe that is not read does not
    /// fill.
    fn wait_for(&mut self, pipe: Pipe, text: &str) -> String {
        let reader: &mut dyn BufRead = match pipe {
            Pipe::Out => &mut self.out,
            Pipe::Err => &mut self.err,
        };
        let mut line = String::new();
        loop {
            line.clear();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "it ended without `{text}`");
            if line.contains(text) {
                return line;
            }
        }
    }

    /// A field of the kernel's account of the program's memory.
    fn memory(&self, field: &str) -> String {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kibibytes.map_or_else(|| "unknown".into(), |kibibytes| megabytes(kibibytes * 1024.0))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _status = self.child.wait();
    }
}

fn ganglion(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).stdin(Stdio::null());
    command
}

fn median(figure: fn() -> Duration) -> Duration {
    let mut taken: Vec<_> = (0..STARTS).map(|_| figure()).collect();
    taken.sort_unstable();
    taken[STARTS / 2]
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

fn megabytes(bytes: f64) -> String {
    format!("{:.1} MB", bytes / 1e6)
}

#[expect(clippy::print_stdout, reason = "the table is the program's output")]
fn row(what: &str, goal: &str, measured: impl std::fmt::Display) {
    println!("{what:<48} {goal:>14} {measured:>12}");
}
