//! The log of a composed rule: a line that names it, then each class's own log, one after the other.
//!
//! A class's log is a chain of its own, so a line that follows nothing begins the next one.

use std::io::{self, BufRead, Read, Write};

use serde::de::IgnoredAny;

use super::{Body, LINE_MAX, Line, digest_of};
use crate::digest::Digest;
use crate::manifest::Manifest;

/// How a line begins that follows no other: [`Line`] writes the digest before it first.
const ORIGIN: &str =
    r#"{"before":"0000000000000000000000000000000000000000000000000000000000000000""#;

/// Begins the log of a composed rule; logs of its classes are to follow, in the order of their names.
pub fn open_composed(manifest: &Manifest, mut to: impl Write) -> io::Result<()> {
    let body = Body::<(), (), ()>::Composed { manifest: Box::new(manifest.clone()) };
    let line = serde_json::to_string(&Line { before: Digest([0; 32]), body })?;
    to.write_all(line.as_bytes())?;
    to.write_all(b"\n")
}

/// The digest of a composed rule's log: of its first line, and of each class's log.
pub fn composed_head(manifest: &Manifest, classes: &[Digest]) -> io::Result<Digest> {
    let mut first = Vec::new();
    open_composed(manifest, &mut first)?;
    let first = digest_of(first.trim_ascii_end());
    let heads: Vec<&[u8]> =
        std::iter::once(&first).chain(classes).map(|head| head.0.as_slice()).collect();
    Ok(Digest::of("ganglion/arena/composed", &heads))
}

/// A log cut where lines follow nothing.
#[derive(Debug)]
pub struct Sections<L> {
    log: L,
    /// The line that was read to see where it belongs.
    next: Vec<u8>,
}

impl<L: BufRead> Sections<L> {
    /// A log from its beginning.
    pub fn new(log: L) -> io::Result<Self> {
        let mut sections = Self { log, next: Vec::new() };
        sections.read()?;
        Ok(sections)
    }

    /// The next section; `None` at the end. What was not read of one is the next.
    pub fn section(&mut self) -> Option<Section<'_, L>> {
        if self.next.is_empty() { None } else { Some(Section { of: self, at: 0, begun: false }) }
    }

    fn read(&mut self) -> io::Result<()> {
        self.next.clear();
        Read::take(&mut self.log, LINE_MAX as u64).read_until(b'\n', &mut self.next)?;
        Ok(())
    }
}

/// Lines up to one that follows nothing.
#[derive(Debug)]
pub struct Section<'s, L> {
    of: &'s mut Sections<L>,
    /// Bytes of the line that were taken.
    at: usize,
    /// Whether its first line was taken.
    begun: bool,
}

impl<L: BufRead> Section<'_, L> {
    /// What the section's first line says; it is not taken.
    pub fn first(&self) -> Option<Body<IgnoredAny, IgnoredAny, IgnoredAny>> {
        let line: Line<_> = serde_json::from_slice(&self.of.next).ok()?;
        Some(line.body)
    }
}

impl<L: BufRead> BufRead for Section<'_, L> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at > 0 && self.at == self.of.next.len() {
            self.of.read()?;
            (self.at, self.begun) = (0, true);
        }
        let over = self.begun && self.at == 0 && self.of.next.starts_with(ORIGIN.as_bytes());
        Ok(if over { &[] } else { &self.of.next[self.at..] })
    }

    fn consume(&mut self, amount: usize) {
        self.at = self.at.saturating_add(amount).min(self.of.next.len());
    }
}

impl<L: BufRead> Read for Section<'_, L> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let taken = self.fill_buf()?.read(out)?;
        self.consume(taken);
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_where_a_line_follows_nothing() {
        let text = format!("{ORIGIN},\"a\"\nb\nc\n{ORIGIN},\"d\"\n{ORIGIN},\"e\"\nf");
        let mut sections = Sections::new(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        while let Some(mut section) = sections.section() {
            let mut text = String::new();
            section.read_to_string(&mut text).unwrap();
            found.push(text.replace(ORIGIN, ""));
        }
        assert_eq!(found, [",\"a\"\nb\nc\n", ",\"d\"\n", ",\"e\"\nf"]);
    }
}
