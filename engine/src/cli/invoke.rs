//! `nightcore invoke`

use super::arguments::{Engine, check_name};
use super::engine_client::ask;
use super::exit::{EXIT_BAD_INPUT, EXIT_CALL_FAILED, Exit};
use super::http::PageRequest;
use super::output::print;
use crate::config::parse_duration;
use crate::engine_log::indented;
use crate::gateway::TIMEOUT_HEADER;
use crate::observe::admin::{ANSWERED, InvokeError};
use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Method, Response};
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
    /// Print the status and the headers before the body
    #[arg(short, long)]
    include: bool,
    /// Fail with exit code 1, and without the body, if the status is 400 or more
    #[arg(short, long)]
    fail: bool,
}

/// Parses the time limit of a call.
fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = parse_duration(text)?;
    if timeout.is_zero() {
        Err("a call needs some time, such as 250ms".to_owned())
    } else {
        Ok(timeout)
    }
}

impl Invoke {
    pub fn run(mut self) -> Result<(), Exit> {
        check_name(&self.function)?;
        let body = body(self.data.take())?;
        let mut headers = HeaderMap::new();
        if let Some(timeout) = self.timeout {
            // The header has whole milliseconds, so a fraction is rounded up.
            let millis = u64::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
            headers.insert(TIMEOUT_HEADER, HeaderValue::from(millis));
        }
        let page = format!("/invoke/{}", self.function);
        let asked = PageRequest { method: Method::POST, page, headers, body };
        let answer = ask(&self.engine, asked)?;
        if answer.headers().contains_key(ANSWERED) {
            return self.show(&answer);
        }
        let error: InvokeError = serde_json::from_slice(answer.body())
            .map_err(|error| Exit::new(EXIT_CALL_FAILED, error))?;
        let message = indented(&error.message);
        let mut text = format!("{}: {}: {message}", self.function, error.error);
        for cause in error.cause {
            text.push_str(&format!("\n  because {}", indented(&cause)));
        }
        Err(Exit::new(EXIT_CALL_FAILED, text))
    }

    /// Prints the function's answer.
    fn show(&self, answer: &Response<Bytes>) -> Result<(), Exit> {
        let status = answer.status();
        let is_failed = self.fail && (status.is_client_error() || status.is_server_error());
        let mut shown = Vec::new();
        if self.include {
            shown.extend(head(answer));
        }
        if !is_failed {
            shown.extend_from_slice(answer.body());
        }
        print(shown)?;
        if is_failed {
            let text = format!("{}: answered with status {status}", self.function);
            return Err(Exit::new(EXIT_CALL_FAILED, text));
        }
        Ok(())
    }
}

/// Returns the status and the headers of an answer, as HTTP writes them.
fn head(answer: &Response<Bytes>) -> Vec<u8> {
    let status = answer.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut head = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    for (name, value) in answer.headers().iter().filter(|(name, _)| *name != ANSWERED) {
        head.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    head
}

/// Returns the body given by the arguments, or standard input.
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
