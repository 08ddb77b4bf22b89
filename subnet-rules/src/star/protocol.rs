//! What a host and its parent say to each other: frames of JSON, each after its length.

use std::io::{self, Read, Write};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Longest frame in bytes: the largest source, or a shared round of 256 replies of 16 KiB.
pub(super) const FRAME_MAX: usize = 8 * 1024 * 1024;

/// What one call of a rule may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Time by the clock. The rule's own error comes at this time, the kill a grace later.
    pub time: Duration,
    /// Bytes of the rule's heap.
    pub heap: usize,
    /// Function calls and turns of loops: the limit that is the same on every machine.
    pub ticks: u64,
    /// Calls within calls.
    pub depth: usize,
}

impl Default for Limits {
    /// A hundred times what judging a round takes, and less than a validator has to spare.
    fn default() -> Self {
        Self { time: Duration::from_secs(1), heap: 64 * 1024 * 1024, ticks: 2_000_000, depth: 64 }
    }
}

/// What the parent asks for.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// Read a source file; the first request, and the only one of its kind.
    Load {
        /// Its name in messages.
        file: String,
        /// Its text.
        source: String,
        /// What every call may use.
        limits: Limits,
        /// The manifest's parameters: `params` in the source.
        params: Value,
    },
    /// Call a function.
    Call {
        /// Its name.
        function: String,
        /// Its arguments, by position.
        arguments: Vec<Value>,
        /// Key of the randomness it is given; `None` is none.
        prf: Option<[u8; 32]>,
    },
}

/// What the host answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Response {
    /// The source was read; these functions are defined.
    Loaded(Vec<String>),
    /// What the function returned.
    Returned(Value),
    /// The rule's own fault.
    Failed(Mistake),
}

/// A mistake in a rule's source, where it is and what helps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{file}{}: {message}", at(*.line, *.column))]
pub struct Mistake {
    /// Name of the file.
    pub file: String,
    /// Line from 1; 0 where no place is known.
    pub line: usize,
    /// Column from 1; 0 where no place is known.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What helps, where that is known.
    pub hint: Option<String>,
}

fn at(line: usize, column: usize) -> String {
    if line == 0 { String::new() } else { format!(":{line}:{column}") }
}

/// Writes one frame.
pub(super) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    let length = u32::try_from(bytes.len()).ok().filter(|_| bytes.len() <= FRAME_MAX);
    let length = length.ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "more bytes than a frame may have")
    })?;
    to.write_all(&length.to_le_bytes())?;
    to.write_all(&bytes)?;
    to.flush()
}

/// Reads one frame; `None` where the other side has closed.
pub(super) fn receive<M: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<M>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > FRAME_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame of too many bytes"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}
