//! Reads the time limit that a client sets for its call.

use hyper::HeaderMap;
use hyper::header::HeaderName;
use nightcore_runtime::protocol::{Failure, Status};
use std::time::Duration;

/// The header with which a client gives its call less time than the function's timeout.
pub const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-timeout-ms");

/// Returns the time limit in these headers; `None` if there is none.
///
/// # Errors
///
/// If the header occurs more than once, or is not a positive whole number of milliseconds.
pub fn timeout(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let mut values = headers.get_all(TIMEOUT_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let wrong = |found: String| {
        let text = format!(
            "X-Timeout-Ms is {found}; give a whole number of milliseconds, 1 or more, once"
        );
        Err(Failure::new(Status::InvalidArgument, text))
    };
    if values.next().is_some() {
        return wrong("there more than once".to_owned());
    }
    let shown = || format!("{:?}", String::from_utf8_lossy(value.as_bytes()));
    let digits = value
        .to_str()
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    match digits.map(str::parse) {
        None | Some(Ok(0)) => wrong(shown()),
        // A number too large for a u64 is longer than any timeout, as u64::MAX ms is.
        Some(millis) => Ok(Some(Duration::from_millis(millis.unwrap_or(u64::MAX)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    fn of(values: &[&'static [u8]]) -> Result<Option<Duration>, String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TIMEOUT_HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        timeout(&headers).map_err(|failure| failure.message)
    }

    #[test]
    fn whole_milliseconds_are_taken() {
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&[b"1"]), Ok(Some(Duration::from_millis(1))));
        assert_eq!(of(&[b"0250"]), Ok(Some(Duration::from_millis(250))));
        assert_eq!(of(&[b"99999999999999999999999"]), Ok(Some(Duration::from_millis(u64::MAX))));
    }

    #[test]
    fn anything_else_is_refused_with_what_was_found() {
        for value in ["", "0", "000", "-1", "+1", "1.5", "1e3", "5s", "1 0", "soon", "\u{663}"] {
            let said = of(&[value.as_bytes()]).unwrap_err();
            assert!(
                said.contains(&format!("is {value:?};")) && said.contains("milliseconds"),
                "{said}"
            );
        }
        assert!(of(&[b"\xff"]).unwrap_err().contains('\u{fffd}'));
        assert!(of(&[b"5", b"5"]).unwrap_err().contains("more than once"));
    }
}
