//! How a call of a load ended: answered, or with an error of some name.

use super::tally::CallResult;
use nightcore_load::Answer;
use nightcore_runtime::protocol::status::TABLE;
use serde::Deserialize;

/// The error name of a call whose connection broke before its answer arrived.
const CONNECTION_LOST: &str = "CONNECTION_LOST";

/// Returns how a call with this answer ended.
pub(super) fn ending(answer: anyhow::Result<Answer>) -> CallResult {
    let Ok(Answer { head, body }) = answer else {
        return CallResult::Failed(CONNECTION_LOST.to_owned());
    };
    if head.status < 400 {
        return CallResult::Answered;
    }
    // A body that is cut off is no JSON. Then only the status is used.
    let name = head.is_problem.then(|| error_name(&body)).flatten();
    CallResult::Failed(name.unwrap_or_else(|| format!("HTTP_{}", head.status)))
}

/// Returns the engine's name of an error. Names that functions invent are ignored, as there may be
/// any number of them.
fn error_name(problem: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct ProblemBody {
        error: String,
    }
    let problem: ProblemBody = serde_json::from_slice(problem).ok()?;
    TABLE.iter().any(|row| row.name == problem.error).then_some(problem.error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightcore_load::http::Head;

    fn ending_of(status: u16, is_problem: bool, body: &[u8]) -> CallResult {
        let body_bytes = body.len();
        let head = Head { status, head_bytes: 0, body_bytes, closes: false, is_problem };
        ending(Ok(Answer { head, body: body.to_vec() }))
    }

    const OVERLOADED: &[u8] =
        br#"{"type":"about:blank","status":503,"error":"OVERLOADED","function":"Foo"}"#;

    #[test]
    fn every_status_below_400_is_an_answer() {
        for status in [200, 204, 304] {
            assert_eq!(ending_of(status, false, b""), CallResult::Answered);
        }
    }

    #[test]
    fn an_error_has_the_name_that_the_engine_gives_it() {
        let failed = |name: &str| CallResult::Failed(name.to_owned());
        assert_eq!(ending_of(503, true, OVERLOADED), failed("OVERLOADED"));
        assert_eq!(ending_of(503, false, OVERLOADED), failed("HTTP_503"));
        assert_eq!(ending(Err(anyhow::anyhow!("closed"))), failed("CONNECTION_LOST"));
    }

    #[test]
    fn an_error_that_the_engine_does_not_know_is_named_by_its_status() {
        for body in [&b"{\"error\":\"OUT_OF_STOCK\"}"[..], b"{\"error\":7}", b"{}", b"[", b""] {
            let expected = CallResult::Failed("HTTP_418".to_owned());
            assert_eq!(ending_of(418, true, body), expected, "{}", String::from_utf8_lossy(body));
        }
    }
}
