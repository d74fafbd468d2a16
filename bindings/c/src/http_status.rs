//! HTTP statuses of replies and answers.

use crate::guard::invalid;
use nightcore_runtime::protocol::{Failure, Metadata, Status};

/// The HTTP statuses that a reply may have.
const OF_REPLIES: std::ops::RangeInclusive<u32> = 200..=599;
/// The first HTTP status that reports an error.
const FIRST_ERROR: u16 = 400;
/// The number of characters of a text body that an error quotes.
const QUOTED_CHARS: usize = 200;

/// Returns the digits of an HTTP status that a reply may have.
///
/// # Errors
/// INVALID_ARGUMENT if the status is not from 200 to 599.
pub(crate) fn digits(http_status: u32) -> Result<String, Failure> {
    if OF_REPLIES.contains(&http_status) {
        return Ok(http_status.to_string());
    }
    Err(invalid(format!("an HTTP status is from 200 to 599, not {http_status}")))
}

/// Returns the HTTP status in the metadata of an answer, or 200 if it has none.
pub(crate) fn of(metadata: Metadata<'_>) -> u16 {
    let digits = metadata.get(":status");
    digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(200)
}

/// Returns the failure that an answer of `function` stands for, or `None` if its HTTP status is
/// below 400.
pub(crate) fn failure_of(function: &str, metadata: Metadata<'_>, body: &[u8]) -> Option<Failure> {
    let http_status = of(metadata);
    if http_status < FIRST_ERROR {
        return None;
    }
    let mut message = format!("answered with HTTP status {http_status}");
    if let Some(text) = quoted(body) {
        message = format!("{message}: {text}");
    }
    let failure = Failure::new(Status::FunctionFailed, message);
    Some(Failure { function: function.into(), ..failure })
}

/// Returns the first characters of a body, or `None` if it is empty or is not text.
fn quoted(body: &[u8]) -> Option<&str> {
    let text = str::from_utf8(body).ok().filter(|text| !text.is_empty())?;
    let end = text.char_indices().nth(QUOTED_CHARS).map_or(text.len(), |(end, _)| end);
    Some(&text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightcore_runtime::protocol::MetadataBuffer;

    fn failure(http_status: &str, body: &[u8]) -> Option<Failure> {
        let mut metadata = MetadataBuffer::new();
        metadata.push(":status", http_status.as_bytes()).unwrap();
        failure_of("Bar", metadata.as_metadata(), body)
    }

    #[test]
    fn an_http_status_of_a_reply_is_from_200_to_599() {
        assert_eq!(digits(200).unwrap(), "200");
        assert_eq!(digits(599).unwrap(), "599");
        for wrong in [0, 99, 199, 600, u32::MAX] {
            assert_eq!(digits(wrong).unwrap_err().status, Status::InvalidArgument);
        }
    }

    #[test]
    fn an_answer_with_an_http_status_of_400_or_more_is_a_failure() {
        assert_eq!(failure("399", b"fine"), None);
        assert_eq!(failure_of("Bar", Metadata::default(), b""), None);
        let failure = failure("404", b"no such user").unwrap();
        assert_eq!((failure.status, failure.function.as_str()), (Status::FunctionFailed, "Bar"));
        assert_eq!(failure.message, "answered with HTTP status 404: no such user");
    }

    #[test]
    fn an_error_quotes_200_characters_of_a_text_and_nothing_else() {
        let message = |body: &[u8]| failure("500", body).unwrap().message;
        assert_eq!(message(b""), "answered with HTTP status 500");
        assert_eq!(message(b"\xff\xfe"), "answered with HTTP status 500");
        for length in [1, 199, 200, 1000] {
            let other = [&b"x".repeat(length)[..], b"\xff"].concat();
            assert_eq!(message(&other), "answered with HTTP status 500");
        }
        let long = "\u{20ac}".repeat(1000);
        let expected = format!("answered with HTTP status 500: {}", "\u{20ac}".repeat(200));
        assert_eq!(message(long.as_bytes()), expected);
    }
}
