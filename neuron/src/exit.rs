//! How a program ends: six exit codes, and one reporter that prints causes and then hints.

use std::error::Error;
use std::fmt::Write as _;
use std::process::{ExitCode, Termination};

/// The suite's exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work is done.
    Done,
    /// Something failed that is neither the caller's words nor the chain's refusal.
    Failed,
    /// A flag, an environment variable or the configuration file is wrong.
    Usage,
    /// The chain refuses: not registered, no permit, a rejected extrinsic.
    Refused,
    /// Another program acts for the same hotkey: starting again does not help.
    Twin,
    /// Ended by the user.
    Interrupted,
}

impl Exit {
    /// The process exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Refused => 3,
            Self::Twin => 4,
            Self::Interrupted => 130,
        }
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self.code())
    }
}

/// An error that knows how the program should end and what a person could do about it.
pub trait Explain: Error {
    /// The exit code this error ends a program with.
    fn exit(&self) -> Exit;

    /// What to try, most likely first. One sentence each, without a trailing full stop.
    fn hints(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An error with all of its causes in one line, for `/readyz` and logs. A cause whose text the one
/// above already ends with is not said twice.
pub fn causes(error: &dyn Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let line = deeper.to_string();
        if !said.ends_with(&line) {
            said = format!("{said}: {line}");
        }
        cause = deeper.source();
    }
    said
}

/// The text a person reads when a program ends in `error`: the chain of causes, then the hints.
///
/// A cause whose text the line above already ends with is not said twice.
pub fn report(error: &(impl Explain + ?Sized)) -> String {
    let mut said = error.to_string();
    let mut text = format!("error: {said}");
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let line = deeper.to_string();
        if !said.ends_with(&line) {
            push_line(&mut text, "  caused by: ", &line);
            said = line;
        }
        cause = deeper.source();
    }
    for hint in error.hints() {
        push_line(&mut text, "hint: ", &hint);
    }
    text
}

fn push_line(text: &mut String, lead: &str, line: &str) {
    write!(text, "\n{lead}{line}").expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("connection refused")]
    struct Cause;

    #[derive(Debug, thiserror::Error)]
    #[error("no answer from ws://127.0.0.1:9944")]
    struct Unreachable(#[source] Cause);

    impl Explain for Unreachable {
        fn exit(&self) -> Exit {
            Exit::Failed
        }

        fn hints(&self) -> Vec<String> {
            vec!["start a local chain with `ganglion localnet`".into()]
        }
    }

    #[test]
    fn a_report_names_the_error_its_causes_and_then_the_hints() {
        assert_eq!(
            report(&Unreachable(Cause)),
            "error: no answer from ws://127.0.0.1:9944\n  caused by: connection refused\n\
             hint: start a local chain with `ganglion localnet`"
        );
    }

    #[test]
    fn one_line_holds_every_cause_once() {
        assert_eq!(
            causes(&Unreachable(Cause)),
            "no answer from ws://127.0.0.1:9944: connection refused"
        );
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        let all =
            [Exit::Done, Exit::Failed, Exit::Usage, Exit::Refused, Exit::Twin, Exit::Interrupted];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 130]);
    }
}
