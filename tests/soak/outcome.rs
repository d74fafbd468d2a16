//! The outcome of a call as its client saw it, and the lines in which clients report it.

use crate::call::Call;
use harness::{Connection, Problem, Response};
use nightcore_runtime::protocol::Status;
use nightcore_runtime::protocol::status::TABLE;
use std::io;

/// The maximum length of the text of an outcome: a line must be written at once.
const MAX_TEXT: usize = 800;

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended with its answer.
    Answered,
    /// It ended with this error of the table of errors. The message follows in parentheses.
    Error(String),
    /// Its connection was closed, or could not be opened.
    Lost(String),
    /// It did not end.
    Silent,
    /// It ended with something that is neither its answer nor an error with which it may end.
    Wrong(String),
}

/// A client's report about a call. Times are in ns of the monotonic clock.
#[derive(Clone, Debug)]
pub enum ClientReport {
    Begins { id: u64 },
    Ended { id: u64, call: Summary, times: Times, outcome: Outcome },
}

/// The times at which a call's connection was opened, the call was sent, and the call ended.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub opened: u64,
    /// The time at which the previous call on the connection was sent, or the connection was opened
    /// if there was none. The engine may have answered at once, to a client that was stopped until
    /// much later.
    pub idle_since: u64,
    /// Whether it is the first call of its connection, which may not have been accepted yet.
    pub is_first: bool,
    pub began: u64,
    pub ended: u64,
}

/// The facts about a call that the ledger needs.
#[derive(Clone, Debug)]
pub struct Summary {
    pub timeout_ms: u64,
    /// How often its last function is called.
    pub runs: u16,
    /// Its route, without spaces.
    pub way: String,
}

impl Summary {
    pub fn of(call: &Call) -> Summary {
        Summary {
            timeout_ms: call.timeout.as_millis() as u64,
            runs: call.runs,
            way: call.to_string(),
        }
    }
}

impl ClientReport {
    /// Returns the report as a line.
    pub fn line(&self) -> String {
        match self {
            ClientReport::Begins { id } => format!("b {id}\n"),
            ClientReport::Ended { id, call, times, outcome } => {
                let Summary { timeout_ms, runs, way } = call;
                let Times { opened, idle_since, is_first, began, ended } = times;
                let (kind, text) = match outcome {
                    Outcome::Answered => ("answered", ""),
                    Outcome::Error(text) => ("error", text.as_str()),
                    Outcome::Lost(text) => ("lost", text.as_str()),
                    Outcome::Silent => ("silent", ""),
                    Outcome::Wrong(text) => ("wrong", text.as_str()),
                };
                let text: String = text.replace('\n', " ").chars().take(MAX_TEXT).collect();
                format!(
                    "e {id} {timeout_ms} {runs} {way} {opened} {idle_since} {is_first} {began} \
                     {ended} {kind} {text}\n"
                )
            }
        }
    }

    /// Parses a line.
    pub fn from_line(line: &str) -> Option<ClientReport> {
        let mut words = line.splitn(12, ' ');
        let kind = words.next()?;
        let mut word = || words.next();
        let id = word()?.parse().ok()?;
        if kind == "b" {
            return Some(ClientReport::Begins { id });
        }
        let call = Summary {
            timeout_ms: word()?.parse().ok()?,
            runs: word()?.parse().ok()?,
            way: word()?.to_owned(),
        };
        let times = Times {
            opened: word()?.parse().ok()?,
            idle_since: word()?.parse().ok()?,
            is_first: word()?.parse().ok()?,
            began: word()?.parse().ok()?,
            ended: word()?.parse().ok()?,
        };
        let kind = word()?;
        let text = word()?.to_owned();
        let outcome = match kind {
            "answered" => Outcome::Answered,
            "error" => Outcome::Error(text),
            "lost" => Outcome::Lost(text),
            "silent" => Outcome::Silent,
            "wrong" => Outcome::Wrong(text),
            _ => return None,
        };
        Some(ClientReport::Ended { id, call, times, outcome })
    }
}

/// The result of reading from a connection after a call was sent.
pub struct Received {
    pub outcome: Outcome,
    /// Whether another call may be sent on the connection.
    pub stays_open: bool,
}

/// Reads the result of a call from its connection.
pub fn receive(connection: &mut Connection, call: &Call) -> Received {
    let (outcome, stays_open) = match connection.receive() {
        // The gateway also closes the connection after it refused a request that it has not read
        // completely.
        Ok(response) => (outcome(call, &response), response.header("connection") != Some("close")),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) =>
        {
            (Outcome::Silent, false)
        }
        Err(error) => (Outcome::Lost(error.to_string()), false),
    };
    Received { outcome, stays_open }
}

fn outcome(call: &Call, response: &Response) -> Outcome {
    if response.status == 200 {
        return match call.is_right(&response.body) {
            true if call.ends_in_error() => {
                Outcome::Wrong(format!("an answer in spite of {:?}", call.task))
            }
            true => Outcome::Answered,
            false => Outcome::Wrong(format!("the answer {}", shown(&response.body))),
        };
    }
    let problem = (response.header("content-type") == Some("application/problem+json"))
        .then(|| serde_json::from_slice::<Problem>(&response.body).ok())
        .flatten();
    let Some(problem) = problem else {
        return Outcome::Wrong(format!(
            "status {} with {}",
            response.status,
            shown(&response.body)
        ));
    };
    let wrong = || Outcome::Wrong(format!("status {} with {}", response.status, response.text()));
    // This is the original error. A function that does not handle the error of a function that it
    // called fails with that error as its cause.
    let last = problem.cause.last();
    let first = last.map(|cause| cause.error.as_str());
    let detail = last.map_or(&problem.detail, |cause| &cause.message);
    let may_be = |name: &str| {
        let row = TABLE.iter().find(|row| row.name == name)?;
        matches!(
            row.status,
            Status::ContainerDied
                | Status::Overloaded
                | Status::Unavailable
                | Status::DeadlineExceeded
        )
        .then_some(row)
    };
    match (problem.error.as_str(), first) {
        ("FUNCTION_FAILED", Some(first)) if response.status == 500 && may_be(first).is_some() => {
            Outcome::Error(format!("FUNCTION_FAILED of {first} ({detail})"))
        }
        (name, _) if may_be(name).is_some_and(|row| row.http == response.status) => {
            Outcome::Error(format!("{name} ({detail})"))
        }
        _ => wrong(),
    }
}

fn shown(body: &[u8]) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).escape_debug().to_string();
    match body.len() {
        0..=120 => format!("\"{}\"", text(body)),
        len => format!("\"{}\"…\"{}\" of {len} bytes", text(&body[..60]), text(&body[len - 60..])),
    }
}
