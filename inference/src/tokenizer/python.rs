//! Values as Python prints them, and dates as its `strftime` does.

use std::io;

use minijinja::{Error, ErrorKind, Output, State, Value, escape_formatter, value::ValueKind};
use serde::Serialize;
use serde_json::ser::Formatter;

/// Prints what a template emits: truth, nothing and containers as Python's `str` does.
pub(super) fn print(
    out: &mut Output<'_>,
    state: &State<'_, '_>,
    value: &Value,
) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Bool | ValueKind::None | ValueKind::Seq | ValueKind::Map => {
            out.write_str(&repr(value)).map_err(Error::from)
        }
        _ => escape_formatter(out, state, value),
    }
}

/// Python's `repr`.
fn repr(value: &Value) -> String {
    let items = |value: &Value| -> Vec<Value> {
        value.try_iter().map(Iterator::collect).unwrap_or_default()
    };
    match value.kind() {
        ValueKind::None | ValueKind::Undefined => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::String => quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq => {
            let items: Vec<String> = items(value).iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map => {
            let pair = |key: &Value| {
                let inner = value.get_item(key).unwrap_or_default();
                format!("{}: {}", repr(key), repr(&inner))
            };
            let pairs: Vec<String> = items(value).iter().map(pair).collect();
            format!("{{{}}}", pairs.join(", "))
        }
        _ => value.to_string(),
    }
}

/// A string literal: in single quotes, unless it holds only single ones.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_control() => out.extend(format!("\\x{:02x}", u32::from(c)).chars()),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// How `json.dumps` is asked to write.
pub(super) struct Style {
    pub(super) indent: Option<usize>,
    /// Between items, and after keys.
    pub(super) separators: Option<[String; 2]>,
    pub(super) sorted: bool,
    pub(super) ascii: bool,
}

/// Python's `json.dumps`.
pub(super) fn dumps(value: &Value, style: Style) -> Result<String, Error> {
    let bad = |error: serde_json::Error| {
        Error::new(ErrorKind::BadSerialization, "cannot be written as JSON").with_source(error)
    };
    let item = if style.indent.is_some() { "," } else { ", " };
    let separators = style.separators.unwrap_or_else(|| [item.to_owned(), ": ".to_owned()]);
    let ascii = style.ascii;
    let format = Dumps { indent: style.indent, separators, ascii, depth: 0, empty: false };
    let mut bytes = Vec::new();
    let mut out = serde_json::Serializer::with_formatter(&mut bytes, format);
    if style.sorted {
        let mut value = serde_json::to_value(value).map_err(bad)?;
        value.sort_all_objects();
        value.serialize(&mut out).map_err(bad)?;
    } else {
        value.serialize(&mut out).map_err(bad)?;
    }
    String::from_utf8(bytes)
        .map_err(|error| Error::new(ErrorKind::BadSerialization, "not UTF-8").with_source(error))
}

struct Dumps {
    indent: Option<usize>,
    separators: [String; 2],
    ascii: bool,
    depth: usize,
    /// The container just opened has nothing in it.
    empty: bool,
}

impl Dumps {
    fn line(&self, out: &mut (impl io::Write + ?Sized)) -> io::Result<()> {
        match self.indent {
            Some(indent) => write!(out, "\n{:1$}", "", indent * self.depth),
            None => Ok(()),
        }
    }

    fn open(&mut self, out: &mut (impl io::Write + ?Sized), bracket: &str) -> io::Result<()> {
        self.depth += 1;
        self.empty = true;
        out.write_all(bracket.as_bytes())
    }

    fn next(&mut self, out: &mut (impl io::Write + ?Sized), first: bool) -> io::Result<()> {
        self.empty = false;
        if !first {
            out.write_all(self.separators[0].as_bytes())?;
        }
        self.line(out)
    }

    fn close(&mut self, out: &mut (impl io::Write + ?Sized), bracket: &str) -> io::Result<()> {
        self.depth -= 1;
        if !self.empty {
            self.line(out)?;
        }
        self.empty = false;
        out.write_all(bracket.as_bytes())
    }
}

impl Formatter for Dumps {
    fn begin_array<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, "[")
    }

    fn end_array<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, "]")
    }

    fn begin_array_value<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, "{")
    }

    fn end_object<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, "}")
    }

    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.next(out, first)
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.separators[1].as_bytes())
    }

    fn write_string_fragment<W: io::Write + ?Sized>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if !self.ascii {
            return out.write_all(fragment.as_bytes());
        }
        for unit in fragment.encode_utf16() {
            match u8::try_from(unit) {
                Ok(byte) if byte.is_ascii() => out.write_all(&[byte])?,
                _ => write!(out, "\\u{unit:04x}")?,
            }
        }
        Ok(())
    }
}

/// `strftime` of a moment in seconds since 1970, in UTC.
pub(super) fn strftime(format: &str, seconds: u64) -> Result<String, Error> {
    let date = Date::of(seconds);
    let mut out = String::new();
    let mut letters = format.chars();
    while let Some(c) = letters.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        let mut code = letters.next();
        let padded = code != Some('-');
        if !padded {
            code = letters.next();
        }
        out.push_str(&date.field(code.unwrap_or('%'), padded).ok_or_else(|| {
            let what = format!("strftime does not know `%{}` here", code.unwrap_or_default());
            Error::new(ErrorKind::InvalidOperation, what)
        })?);
    }
    Ok(out)
}

struct Date {
    year: u64,
    /// From 0.
    month: usize,
    day: u64,
    /// Day of the year, from 1.
    ordinal: u64,
    /// From 0, Sunday.
    weekday: usize,
    second: u64,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

impl Date {
    fn of(seconds: u64) -> Self {
        let (mut days, second) = (seconds / 86_400, seconds % 86_400);
        // 1970 began on a Thursday.
        let weekday = usize::try_from((days + 4) % 7).unwrap_or_default();
        let leap = |year: u64| {
            year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
        };
        let mut year = 1970;
        while days >= 365 + u64::from(leap(year)) {
            days -= 365 + u64::from(leap(year));
            year += 1;
        }
        let ordinal = days + 1;
        let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let mut month = 0;
        while days >= lengths[month] {
            days -= lengths[month];
            month += 1;
        }
        Self { year, month, day: days + 1, ordinal, weekday, second }
    }

    fn field(&self, code: char, padded: bool) -> Option<String> {
        let number = |value: u64, width: usize| {
            if padded { format!("{value:0width$}") } else { value.to_string() }
        };
        let (hour, minute, second) = (self.second / 3600, self.second / 60 % 60, self.second % 60);
        let half = if hour % 12 == 0 { 12 } else { hour % 12 };
        let (month, weekday) = (MONTHS[self.month], WEEKDAYS[self.weekday]);
        let month_number = self.month as u64 + 1;
        Some(match code {
            'Y' => self.year.to_string(),
            'y' => number(self.year % 100, 2),
            'm' => number(month_number, 2),
            'B' => month.to_owned(),
            'b' | 'h' => month[..3].to_owned(),
            'd' => number(self.day, 2),
            'j' => number(self.ordinal, 3),
            'A' => weekday.to_owned(),
            'a' => weekday[..3].to_owned(),
            'w' => self.weekday.to_string(),
            'H' => number(hour, 2),
            'I' => number(half, 2),
            'M' => number(minute, 2),
            'S' => number(second, 2),
            'p' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'F' => format!("{}-{month_number:02}-{:02}", self.year, self.day),
            'T' => format!("{hour:02}:{minute:02}:{second:02}"),
            'Z' => "UTC".to_owned(),
            '%' => "%".to_owned(),
            _ => return None,
        })
    }
}
