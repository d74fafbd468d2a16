//! The part of HTTP/1.1 that the bench needs: a POST, and an answer with a content length, on a
//! kept connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::run::interrupt;

/// More than the head of any server's answer here.
pub const MAX_HEAD_BYTES: usize = 8 * 1024;
/// The number of bytes of an error's body that are shown.
const SHOWN_BODY_BYTES: usize = 300;
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The parsed parts of an answer's head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// The length of the head itself, with the empty line.
    pub head_bytes: usize,
    /// The length of the body.
    pub body_bytes: usize,
    /// Whether the server closes the connection after this answer.
    pub closes: bool,
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
pub fn parse_head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        ensure!(
            bytes.len() < MAX_HEAD_BYTES,
            "the server's head is longer than {MAX_HEAD_BYTES} bytes"
        );
        return Ok(None);
    };
    let text = std::str::from_utf8(&bytes[..end]).context("the server's head is not text")?;
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let status = first
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .with_context(|| format!("the server answered something else than HTTP/1.1: {first:?}"))?;
    let mut body_bytes = None;
    let mut closes = false;
    for line in lines {
        let (name, value) =
            line.split_once(':').with_context(|| format!("not a header: {line:?}"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = Some(value.parse().with_context(|| format!("not a length: {value:?}"))?);
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        }
    }
    let body_bytes = match body_bytes {
        Some(bytes) => bytes,
        None if status == 204 => 0,
        None => bail!("the server's answer has no content length"),
    };
    Ok(Some(Head { status, head_bytes: end + 4, body_bytes, closes }))
}

/// Returns the error for an answer that is not a success.
pub fn refusal(path: &str, status: u16, body: &[u8]) -> anyhow::Error {
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BODY_BYTES)]);
    anyhow::anyhow!("{path} answered {status}: {}", shown.trim())
}

/// Makes one call on a connection of its own and returns the body. Blocks for at most `within`.
pub fn call_once(
    address: SocketAddr,
    path: &str,
    body: &[u8],
    within: Duration,
) -> Result<Vec<u8>> {
    let end = Instant::now() + within;
    let mut stream = connect(address)?;
    stream
        .write_all(&post(address, path, body))
        .with_context(|| format!("cannot send to {path}"))?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    let mut head = None;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "{path} did not answer within {} s", within.as_secs());
        stream.set_read_timeout(Some(left))?;
        let got = match stream.read(&mut chunk) {
            Ok(0) => bail!("{path}: the server closed the connection"),
            Ok(got) => got,
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) =>
            {
                interrupt::check()?;
                continue;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read the answer of {path}"));
            }
        };
        bytes.extend_from_slice(&chunk[..got]);
        if head.is_none() {
            head = parse_head(&bytes)?;
        }
        let Some(head) = head else { continue };
        if bytes.len() < head.head_bytes + head.body_bytes {
            continue;
        }
        let body = bytes.split_off(head.head_bytes);
        return if head.status == 200 { Ok(body) } else { Err(refusal(path, head.status, &body)) };
    }
}

/// Connects, without Nagle's delay.
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
        assert_eq!(
            head,
            Head { status: 200, head_bytes: bytes.len() - 3, body_bytes: 3, closes: true }
        );
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        assert!(parse_head(b"HTTP/1.0 200 OK\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n").is_err());
        assert!(parse_head(&[b'a'; MAX_HEAD_BYTES]).is_err());
        assert_eq!(parse_head(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap().unwrap().body_bytes, 0);
    }
}
