//! The exit codes of commands, and the error with which a command fails.

/// A call failed.
pub const EXIT_CALL_FAILED: u8 = 1;
/// The input is bad: a file, an argument or an address.
pub const EXIT_BAD_INPUT: u8 = 2;
/// No engine is running.
pub const EXIT_NO_ENGINE: u8 = 3;
/// Standard output cannot be written to.
pub const EXIT_OUTPUT: u8 = 4;

/// The error of a command: its message, and the exit code of the process.
#[derive(Debug)]
pub struct Exit {
    pub(super) code: u8,
    pub(super) message: String,
}

impl Exit {
    pub(super) fn new(code: u8, message: impl std::fmt::Display) -> Exit {
        Exit { code, message: message.to_string() }
    }

    pub(super) fn bad_input(error: impl Into<anyhow::Error>) -> Exit {
        Exit::new(EXIT_BAD_INPUT, format!("{:#}", error.into()))
    }
}
