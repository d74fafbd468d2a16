//! Error answers: `application/problem+json`, RFC 9457.

use bytes::Bytes;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};
use nightcore_runtime::protocol::{CallId, Failure, Status};
use serde_json::{Map, Value, json};
use std::time::Duration;

/// The range of `Retry-After`, in seconds. The header has whole seconds, and no one can predict
/// what happens after a minute.
const RETRY_AFTER_MIN_S: u64 = 1;
const RETRY_AFTER_MAX_S: u64 = 60;

/// Returns the answer for a request that did not become a call; `function` is the function that it
/// named, if any.
pub(super) fn response(function: Option<&str>, failure: &Failure) -> Response<Bytes> {
    page(function, failure, None, Duration::ZERO)
}

/// Returns the answer for a failed call of `function`. `retry_after` says when a call that was
/// refused for lack of room may be retried.
pub(super) fn of_call(
    function: &str,
    failure: &Failure,
    id: Option<CallId>,
    retry_after: Duration,
) -> Response<Bytes> {
    page(Some(function), failure, id, retry_after)
}

fn page(
    function: Option<&str>,
    failure: &Failure,
    id: Option<CallId>,
    retry_after: Duration,
) -> Response<Bytes> {
    let status = failure.status;
    let http = StatusCode::from_u16(status.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut problem = Map::new();
    problem.insert("type".into(), "about:blank".into());
    problem.insert("title".into(), status.title().into());
    problem.insert("status".into(), status.http().into());
    problem.insert("detail".into(), failure.message.clone().into());
    problem.insert("error".into(), status.name().into());
    if let Some(function) = function {
        problem.insert("function".into(), function.into());
    }
    if let Some(id) = id {
        problem.insert("call".into(), id.to_string().into());
    }
    if !failure.cause.is_empty() {
        let cause = failure.cause.iter();
        let cause = cause.map(
            |c| json!({"function": c.function, "error": c.status.name(), "message": c.message}),
        );
        problem.insert("cause".into(), cause.collect());
    }
    let mut body = Value::Object(problem).to_string();
    body.push('\n');
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = http;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if matches!(status, Status::Overloaded | Status::Unavailable) {
        let seconds = retry_after.as_millis().div_ceil(1000).min(RETRY_AFTER_MAX_S.into()) as u64;
        headers.insert(RETRY_AFTER, seconds.max(RETRY_AFTER_MIN_S).into());
    }
    response
}

/// Returns a plain text answer for a request that concerns no function.
pub(super) fn plain(http: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = http;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Returns the answer to a malformed request. The beginning of the next request is unknown, so the
/// connection is closed.
pub(super) fn malformed(http: StatusCode, text: &'static str) -> Response<Bytes> {
    let mut response = plain(http, text);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Returns the answer to a method other than GET and HEAD on a page that has only these.
pub fn only_get() -> Response<Bytes> {
    let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}
