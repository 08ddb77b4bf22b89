//! Tables for people.

use std::io::{self, Write};

use chain_metadata::Hotkey;
use comfy_table::{Table, presets};
use scoring::book::Worth;

use crate::arena::{Report, Sweep};
use crate::manifest::Code;
use crate::package::Package;
use crate::session::Settlement;

/// Digits of an address that a table shows: enough to find it.
const ADDRESS_SHOWN: usize = 8;

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header);
    table
}

/// The rules that ship.
pub(super) fn rules(shipped: &[Package], out: &mut impl Write) -> io::Result<()> {
    let mut rules = table(&["rule", "version", "written in", "paid by", "digest"]);
    for package in shipped {
        let manifest = &package.manifest;
        rules.add_row([
            manifest.name.to_string(),
            manifest.version.to_string(),
            code(&manifest.code).to_owned(),
            manifest.pay.shape.name().to_owned(),
            package.digest().short(),
        ]);
    }
    writeln!(out, "{rules}")
}

/// How a rule is written.
pub(super) const fn code(code: &Code) -> &'static str {
    match code {
        Code::Native(_) => "this program",
        Code::Starlark => "starlark",
        Code::Compose(_) => "composition",
    }
}

/// Who earned what, and whether bounds and laws held.
pub(super) fn report(report: &Report, out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{}: {} epochs, seed {}, rule {}",
        report.rule,
        report.epochs,
        report.seed,
        report.digest.short()
    )?;
    let mut actors = table(&["who", "count", "share", "each", "convicted", "median epoch"]);
    for actor in &report.actors {
        let epoch = actor.median_epoch_convicted.map(|epoch| epoch.to_string());
        actors.add_row([
            actor.kind.to_owned(),
            actor.count.to_string(),
            format!("{:.4}", actor.share),
            format!("{:.4}", actor.share_per_identity),
            actor.convicted.to_string(),
            epoch.unwrap_or_default(),
        ]);
    }
    writeln!(out, "{actors}")?;
    let word = |holds| if holds { "holds" } else { "BROKEN" };
    let mut verdicts = table(&["", "", ""]);
    for bound in &report.bounds {
        let name = format!("{} {}", bound.name, bound.limit);
        verdicts.add_row([name, word(bound.holds).into(), format!("{:.4}", bound.value)]);
    }
    for law in &report.laws {
        verdicts.add_row([law.name.to_owned(), law.outcome.word().into(), law.detail.clone()]);
    }
    writeln!(out, "{verdicts}")?;
    writeln!(out, "{} tasks drawn", report.draws)?;
    if let Some(apart) = report.apart_from_chain {
        writeln!(
            out,
            "played on a chain; epochs computed in process differ by at most {apart:.6}"
        )?;
    }
    writeln!(out, "log digest {}", report.log_digest)
}

/// Every season of a sweep, and where the rule is safe.
pub(super) fn sweep(sweep: &Sweep, out: &mut impl Write) -> io::Result<()> {
    let (rule, epochs, seed) = (&sweep.rule, sweep.epochs, sweep.seed);
    writeln!(out, "{rule}: {} seasons of {epochs} epochs, seed {seed}", sweep.points.len())?;
    let mut seasons = table(&["kappa", "stake in league", "cheats", "they earned", "", "broken"]);
    let kappa = |kappa: u16| format!("{:.2}", f64::from(kappa) / f64::from(u16::MAX));
    for point in &sweep.points {
        seasons.add_row([
            kappa(point.hyperparameters.kappa),
            format!("{:.2}", point.stake_in_league),
            format!("{:.2}", point.cheats),
            format!("{:.4}", point.earned_by_cheats),
            if point.holds { "holds" } else { "BROKEN" }.to_owned(),
            point.broken.join(", "),
        ]);
    }
    writeln!(out, "{seasons}")?;
    for region in &sweep.safe {
        let kappa = kappa(region.hyperparameters.kappa);
        match (region.stake_in_league, region.times) {
            (Some(league), Some(times)) => writeln!(
                out,
                "kappa {kappa}: safe with up to {league:.2} of stake in league and {times} times the cheats"
            )?,
            _ => writeln!(out, "kappa {kappa}: safe nowhere in this sweep")?,
        }
    }
    Ok(())
}

/// What a validator thinks of each miner, and why.
pub(super) fn settlement(
    validator: &Hotkey,
    epoch: u64,
    settlement: &Settlement,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "validator {}, epoch {epoch}", short(validator))?;
    let mut rows = table(&["miner", "worth", "gates", "factors: paid (low to high, samples)"]);
    for (hotkey, assessment) in &settlement.assessments {
        let worth = match &assessment.worth {
            Worth::Worth(worth) => format!("{worth:.4}"),
            Worth::Gated { track, .. } => format!("0: {track}"),
            Worth::Unknown { track } => format!("unknown: {track}"),
        };
        let gates: Vec<_> = assessment
            .gates
            .iter()
            .map(|(track, verdict)| format!("{track} {verdict:?}"))
            .collect();
        let factors: Vec<_> = assessment
            .factors
            .iter()
            .map(|(track, one)| {
                let (value, low, high, samples) = (one.value, one.low, one.high, one.samples);
                format!("{track} {value:.3} ({low:.3} to {high:.3}, {samples})")
            })
            .collect();
        rows.add_row([short(hotkey), worth, gates.join(", "), factors.join(", ")]);
    }
    writeln!(out, "{rows}")
}

fn short(hotkey: &Hotkey) -> String {
    hotkey.to_string().chars().take(ADDRESS_SHOWN).collect()
}
