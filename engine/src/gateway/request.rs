//! Checks the head of an HTTP request, and builds the metadata that a function gets.

use super::hop::ConnectionHeaders;
use super::routes::Target;
use hyper::header::{AsHeaderName, COOKIE, HOST, HeaderMap, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use hyper::{Method, StatusCode, Version};
use nightcore_runtime::protocol::{Failure, MetadataBuffer, MetadataError};

/// The maximum size of a request's header lines and its first line, in bytes: somewhat more than
/// the metadata of a call may have. HTTP/2 counts 32 more bytes for each line.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;
/// The maximum number of header lines of an HTTP/1.1 request: as many as HTTP/2 allows within
/// [`MAX_HEADER_BYTES`].
pub(super) const MAX_HEADER_LINES: usize = 2048;

/// The memory that a request with a small body takes without its headers: hyper's state, the call
/// and the answer.
const REQUEST_BYTES: u64 = 8 * 1024;
/// The initial capacity, in which the metadata of most requests fit.
const USUAL_METADATA_BYTES: usize = 512;

/// Returns the metadata of a request for a function: `:method`, `:prefix` (the path that led to the
/// function), `:path` (the rest of the path), `:query`, `host`, then the other headers in order.
pub(super) fn metadata(parts: &Parts, target: &Target<'_>) -> Result<MetadataBuffer, Failure> {
    let mut metadata = MetadataBuffer::with_capacity(USUAL_METADATA_BYTES);
    let hop = ConnectionHeaders::of(&parts.headers);
    let authority = parts.uri.authority();
    // Clients of HTTP/2 may split cookies, but readers of a function's metadata expect one line.
    let joins_cookies = parts.version == Version::HTTP_2 && has_several(&parts.headers, COOKIE);
    let mut add = || -> Result<(), MetadataError> {
        metadata.push(":method", parts.method.as_str().as_bytes())?;
        metadata.push(":prefix", target.prefix.as_bytes())?;
        metadata.push(":path", target.path.as_bytes())?;
        if let Some(query) = parts.uri.query() {
            metadata.push(":query", query.as_bytes())?;
        }
        // The target names the host that the request is for; `Host` does if the target does not.
        let host = authority.map(|authority| authority.as_str().as_bytes());
        let host = host.or_else(|| parts.headers.get(HOST).map(|host| host.as_bytes()));
        if let Some(host) = host {
            metadata.push("host", host)?;
        }
        for (name, value) in &parts.headers {
            if name != HOST && !hop.contains(name) && !(joins_cookies && name == COOKIE) {
                metadata.push(name.as_str(), value.as_bytes())?;
            }
        }
        if joins_cookies {
            let cookies = parts.headers.get_all(COOKIE).iter().map(|cookie| cookie.as_bytes());
            metadata.push("cookie", &cookies.collect::<Vec<_>>().join(&b"; "[..]))?;
        }
        Ok(())
    };
    add().map_err(Failure::from)?;
    Ok(metadata)
}

/// Returns the number of bytes that a request holds besides its body.
pub(super) fn held_bytes(parts: &Parts) -> u64 {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let lines = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
    // The bytes are held once as headers, and once as metadata.
    REQUEST_BYTES + 2 * (target + lines.sum::<usize>()) as u64
}

fn has_several(headers: &HeaderMap, name: impl AsHeaderName) -> bool {
    headers.get_all(name).iter().nth(1).is_some()
}

/// Why a request is refused before its target is looked up.
pub(super) struct Malformed {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

const fn bad(text: &'static str) -> Result<(), Malformed> {
    Err(Malformed { status: StatusCode::BAD_REQUEST, text })
}

/// Refuses requests that two readers might understand differently (where the request ends, which
/// host it is for), and requests for features that the gateway does not have.
pub(super) fn check(parts: &Parts) -> Result<(), Malformed> {
    check_host(parts)?;
    check_codings(parts)?;
    if parts.method == Method::CONNECT {
        // A success would tell the client that it has a tunnel.
        let text = "CONNECT is not supported: there are no tunnels\n";
        return Err(Malformed { status: StatusCode::NOT_IMPLEMENTED, text });
    }
    if parts.uri.path().is_empty() {
        return bad("the request's target is neither a path nor a URL\n");
    }
    Ok(())
}

fn check_host(parts: &Parts) -> Result<(), Malformed> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() || host.is_none() && parts.version == Version::HTTP_11 {
        return bad("the request has no Host header, or more than one\n");
    }
    let authority = parts.uri.authority();
    if authority.is_some_and(|authority| authority.as_str().contains('@')) {
        return bad("the request's target names a user\n");
    }
    let Some(host) = host.map(|host| host.as_bytes()) else { return Ok(()) };
    let is_host =
        |host: &[u8]| host.is_empty() || !host.contains(&b'@') && Authority::try_from(host).is_ok();
    if !is_host(host) {
        return bad("the Host header is not a host with or without a port\n");
    }
    // Over HTTP/1.1 the target wins. An HTTP/2 client has no reason to send both.
    let differs = authority.is_some_and(|a| !a.as_str().as_bytes().eq_ignore_ascii_case(host));
    if differs && parts.version == Version::HTTP_2 {
        return bad("the Host header and :authority differ\n");
    }
    Ok(())
}

/// Checks the transfer codings. hyper removes `chunked`, and has refused a list that does not end
/// in it.
fn check_codings(parts: &Parts) -> Result<(), Malformed> {
    if !parts.headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    let lines = parts.headers.get_all(TRANSFER_ENCODING).iter();
    let codings = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    let codings: Vec<&[u8]> = codings.map(<[u8]>::trim_ascii).collect();
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    match codings.iter().filter(|coding| is_chunked(coding)).count() {
        1 if codings.len() == 1 => Ok(()),
        1 if codings.last().is_some_and(is_chunked) => Err(Malformed {
            status: StatusCode::NOT_IMPLEMENTED,
            text: "the only transfer coding that is known is chunked\n",
        }),
        _ => bad("chunked is the last transfer coding, once\n"),
    }
}
