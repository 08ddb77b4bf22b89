//! The live table: the report as lines of text (pure), and the terminal that redraws them in place.

use std::io::{IsTerminal as _, Write};
use std::sync::Arc;

use comfy_table::{
    Attribute, Cell, CellAlignment, Color, ContentArrangement, Table, TableComponent, presets,
};
use crossterm::{cursor, queue, style, terminal};
use parking_lot::Mutex;

use super::report::{MinerReport, Report, ValidatorReport, alpha};

/// Columns where no terminal says how wide it is.
const PLAIN_WIDTH: u16 = 100;

/// Columns to draw in.
pub(super) fn width() -> u16 {
    terminal::size().map_or(PLAIN_WIDTH, |(columns, _)| columns)
}

/// What the header shows beside the report.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// Where clients connect.
    pub(super) endpoint: String,
    /// The newest final block.
    pub(super) block: u64,
    /// Blocks until the subnet's next epoch.
    pub(super) until_epoch: u64,
    /// What is going on, in a few words.
    pub(super) phase: String,
}

/// The report at a moment, as a person reads it, in lines of at most `width` columns.
pub(super) fn render(report: &Report, moment: &Moment, width: u16) -> String {
    let head = [
        format!("subnet {} on {}   {}", report.netuid, moment.endpoint, moment.phase),
        format!(
            "block {}   epoch {} (the next in {} blocks)   rule {}{}",
            moment.block,
            report.epochs,
            moment.until_epoch,
            report.rule,
            report.model.as_ref().map_or_else(String::new, |model| format!(
                "   model {} {}:{}",
                model.name,
                short(&model.digest),
                model.numeric_class
            )),
        ),
    ];
    let mut text = String::new();
    for line in head {
        text.extend(line.chars().take(width.into()));
        text.push('\n');
    }
    for table in [miners(&report.miners), validators(&report.validators)] {
        let mut table = table;
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        text.push('\n');
        text.push_str(&table.to_string());
        text.push('\n');
    }
    text
}

fn miners(rows: &[MinerReport]) -> Table {
    let mut table =
        plain(&["miner", "kind", "uid", "requests", "score", "identity", "incentive", "earned"]);
    for row in rows {
        let earned = row.alpha_stake_after.rao().saturating_sub(row.alpha_stake_before.rao());
        table.add_row(vec![
            Cell::new(&row.name).add_attribute(Attribute::Bold),
            Cell::new(&row.kind),
            right(row.uid),
            right(row.requests),
            right(row.score.map_or_else(|| "–".to_owned(), |score| format!("{score:.3}"))),
            verdict(&row.identity),
            right(format!("{:.3}", row.incentive)),
            right(alpha(chain_metadata::Alpha(earned))),
        ]);
    }
    table
}

fn validators(rows: &[ValidatorReport]) -> Table {
    let mut table = plain(&["validator", "uid", "trust", "dividends", "weights set"]);
    for row in rows {
        table.add_row(vec![
            Cell::new(&row.name).add_attribute(Attribute::Bold),
            right(row.uid),
            right(format!("{:.3}", row.validator_trust)),
            right(format!("{:.3}", row.dividends)),
            right(row.weights_set),
        ]);
    }
    table
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::UTF8_HORIZONTAL_ONLY).set_header(header);
    // A line under each row would halve what fits.
    table.remove_style(TableComponent::HorizontalLines);
    table.remove_style(TableComponent::MiddleIntersections);
    table
}

fn right(value: impl ToString) -> Cell {
    Cell::new(value).set_alignment(CellAlignment::Right)
}

fn verdict(identity: &str) -> Cell {
    let cell = Cell::new(identity);
    match identity {
        "pass" => cell.fg(Color::Green),
        "fail" => cell.fg(Color::Red),
        _ => cell.fg(Color::DarkGrey),
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// A place to draw: in place on a terminal, nothing elsewhere (there, lines tell the story).
#[derive(Debug, Clone, Default)]
pub(super) struct Screen {
    pane: Option<Arc<Mutex<Pane>>>,
}

impl Screen {
    /// Draws only when standard output is a terminal.
    pub(super) fn of_terminal() -> Self {
        let pane = std::io::stdout().is_terminal().then(Arc::default);
        Self { pane }
    }

    /// Whether a person is looking at a live table.
    pub(super) const fn is_interactive(&self) -> bool {
        self.pane.is_some()
    }

    /// Where log lines go: above the table, if they are meant for the same terminal.
    pub(super) fn log(&self) -> Log {
        Log { pane: self.pane.clone().filter(|_| std::io::stderr().is_terminal()) }
    }

    /// Prints text that stays above the table.
    pub(super) fn print(&self, text: &str) -> std::io::Result<()> {
        match &self.pane {
            Some(pane) => pane.lock().insert(&format!("{text}\n")),
            None => Ok(()),
        }
    }

    /// Replaces what was drawn before.
    pub(super) fn draw(&self, text: &str) -> std::io::Result<()> {
        match &self.pane {
            Some(pane) => pane.lock().draw(text),
            None => Ok(()),
        }
    }
}

/// What is drawn now, at the bottom of the terminal.
#[derive(Debug, Default)]
struct Pane {
    shown: String,
}

impl Pane {
    fn draw(&mut self, text: &str) -> std::io::Result<()> {
        let fits = terminal::size().map_or(usize::MAX, |(_, rows)| usize::from(rows) - 1);
        let shown: String = text.lines().take(fits).flat_map(|line| [line, "\n"]).collect();
        self.replace("", shown)
    }

    fn insert(&mut self, above: &str) -> std::io::Result<()> {
        let shown = self.shown.clone();
        self.replace(above, shown)
    }

    fn replace(&mut self, above: &str, shown: String) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        let rows = u16::try_from(self.shown.lines().count()).unwrap_or(u16::MAX);
        if rows > 0 {
            queue!(out, cursor::MoveToPreviousLine(rows))?;
        }
        queue!(out, terminal::Clear(terminal::ClearType::FromCursorDown))?;
        queue!(out, style::Print(above), style::Print(&shown))?;
        self.shown = shown;
        out.flush()
    }
}

/// Writes log lines so that they do not cut the table in two.
#[derive(Debug)]
pub(super) struct Log {
    pane: Option<Arc<Mutex<Pane>>>,
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        match &self.pane {
            Some(pane) => pane.lock().insert(&String::from_utf8_lossy(line))?,
            None => std::io::stderr().write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
