//! `rules yuma` and `rules swap`: recompute what a chain paid, from recorded inputs.
//!
//! An auditor brings a file of cases in the schema of the chain's recordings and gets the answers
//! of [`scoring`], which is what the local chain itself runs.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::PathBuf;

use comfy_table::{CellAlignment, Table, presets};
use scoring::fixed::U64F64;
use scoring::swap::case::{self as swap_case, Outcome as SwapOutcome, WeightOutOfBounds};
use scoring::variants::Rules;
use scoring::yuma::case::{Answered, Asked, CaseError, Cases, Outputs};
use scoring::yuma::{EpochError, EpochInput, epoch};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Version whose arithmetic is audited unless told otherwise: that of the recorded cases.
const RECORDED_SPEC: u32 = 425;

/// Rao in a TAO or an alpha.
const RAO: u64 = 1_000_000_000;

/// What to audit, and how to show it.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The cases, JSON; `-` reads standard input.
    pub file: PathBuf,
    /// Print JSON even for a single case.
    #[arg(long)]
    pub json: bool,
    /// Runtime version whose arithmetic to apply.
    #[arg(long, default_value_t = RECORDED_SPEC)]
    pub spec: u32,
}

/// Why an audit gives no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The file can't be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not of the schema.
    #[error("{} does not hold cases", file.display())]
    Schema {
        /// The file.
        file: PathBuf,
        /// Where and why.
        source: serde_json::Error,
    },
    /// The arithmetic of this version is not known.
    #[error("no rules are known for runtime {spec}; the oldest are of {RECORDED_SPEC}")]
    Spec {
        /// The version.
        spec: u32,
    },
    /// A case's lists disagree.
    #[error("case {name}")]
    Case {
        /// The case.
        name: String,
        /// How.
        source: CaseError,
    },
    /// A case is not what a chain could hold.
    #[error("case {name}")]
    Epoch {
        /// The case.
        name: String,
        /// Why.
        source: EpochError,
    },
    /// A pool's weight is out of bounds.
    #[error("case {index}")]
    Pool {
        /// The case, from 0.
        index: usize,
        /// How.
        source: WeightOutOfBounds,
    },
    /// The answer can't be written.
    #[error("cannot write the answer")]
    Write(#[from] io::Error),
}

/// Recomputes the epochs of a file.
///
/// # Errors
/// [`AuditError`]; the first case that has no answer stops the audit.
pub fn yuma(args: &Args, out: &mut impl Write) -> Result<(), AuditError> {
    let spec = args.spec;
    let rules = Rules::for_spec(spec).ok_or(AuditError::Spec { spec })?;
    let asked: Cases<Asked> = read(args)?;
    let answers = asked.cases.into_iter().map(|case| recompute(case, rules));
    let cases = Cases { cases: answers.collect::<Result<Vec<_>, _>>()? };
    print(args, &cases, out, |answer: &Answered| epoch_table(&answer.outputs))
}

/// Recomputes the swaps of a file.
///
/// # Errors
/// As [`yuma`].
pub fn swap(args: &Args, out: &mut impl Write) -> Result<(), AuditError> {
    let asked: Cases<swap_case::Asked> = read(args)?;
    let answers =
        asked.cases.into_iter().enumerate().map(|(index, case)| {
            case.answer().map_err(|source| AuditError::Pool { index, source })
        });
    let cases = Cases { cases: answers.collect::<Result<Vec<_>, _>>()? };
    print(args, &cases, out, swap_table)
}

fn recompute(case: Asked, rules: Rules) -> Result<Answered, AuditError> {
    let Asked { name, inputs } = case;
    let input = match EpochInput::try_from(inputs) {
        Ok(input) => input,
        Err(source) => return Err(AuditError::Case { name, source }),
    };
    match epoch(&input, &rules) {
        Ok(outputs) => Ok(Answered { name, outputs: outputs.into() }),
        Err(source) => Err(AuditError::Epoch { name, source }),
    }
}

fn read<C: DeserializeOwned>(args: &Args) -> Result<Cases<C>, AuditError> {
    let file = || args.file.clone();
    let from: Box<dyn Read> = if args.file.as_os_str() == "-" {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(&args.file);
        Box::new(opened.map_err(|source| AuditError::Read { file: file(), source })?)
    };
    serde_json::from_reader(BufReader::new(from))
        .map_err(|source| AuditError::Schema { file: file(), source })
}

/// One case for people is a table; anything else is JSON.
fn print<A: Serialize>(
    args: &Args,
    answers: &Cases<A>,
    out: &mut impl Write,
    table: impl Fn(&A) -> Table,
) -> Result<(), AuditError> {
    match &answers.cases[..] {
        [answer] if !args.json => writeln!(out, "{}", table(answer))?,
        _ => {
            serde_json::to_writer(&mut *out, answers).map_err(io::Error::from)?;
            writeln!(out)?;
        }
    }
    Ok(())
}

fn epoch_table(outputs: &Outputs) -> Table {
    let mut table = headed(&[
        "uid",
        "stake",
        "active",
        "permit",
        "trust",
        "consensus",
        "incentive",
        "dividends",
        "emission",
    ]);
    let yes = |flag: bool| if flag { "yes" } else { "" }.to_owned();
    for (uid, emission) in outputs.emission.iter().enumerate() {
        let proportion = |of: &[u16]| of.get(uid).map_or_else(String::new, |part| percent(*part));
        let flag = |of: &[bool]| yes(of.get(uid).copied().unwrap_or(false));
        table.add_row([
            uid.to_string(),
            proportion(&outputs.stake_weight),
            flag(&outputs.active),
            flag(&outputs.validator_permit),
            proportion(&outputs.validator_trust),
            proportion(&outputs.consensus),
            proportion(&outputs.incentive),
            proportion(&outputs.dividends),
            units(*emission),
        ]);
    }
    table
}

fn swap_table(answer: &swap_case::Answered) -> Table {
    let mut table = headed(&["swap", "paid in", "fee", "paid out"]);
    let sides = [
        ("TAO for alpha", &answer.buy_alpha_with_tao),
        ("alpha for TAO", &answer.sell_alpha_for_tao),
    ];
    for (side, outcome) in sides {
        let row = match outcome {
            SwapOutcome::Done { amount_paid_in, amount_paid_out, fee_paid } => {
                [side.to_owned(), units(*amount_paid_in), units(*fee_paid), units(*amount_paid_out)]
            }
            SwapOutcome::Refused { error } => {
                [side.to_owned(), error.clone(), String::new(), String::new()]
            }
        };
        table.add_row(row);
    }
    let price = answer.price_u64f64_bits.parse().map(U64F64::from_bits).unwrap_or_default();
    table.add_row(["price".to_owned(), format!("{price:.9}"), String::new(), String::new()]);
    table
}

fn headed(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(columns);
    table.column_iter_mut().skip(1).for_each(|column| {
        column.set_cell_alignment(CellAlignment::Right);
    });
    table
}

/// A proportion of `u16::MAX` in percent.
fn percent(part: u16) -> String {
    format!("{:.3} %", f64::from(part) * 100.0 / f64::from(u16::MAX))
}

/// Rao in whole units.
fn units(rao: u64) -> String {
    format!("{}.{:09}", rao / RAO, rao % RAO)
}
