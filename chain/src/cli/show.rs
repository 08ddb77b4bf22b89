//! Answers as tables.

use std::io::{self, Write};

use chain_metadata::{Difference, Report, Verdict};
use comfy_table::{Cell, Color, Table, presets::NOTHING};

use super::CliError;
use crate::Metagraph;

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_header(header.iter().copied());
    table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    table
}

fn written(result: io::Result<()>) -> Result<(), CliError> {
    result.map_err(CliError::Print)
}

fn colour(verdict: &Verdict) -> Color {
    match verdict {
        Verdict::Holds => Color::Green,
        Verdict::Declared { .. } | Verdict::NotListed => Color::Yellow,
        Verdict::Missing | Verdict::Changed { .. } => Color::Red,
    }
}

/// Fact × verdict, and the count of each.
pub(super) fn report(out: &mut impl Write, report: &Report) -> Result<(), CliError> {
    let mut facts = table(&["fact", "declared", "verdict"]);
    let (mut held, mut declared, mut red) = (0, 0, 0);
    for finding in &report.findings {
        match &finding.verdict {
            Verdict::Holds => held += 1,
            Verdict::Declared { .. } | Verdict::NotListed => declared += 1,
            Verdict::Missing | Verdict::Changed { .. } => red += 1,
        }
        let verdict = Cell::new(&finding.verdict).fg(colour(&finding.verdict));
        facts.add_row(vec![Cell::new(&finding.fact), Cell::new(presence(finding)), verdict]);
    }
    let Report { spec_version, metadata_version, .. } = report;
    written(writeln!(
        out,
        "{facts}\nspec {spec_version}, metadata {metadata_version}: {held} facts hold, \
         {declared} absent as declared, {red} red"
    ))
}

/// When a fact is expected to be there.
fn presence(finding: &chain_metadata::Finding) -> String {
    match (finding.optional, finding.since, finding.until) {
        (true, ..) => "optional".to_owned(),
        (false, 0, None) => "always".to_owned(),
        (false, since, None) => format!("since {since}"),
        (false, 0, Some(until)) => format!("until {until}"),
        (false, since, Some(until)) => format!("{since} until {until}"),
    }
}

/// What an upgrade changes for us.
pub(super) fn differences(out: &mut impl Write, changes: &[Difference]) -> Result<(), CliError> {
    if changes.is_empty() {
        return written(writeln!(out, "nothing that the suite uses differs"));
    }
    let mut facts = table(&["fact", "before", "after", "verdict"]);
    for change in changes {
        let shape = |shape: &Option<String>| match shape.as_deref() {
            None => "absent".to_owned(),
            Some("") => "present".to_owned(),
            Some(shape) => shape.to_owned(),
        };
        facts.add_row(vec![
            Cell::new(&change.fact),
            Cell::new(shape(&change.before)),
            Cell::new(shape(&change.after)),
            Cell::new(&change.verdict).fg(colour(&change.verdict)),
        ]);
    }
    let red = changes.iter().filter(|change| change.verdict.is_red()).count();
    written(writeln!(out, "{facts}\n{} facts differ, {red} red", changes.len()))
}

/// A row a neuron.
pub(super) fn metagraph(out: &mut impl Write, graph: &Metagraph) -> Result<(), CliError> {
    let mut neurons = table(&[
        "uid",
        "hotkey",
        "stake",
        "permit",
        "incentive",
        "dividends",
        "vtrust",
        "emission",
        "updated",
        "axon",
    ]);
    let ratio = |proportion: u16| format!("{:.4}", f64::from(proportion) / f64::from(u16::MAX));
    for neuron in &graph.neurons {
        let axon = neuron.axon.map(|axon| format!("{}:{}", axon.ip, axon.port));
        neurons.add_row(vec![
            neuron.uid.to_string(),
            neuron.hotkey.to_string(),
            neuron.total_stake.to_string(),
            if neuron.validator_permit { "yes" } else { "" }.to_owned(),
            ratio(neuron.incentive),
            ratio(neuron.dividends),
            ratio(neuron.validator_trust),
            neuron.emission.to_string(),
            neuron.last_update.to_string(),
            axon.unwrap_or_default(),
        ]);
    }
    written(writeln!(
        out,
        "{neurons}\nsubnet {} at block {}: {} of {} slots, tempo {}, registration {}",
        graph.netuid,
        graph.block,
        graph.neurons.len(),
        graph.max_uids,
        graph.tempo,
        graph.burn,
    ))
}

/// A line a value, groups indented.
pub(super) fn object(out: &mut impl Write, value: &serde_json::Value) -> Result<(), CliError> {
    let mut values = table(&["name", "value"]);
    flatten(&mut values, value);
    written(writeln!(out, "{values}"))
}

fn flatten(values: &mut Table, value: &serde_json::Value) {
    for (name, value) in value.as_object().into_iter().flatten() {
        if value.is_object() {
            flatten(values, value);
        } else {
            values.add_row(vec![name.clone(), value.to_string()]);
        }
    }
}
