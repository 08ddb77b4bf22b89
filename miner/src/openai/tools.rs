//! Calls of tools: the form they are held to, and how they are read out of a text.
//!
//! A call is written as most models learned it:
//!
//! ```text
//! <tool_call>
//! {"name": "NAME", "arguments": {…}}
//! </tool_call>
//! ```

use std::fmt::Write as _;

use inference::{Form, schema_in_grammar};
use openai_api::{FunctionCall, Tool, ToolCall, ToolChoice};

use super::order::random;

/// What opens and closes a call.
pub(super) const OPEN: &str = "<tool_call>";
pub(super) const CLOSE: &str = "</tool_call>";

/// What stands between name and arguments.
const ARGUMENTS: &str = ", \"arguments\": ";
const NAME: &str = "{\"name\": ";

/// The grammar of an answer that may call tools, or must.
pub(super) fn form(tools: &[Tool], choice: &ToolChoice, several: bool) -> Form {
    let allowed = |tool: &&Tool| match choice {
        ToolChoice::Function(name) => tool.function.name == *name,
        ToolChoice::Allowed { names, .. } => names.contains(&tool.function.name),
        _ => true,
    };
    let free = matches!(choice, ToolChoice::Auto | ToolChoice::Allowed { required: false, .. });
    // A named tool is called once.
    let several = several && !matches!(choice, ToolChoice::Function(_));
    let more = if several { format!(" (\"\\n{OPEN}\" body)*") } else { String::new() };
    let mut lark = if free {
        // Text that stops at the first opening, or that has none.
        format!(
            "start: only | before body{more}\n\
             only: TEXT\n\
             before[lazy]: TEXT \"{OPEN}\"\n\
             TEXT: /(?s:.*)/\n"
        )
    } else {
        format!("start: \"{OPEN}\" body{more}\n")
    };
    let names: Vec<String> =
        (0..tools.iter().filter(allowed).count()).map(|index| format!("tool_{index}")).collect();
    let written = (|| {
        writeln!(lark, "body: \"\\n\" ({}) \"\\n{CLOSE}\"", names.join(" | "))?;
        for (index, tool) in tools.iter().filter(allowed).enumerate() {
            let head = format!("{NAME}\"{}\"{ARGUMENTS}", tool.function.name);
            let head = serde_json::Value::from(head);
            writeln!(lark, "tool_{index}: {head} arguments_{index} \"}}\"")?;
            let schema = schema_in_grammar(&tool.function.parameters);
            writeln!(lark, "arguments_{index}: {schema}")?;
        }
        std::fmt::Result::Ok(())
    })();
    written.expect("writing to a String cannot fail");
    Form::Grammar(lark)
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Text(String),
    Call(ToolCall),
}

/// Takes calls out of a text as it comes.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    /// What is not handed out: the inside of a call, or what may become its opening.
    held: String,
    inside: bool,
    /// Calls so far.
    pub(super) calls: usize,
}

impl Splitter {
    /// The parts that more text completes.
    pub(super) fn push(&mut self, text: &str) -> Vec<Part> {
        self.held.push_str(text);
        let mut parts = Vec::new();
        loop {
            let mark = if self.inside { CLOSE } else { OPEN };
            let Some(at) = self.held.find(mark) else { break };
            let before = self.held[..at].to_owned();
            self.held.drain(..at + mark.len());
            parts.extend(if self.inside { self.call(&before) } else { self.text(&before) });
            self.inside = !self.inside;
        }
        if !self.inside {
            let open = self.held.len() - begun(&self.held);
            let before: String = self.held.drain(..open).collect();
            parts.extend(self.text(&before));
        }
        parts
    }

    /// What is left at the end: text, or a call that was cut off, as far as it came.
    pub(super) fn finish(&mut self) -> Option<Part> {
        let rest = std::mem::take(&mut self.held);
        if self.inside { self.call(&rest) } else { self.text(&rest) }
    }

    fn text(&self, text: &str) -> Option<Part> {
        // Between calls there are only line breaks.
        let blank = self.calls > 0 && text.trim().is_empty();
        (!text.is_empty() && !blank).then(|| Part::Text(text.to_owned()))
    }

    fn call(&mut self, inside: &str) -> Option<Part> {
        let inside = inside.trim();
        let rest = inside.strip_prefix(NAME)?;
        let (name, arguments) = rest.split_once(ARGUMENTS)?;
        let name: String = serde_json::from_str(name).ok()?;
        // The brace that closes the call; one that was cut off has none.
        let whole = serde_json::from_str::<serde::de::IgnoredAny>(inside).is_ok();
        let arguments = if whole { &arguments[..arguments.len() - 1] } else { arguments };
        self.calls += 1;
        Some(Part::Call(ToolCall {
            id: format!("call_{:016x}", random()),
            kind: "function".to_owned(),
            function: FunctionCall { name, arguments: arguments.trim().to_owned() },
        }))
    }
}

/// Bytes at the end of `text` that begin [`OPEN`].
fn begun(text: &str) -> usize {
    (1..OPEN.len()).rev().find(|&size| text.ends_with(&OPEN[..size])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: &str = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\":1}}\n</tool_call>";

    fn split(pieces: &[&str]) -> Vec<String> {
        let mut splitter = Splitter::default();
        let mut parts: Vec<Part> = pieces.iter().flat_map(|piece| splitter.push(piece)).collect();
        parts.extend(splitter.finish());
        let shown = parts.into_iter().map(|part| match part {
            Part::Text(text) => text,
            Part::Call(call) => format!("{}({})", call.function.name, call.function.arguments),
        });
        shown.collect()
    }

    #[test]
    fn calls_are_taken_out_of_a_text_however_it_is_cut() {
        let whole = format!("so <b {ADD}\n{ADD}");
        assert_eq!(split(&[&whole]), ["so <b ", "add({\"a\":1})", "add({\"a\":1})"]);
        let letters: Vec<String> = whole.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        let parts = split(&letters);
        assert_eq!(parts[..parts.len() - 2].concat(), "so <b ");
        assert_eq!(parts[parts.len() - 1], "add({\"a\":1})");
        assert_eq!(split(&["no <tool", " at all"]).concat(), "no <tool at all");
    }

    #[test]
    fn a_call_that_was_cut_off_comes_as_far_as_it_got() {
        let cut = "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": [1, ";
        assert_eq!(split(&[cut]), ["add({\"a\": [1,)"]);
        assert!(split(&["<tool_call>\n{\"name\": \"ad"]).is_empty());
    }
}
