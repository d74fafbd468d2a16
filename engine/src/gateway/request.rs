//! An HTTP request as a function sees it: metadata and a body within the limit.

use super::routes::Target;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::Version;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::{HOST, HeaderName, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use nightcore_runtime::protocol::{Failure, MetadataBuffer, MetadataError, Status};
use std::io;
use std::time::Duration;
use tokio::time::Instant;

/// Time a client has for a part of a body of [`BODY_PART_BYTES`], or for what is left of it.
const BODY_PART_TIMEOUT: Duration = Duration::from_secs(30);
/// Slower than 500 bytes a second nobody is who means to send it all; and a body that comes byte by
/// byte would otherwise hold its connection and its memory for as long as its client likes.
const BODY_PART_BYTES: u64 = 16 * 1024;

/// Room that the metadata of most requests fit.
const USUAL_METADATA_BYTES: usize = 512;

/// Headers that concern the connection, not the request.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The metadata of a request for a function: `:method`, `:prefix` (the path that led to the
/// function), `:path` (what follows), `:query`, then its headers in order.
pub(super) fn metadata(parts: &Parts, target: &Target<'_>) -> Result<MetadataBuffer, Failure> {
    let mut metadata = MetadataBuffer::with_capacity(USUAL_METADATA_BYTES);
    let mut add = || {
        metadata.push(":method", parts.method.as_str().as_bytes())?;
        metadata.push(":prefix", target.prefix.as_bytes())?;
        metadata.push(":path", target.path.as_bytes())?;
        if let Some(query) = parts.uri.query() {
            metadata.push(":query", query.as_bytes())?;
        }
        if let Some(authority) =
            parts.uri.authority().filter(|_| !parts.headers.contains_key("host"))
        {
            metadata.push("host", authority.as_str().as_bytes())?;
        }
        for (name, value) in parts.headers.iter().filter(|(name, _)| !is_hop_by_hop(name)) {
            metadata.push(name.as_str(), value.as_bytes())?;
        }
        Ok(())
    };
    add()
        .map_err(|error: MetadataError| Failure::new(Status::PayloadTooLarge, error.to_string()))?;
    Ok(metadata)
}

fn too_large(max_bytes: u64) -> Failure {
    Failure::new(
        Status::PayloadTooLarge,
        format!("the request's body is over the limit of {max_bytes} bytes"),
    )
}

/// Whether the request says itself that its body is over the limit; then none of it is read.
pub(super) fn announces_too_much(incoming: &Incoming, max_bytes: u64) -> Result<(), Failure> {
    if incoming.size_hint().lower() > max_bytes { Err(too_large(max_bytes)) } else { Ok(()) }
}

/// Why a request is none that may be answered: two who read it might not agree on where it ends or
/// for whom it is.
pub(super) fn malformed(parts: &Parts) -> Option<&'static str> {
    if parts.version != Version::HTTP_11 {
        return None;
    }
    let mut hosts = parts.headers.get_all(HOST).iter();
    if hosts.next().is_none() || hosts.next().is_some() {
        return Some("the request has no Host header, or more than one\n");
    }
    // Other codings are taken off by nobody here.
    let mut codings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => None,
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => None,
        _ => Some("the only transfer coding that is known is chunked, once\n"),
    }
}

/// Why a request comes to no call.
pub(super) enum NoCall {
    /// Its body is not what HTTP says a body is.
    Malformed,
    /// Its body did not come or is too large, or its headers say what cannot be done.
    Failed(Failure),
}

impl From<Failure> for NoCall {
    fn from(failure: Failure) -> NoCall {
        NoCall::Failed(failure)
    }
}

impl From<hyper::Error> for NoCall {
    fn from(error: hyper::Error) -> NoCall {
        let cause =
            std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
        match cause.map(io::Error::kind) {
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => NoCall::Malformed,
            _ => NoCall::Failed(Failure::new(
                Status::Cancelled,
                format!("the request was cut off: {error}"),
            )),
        }
    }
}

/// The next piece of a body, which is not waited for after `until`.
async fn next_frame(
    incoming: &mut Incoming,
    until: Instant,
) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, NoCall> {
    let frame = tokio::time::timeout_at(until, incoming.frame()).await;
    frame.map_err(|_| {
        let text = format!(
            "of its body the client sent less than {BODY_PART_BYTES} bytes in {} s",
            BODY_PART_TIMEOUT.as_secs()
        );
        NoCall::Failed(Failure::new(Status::Cancelled, text))
    })
}

/// Reads a body within the limit.
pub(super) async fn body(mut incoming: Incoming, max_bytes: u64) -> Result<Bytes, NoCall> {
    if incoming.is_end_stream() {
        return Ok(Bytes::new());
    }
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut received: u64 = 0;
    let (mut part_until, mut part_ends) = (Instant::now() + BODY_PART_TIMEOUT, BODY_PART_BYTES);
    while let Some(frame) = next_frame(&mut incoming, part_until).await? {
        let Ok(data) = frame?.into_data() else { continue };
        received += data.len() as u64;
        if received > max_bytes {
            return Err(NoCall::Failed(too_large(max_bytes)));
        }
        if received >= part_ends {
            (part_until, part_ends) =
                (Instant::now() + BODY_PART_TIMEOUT, received + BODY_PART_BYTES);
        }
        // A body that came in one piece is not copied.
        if first.is_empty() && rest.is_none() {
            first = data;
        } else {
            let announced = incoming.size_hint().lower().min(max_bytes) as usize;
            let rest = rest.get_or_insert_with(|| {
                let mut all = BytesMut::with_capacity(first.len() + data.len() + announced);
                all.extend_from_slice(&first);
                all
            });
            rest.extend_from_slice(&data);
        }
    }
    Ok(rest.map_or(first, BytesMut::freeze))
}
