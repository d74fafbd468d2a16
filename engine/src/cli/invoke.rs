//! `nightcore invoke`

use super::engine_client::ask;
use super::{EXIT_BAD_INPUT, EXIT_CALL_FAILED, Engine, Exit, check_name};
use crate::observe::admin::InvokeError;
use hyper::Method;
use std::io::{IsTerminal, Read, Write};

#[derive(clap::Args)]
pub struct Invoke {
    #[command(flatten)]
    engine: Engine,
    /// The function
    function: String,
    /// The body of the call; without it, standard input if that is not a terminal
    #[arg(short, long)]
    data: Option<String>,
}

impl Invoke {
    pub fn run(self) -> Result<(), Exit> {
        check_name(&self.function)?;
        let body = body(self.data)?;
        let (status, answer) = ask(&self.engine, Method::POST, &format!("/invoke/{}", self.function), body)?;
        if status.is_success() {
            let written = std::io::stdout().write_all(&answer);
            return written.map_err(|error| Exit::new(EXIT_CALL_FAILED, format!("standard output: {error}")));
        }
        let error: InvokeError =
            serde_json::from_slice(&answer).map_err(|error| Exit::new(EXIT_CALL_FAILED, error))?;
        let mut text = format!("{}: {}: {}", self.function, error.error, error.message);
        for cause in error.cause {
            text.push_str(&format!("\n  because {cause}"));
        }
        Err(Exit::new(EXIT_CALL_FAILED, text))
    }
}

/// The body that was asked for.
pub(super) fn body(data: Option<String>) -> Result<Vec<u8>, Exit> {
    data.map_or_else(standard_input, |data| Ok(data.into_bytes()))
}

fn standard_input() -> Result<Vec<u8>, Exit> {
    let mut body = Vec::new();
    let mut input = std::io::stdin();
    if !input.is_terminal() {
        let read = input.read_to_end(&mut body);
        read.map_err(|error| Exit::new(EXIT_BAD_INPUT, format!("standard input: {error}")))?;
    }
    Ok(body)
}
