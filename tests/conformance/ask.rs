//! Sends requests to a function and compares its answers with the expected ones.

use harness::wait::find_within;
use harness::{Connection, Engine, Response};
use std::time::Duration;

/// The difference that makes a case fail.
#[derive(Debug)]
pub struct Wrong {
    pub asked: String,
    pub expected: String,
    pub got: String,
}

pub type Outcome = Result<(), Wrong>;

/// Every event that a case waits for happens within this time, on any machine.
pub const SOON: Duration = Duration::from_secs(5);

/// One function of the engine.
#[derive(Clone, Copy)]
pub struct On<'a> {
    pub engine: &'a Engine,
    /// The name of the function.
    pub function: &'a str,
}

/// A request that is being made.
#[derive(Clone)]
pub struct Ask<'a> {
    engine: &'a Engine,
    target: String,
    metadata: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl<'a> On<'a> {
    /// Returns a request for a case.
    pub fn ask(&self, case: &str) -> Ask<'a> {
        self.ask_at("", case)
    }

    /// Returns a request for a case, at a path below the function's own.
    pub fn ask_at(&self, path: &str, case: &str) -> Ask<'a> {
        Ask {
            engine: self.engine,
            target: format!("/function/{}{path}", self.function),
            metadata: vec![("case", case.to_owned())],
            body: Vec::new(),
        }
    }

    /// Returns a request for this HTTP target, which can belong to any function.
    pub fn ask_target(&self, target: &str) -> Ask<'a> {
        let (metadata, body) = (Vec::new(), Vec::new());
        Ask { engine: self.engine, target: target.to_owned(), metadata, body }
    }

    /// Waits until the function has printed this line.
    pub fn prints(&self, line: &str) -> Outcome {
        let log = || self.engine.nightcore("logs", &[self.function]).text();
        // The log has lines of the form TIME PID CALL LINE.
        let is_it = |printed: &str| printed.splitn(4, ' ').nth(3) == Some(line);
        let found = find_within(SOON, || log().lines().any(is_it).then_some(()));
        found.ok_or_else(|| {
            let log = log();
            let last = log.lines().last().unwrap_or("nothing");
            Wrong {
                asked: format!("the log of {}", self.function),
                expected: format!("a line {line:?}"),
                got: format!("last {last:?}"),
            }
        })
    }

    /// Waits until the function's log has exactly these lines about the call.
    pub fn logs_of_call(&self, id: &str, lines: &[&str]) -> Outcome {
        let log = || self.engine.nightcore("logs", &["--call", id, self.function]).text();
        let is_it = |log: &str| {
            log.lines()
                .map(|line| line.splitn(4, ' ').nth(3).unwrap_or_default())
                .eq(lines.iter().copied())
        };
        let found = find_within(SOON, || is_it(&log()).then_some(()));
        found.ok_or_else(|| Wrong {
            asked: format!("the log of {} about call {id}", self.function),
            expected: format!("{lines:?}"),
            got: log(),
        })
    }

    /// Waits until the function's log has a line about the call that ends with `end`.
    pub fn logs_a_line_of_call(&self, id: &str, end: &str) -> Outcome {
        let log = || self.engine.nightcore("logs", &["--call", id, self.function]).text();
        let has_it = || log().lines().any(|line| line.ends_with(end)).then_some(());
        find_within(SOON, has_it).ok_or_else(|| Wrong {
            asked: format!("the log of {} about call {id}", self.function),
            expected: format!("a line that ends with {end:?}"),
            got: log(),
        })
    }

    /// Returns the expected log line about a failed call of this function.
    pub fn failed(&self, text: &str) -> String {
        format!("{} failed: FUNCTION_FAILED: {text}", self.function)
    }

    /// Waits until the function has a process other than `before`, and returns that process.
    pub fn process(&self, before: Option<i32>) -> Result<i32, Wrong> {
        let other = || {
            let process = self.engine.function(self.function).processes.first()?.pid;
            (Some(process) != before).then_some(process)
        };
        find_within(SOON, other).ok_or_else(|| Wrong {
            asked: format!("the process of {}", self.function),
            expected: format!("one other than {before:?}"),
            got: "none".into(),
        })
    }
}

impl Ask<'_> {
    /// Adds a metadata pair.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((name, value.into()));
        self
    }

    /// Sets the function that the asked function calls, and the case that it asks for.
    pub fn to(self, target: &str, case: &str) -> Self {
        self.with("target", target).with("to", case)
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the request. The caller reads the answer from the connection.
    pub fn send(&self) -> Result<Connection, Wrong> {
        let metadata: Vec<(&str, &str)> =
            self.metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let sent = Connection::try_open(self.engine.address()).and_then(|mut connection| {
            connection.send("POST", &self.target, &metadata, &self.body)?;
            Ok(connection)
        });
        sent.map_err(|error| self.wrong("a connection".into(), error.to_string()))
    }

    /// Sends the request and returns its answer, of any status.
    pub fn response(&self) -> Result<Response, Wrong> {
        let response = self.send()?.receive();
        response.map_err(|error| self.wrong("an answer".into(), error.to_string()))
    }

    /// Sends the request, and checks that the answer has this body and status 200.
    pub fn answers(&self, body: impl AsRef<[u8]>) -> Outcome {
        self.answers_with(200, &[], body)
    }

    /// Sends the request, and checks the status and the body of the answer. The headers whose
    /// names begin with `x-`, except Nightcore's own, must equal `own`.
    pub fn answers_with(
        &self,
        status: u16,
        own: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Outcome {
        let response = self.response()?;
        let is_own = |name: &str| name.starts_with("x-") && !name.starts_with("x-nightcore-");
        let headers = response.headers.iter().filter(|(name, _)| is_own(name));
        let headers: Vec<(&str, &str)> = headers.map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let body = body.as_ref();
        if response.status == status && headers == own && response.body == body {
            return Ok(());
        }
        let differ = response.body.iter().zip(body).position(|(got, expected)| got != expected);
        let at = differ
            .filter(|at| *at > 0)
            .map_or(String::new(), |at| format!(", other from byte {at} on"));
        Err(self.wrong(
            shown(status, own, body),
            shown(response.status, &headers, &response.body) + &at,
        ))
    }

    /// Checks that the answer has this body, and returns the id of the call.
    pub fn answers_by_call(&self, body: &str) -> Result<String, Wrong> {
        let response = self.response()?;
        match response.header("x-nightcore-call") {
            Some(id) if response.text() == body => Ok(id.to_owned()),
            _ => Err(self.wrong(
                format!("200 {body:?} and an id"),
                shown(response.status, &[], &response.body),
            )),
        }
    }

    /// Checks that the body of the answer is the call's id, as the response header gives it.
    pub fn answers_with_its_id(&self) -> Outcome {
        let response = self.response()?;
        let id = response.header("x-nightcore-call").unwrap_or_default();
        if !id.is_empty() && response.text() == id {
            return Ok(());
        }
        Err(self.wrong(format!("200 and {id:?}"), shown(response.status, &[], &response.body)))
    }

    /// Checks that the answer has status 200 and a body that `is_right` accepts. `what` describes
    /// the expected body in the failure.
    pub fn answers_that(&self, what: &str, is_right: impl Fn(&str) -> bool) -> Outcome {
        let response = self.response()?;
        let text = response.text();
        if response.status == 200 && is_right(&text) {
            return Ok(());
        }
        Err(self.wrong(format!("200 and {what}"), shown(response.status, &[], &response.body)))
    }

    /// Checks that the request fails with this error and a message that matches `detail`.
    pub fn fails(&self, error: &str, detail: Detail<'_>) -> Outcome {
        self.problem(error, detail, None)
    }

    /// Like [`Ask::fails`]. The causes must be these functions and errors, the nearest first.
    pub fn fails_by(&self, error: &str, detail: Detail<'_>, causes: &[(&str, &str)]) -> Outcome {
        self.problem(error, detail, Some(causes))
    }

    /// Like [`Ask::fails`] with FUNCTION_FAILED. `function` must also have logged this text about
    /// the call.
    pub fn fails_and_logs(&self, detail: Detail<'_>, function: On<'_>, text: &str) -> Outcome {
        self.fails("FUNCTION_FAILED", detail)?;
        let response = self.response()?;
        let id = response.header("x-nightcore-call").unwrap_or_default();
        function.logs_a_line_of_call(id, text)
    }

    /// Checks that the request fails, and that the error does not contain the request's body. The
    /// body must be in the log of `function` instead.
    pub fn fails_untold(&self, function: On<'_>) -> Outcome {
        let response = self.response()?;
        let (problem, secret) = (response.problem(), text(&self.body));
        let id = response.header("x-nightcore-call").unwrap_or_default();
        let place = format!("nightcore logs {} --call {id}", function.function);
        let secret = secret.trim_matches('"');
        if response.text().contains(secret) || !problem.detail.ends_with(&place) {
            return Err(self.wrong(format!("{place:?} and no {secret:?}"), response.text()));
        }
        function.logs_a_line_of_call(id, secret)
    }

    fn problem(&self, error: &str, detail: Detail<'_>, causes: Option<&[(&str, &str)]>) -> Outcome {
        let response = self.response()?;
        let expected = || format!("{error}, {detail:?}, causes {causes:?}");
        if response.header("content-type") != Some("application/problem+json") {
            return Err(self.wrong(expected(), shown(response.status, &[], &response.body)));
        }
        let problem = response.problem();
        let got: Vec<(&str, &str)> = problem
            .cause
            .iter()
            .map(|cause| (cause.function.as_str(), cause.error.as_str()))
            .collect();
        if problem.error == error
            && detail.is(&problem.detail)
            && causes.is_none_or(|causes| got == causes)
        {
            return Ok(());
        }
        Err(self
            .wrong(expected(), format!("{}, {:?}, causes {got:?}", problem.error, problem.detail)))
    }

    pub fn wrong(&self, expected: String, got: String) -> Wrong {
        let pairs: Vec<String> =
            self.metadata.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let asked = format!("{} {} {}", self.target, pairs.join(" "), text(&self.body));
        Wrong { asked, expected, got }
    }
}

/// The expected message of an error, or a part of it.
#[derive(Clone, Copy, Debug)]
pub enum Detail<'a> {
    Is(&'a str),
    Has(&'a str),
}

impl Detail<'_> {
    fn is(&self, detail: &str) -> bool {
        match self {
            Detail::Is(whole) => detail == *whole,
            Detail::Has(part) => detail.contains(part),
        }
    }
}

fn shown(status: u16, headers: &[(&str, &str)], body: &[u8]) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    format!("{status} {headers}{}", text(body))
}

/// Returns bytes as readable text, without their middle if there are many.
fn text(bytes: &[u8]) -> String {
    const MOST: usize = 300;
    if bytes.len() <= MOST {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    format!("\"{}...\" ({} bytes)", bytes[..40].escape_ascii(), bytes.len())
}
