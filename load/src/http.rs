//! The part of HTTP/1.1 that a load needs: a POST, and an answer with a content length.

use anyhow::{Context, Result, bail, ensure};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The maximum length of an answer's head. It exceeds that of any answer from Nightcore, where the
/// headers that a function sets have at most 32 KiB.
pub const MAX_HEAD_BYTES: usize = 64 * 1024;
/// The time limit for making a connection. A server on this machine that does not accept a
/// connection within this time accepts none.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The parsed parts of an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The length of the head, including the empty line at its end.
    pub head_bytes: usize,
    /// The length of the body.
    pub body_bytes: usize,
    /// Whether the server closes the connection after this answer.
    pub closes: bool,
    /// Whether the body is `application/problem+json`.
    pub is_problem: bool,
}

/// Returns the bytes of a POST.
pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Parses the head at the beginning of `bytes`. Returns `None` if it is not complete yet.
///
/// # Errors
///
/// Fails if the head is too long, or if it is not the head of an HTTP/1.1 answer with a known
/// length.
pub fn parse_head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        ensure!(
            bytes.len() < MAX_HEAD_BYTES,
            "the server's head is longer than {MAX_HEAD_BYTES} bytes"
        );
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .with_context(|| format!("the server answered something else than HTTP/1.1: {first:?}"))?;
    let (mut body_bytes, mut closes, mut is_problem) = (None, false, false);
    for line in lines {
        let (name, value) =
            line.split_once(':').with_context(|| format!("not a header: {line:?}"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = Some(value.parse().with_context(|| format!("not a length: {value:?}"))?);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("content-type") {
            is_problem = value == "application/problem+json";
        }
    }
    let body_bytes = match body_bytes {
        // Answers with these statuses have no body, whatever their Content-Length is.
        _ if matches!(status, 204 | 304) => 0,
        Some(bytes) => bytes,
        None => bail!("the server's answer has no content length"),
    };
    Ok(Some(Head { status, head_bytes: end + 4, body_bytes, closes, is_problem }))
}

/// Connects to a server, and sets `TCP_NODELAY`.
///
/// # Errors
///
/// Fails if no connection can be made. The error can be downcast to [`std::io::Error`].
pub fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&address, CONNECT_WITHIN)
        .with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_all_there() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-LENGTH: 3\r\nConnection: close\r\n\r\nabc";
        assert_eq!(parse_head(&bytes[..20]).unwrap(), None);
        let head = parse_head(bytes).unwrap().unwrap();
        let head_bytes = bytes.len() - 3;
        let expected =
            Head { status: 200, head_bytes, body_bytes: 3, closes: true, is_problem: false };
        assert_eq!(head, expected);
    }

    #[test]
    fn answers_that_cannot_be_measured_are_refused() {
        assert!(parse_head(b"HTTP/1.0 200 OK\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n").is_err());
        assert!(parse_head(&[b'a'; MAX_HEAD_BYTES]).is_err());
    }

    #[test]
    fn an_answer_that_has_no_body_needs_no_length() {
        for head in ["204 No Content\r\n", "304 Not Modified\r\nContent-Length: 7\r\n"] {
            let head = format!("HTTP/1.1 {head}\r\n");
            assert_eq!(parse_head(head.as_bytes()).unwrap().unwrap().body_bytes, 0, "{head}");
        }
    }

    #[test]
    fn header_values_may_be_any_bytes() {
        let head = b"HTTP/1.1 200 OK\r\nX: \xff\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(parse_head(head).unwrap().unwrap().head_bytes, head.len());
    }
}
