//! Makes one call over HTTP, and describes an answer that is not a success.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nightcore_load::http::{connect, parse_head, post};

use crate::run::interrupt;

/// The number of bytes of an error's body that are shown.
const SHOWN_BODY_BYTES: usize = 300;

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
