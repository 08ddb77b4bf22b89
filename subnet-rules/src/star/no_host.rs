//! The child's side of a program that was built without the interpreter: it says so and ends.

use std::io;

/// Refuses every rule.
pub fn serve(_from: impl io::Read, _to: impl io::Write) -> io::Result<()> {
    let why = "this program was built without Starlark: build it with the feature `starlark`";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}
