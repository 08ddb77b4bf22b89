//! What rules in Starlark cost, printed as one table: `cargo bench -p subnet-rules`.
//!
//! Every figure is of this run on this machine; nothing is asserted.

#![expect(clippy::unwrap_used, reason = "a figure that cannot be taken stops the run")]

#[path = "../tests/support/runaways.rs"]
mod runaways;

use std::time::{Duration, Instant};

use runaways::RUNAWAYS;
use serde_json::{Value, json};
use subnet_rules::star::{Host, HostError, Limits, Program};

/// The rule that ships in Starlark.
const LEDGER: &str = include_str!("../src/rules/ledger/rule.star");
/// Starts of which the median and the slowest are printed.
const STARTS: usize = 41;
/// What a runaway may take.
const BUDGET: Duration = Duration::from_millis(500);

fn main() {
    let mut starts: Vec<Duration> = (0..STARTS).map(|_| started(LEDGER)).collect();
    starts.sort_unstable();
    row("start of a rule, median", "10 ms", millis(starts[STARTS / 2]));
    row("start of a rule, slowest", "-", millis(starts[STARTS - 1]));
    let mut host = Host::start(&program(), "f", "def f(x): return x", json!({}), Limits::default());
    let host = host.as_mut().unwrap();
    let begun = Instant::now();
    for _ in 0..1000 {
        host.call("f", vec![json!([1, 2, 3])], None).unwrap();
    }
    row("a call and its answer, mean of 1,000", "-", millis(begun.elapsed() / 1000));
    let before = resident();
    for (name, source) in RUNAWAYS {
        let begun = Instant::now();
        assert!(run(source).is_err(), "{name} came to an end");
        let late = begun.elapsed().saturating_sub(BUDGET);
        row(&format!("{name}: past its budget of 500 ms"), "100 ms", millis(late));
    }
    let grown = (resident() - before).max(0.0);
    row("the parent's memory grew by", "0 MB", format!("{:.1} MB", grown / 1e6));
}

fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_subnet-rules"), &["host"])
}

/// From nothing to a rule that was read and answers.
fn started(source: &str) -> Duration {
    let begun = Instant::now();
    let host = Host::start(&program(), "rule.star", source, json!({}), Limits::default());
    let took = begun.elapsed();
    drop(host.unwrap());
    took
}

fn run(source: &str) -> Result<Value, HostError> {
    let limits = Limits { time: BUDGET, ..Limits::default() };
    Host::start(&program(), "rule.star", source, json!({}), limits)?.call("f", vec![], None)
}

/// Resident bytes of this process; 0 where the kernel does not say.
fn resident() -> f64 {
    const PAGE: f64 = 4096.0;
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    pages.unwrap_or(0.0) * PAGE
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1e3)
}

#[expect(clippy::print_stdout, reason = "the table is the program's output")]
fn row(what: &str, goal: &str, measured: impl std::fmt::Display) {
    println!("{what:<56} {goal:>8} {measured:>12}");
}
