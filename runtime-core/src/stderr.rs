//! Standard error, which may be closed or full at any time.

use std::fmt::Display;
use std::io::{self, Write};

/// Writes a line to standard error. If that fails nobody can be told, and nothing else happens;
/// `eprintln!` would panic.
pub fn write_stderr(text: impl Display) {
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}
