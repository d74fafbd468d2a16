//! `nightcore invoke`

use super::arguments::{Engine, check_name};
use super::engine_client::ask_with;
use super::exit::{EXIT_BAD_INPUT, EXIT_CALL_FAILED, Exit};
use super::output::print;
use crate::config::parse_duration;
use crate::gateway::TIMEOUT_HEADER;
use crate::observe::admin::InvokeError;
use hyper::Method;
use hyper::header::{HeaderMap, HeaderValue};
use std::io::{IsTerminal, Read};
use std::time::Duration;

#[derive(clap::Args)]
pub struct Invoke {
    #[command(flatten)]
    engine: Engine,
    /// The function
    function: String,
    /// The body of the call; without it, standard input if that is not a terminal
    #[arg(short, long)]
    data: Option<String>,
    /// Time the call may take, such as 250ms, if that is less than the function's timeout
    #[arg(long, value_name = "TIME", value_parser = timeout)]
    timeout: Option<Duration>,
}

/// A time that a call can be given.
fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    if timeout.is_zero() {
        Err("a call needs some time, such as 250ms".to_owned())
    } else {
        Ok(timeout)
    }
}

impl Invoke {
    pub fn run(self) -> Result<(), Exit> {
        check_name(&self.function)?;
        let body = body(self.data)?;
        let mut headers = HeaderMap::new();
        if let Some(timeout) = self.timeout {
            // Whole milliseconds; a part of one is given as one.
            let millis = u64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
            headers.insert(TIMEOUT_HEADER, HeaderValue::from(millis));
        }
        let page = format!("/invoke/{}", self.function);
        let (status, answer) = ask_with(&self.engine, Method::POST, &page, headers, body)?;
        if status.is_success() {
            return print(&answer);
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
