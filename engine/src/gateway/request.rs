//! An HTTP request as a function sees it: metadata and a body within the limit.

use super::routes::Target;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::header::HeaderName;
use hyper::http::request::Parts;
use nightcore_runtime::protocol::{Failure, MetadataBuffer, MetadataError, Status};
use std::time::Duration;

/// Time a client may be silent in the middle of a body.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// Room that the metadata of most requests fit.
const USUAL_METADATA_BYTES: usize = 512;

/// Headers that concern the connection, not the request.
pub(super) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "te" | "trailer" | "transfer-encoding" | "upgrade"
    )
}

/// The metadata of a request for a function: `:method`, `:prefix` (the path that led to the function), `:path` (what
/// follows), `:query`, then its headers in order.
pub(super) fn metadata(parts: &Parts, target: &Target<'_>) -> Result<MetadataBuffer, Failure> {
    let mut metadata = MetadataBuffer::with_capacity(USUAL_METADATA_BYTES);
    let mut add = || {
        metadata.push(":method", parts.method.as_str().as_bytes())?;
        metadata.push(":prefix", target.prefix.as_bytes())?;
        metadata.push(":path", target.path.as_bytes())?;
        if let Some(query) = parts.uri.query() {
            metadata.push(":query", query.as_bytes())?;
        }
        if let Some(authority) = parts.uri.authority().filter(|_| !parts.headers.contains_key("host")) {
            metadata.push("host", authority.as_str().as_bytes())?;
        }
        for (name, value) in parts.headers.iter().filter(|(name, _)| !is_hop_by_hop(name)) {
            metadata.push(name.as_str(), value.as_bytes())?;
        }
        Ok(())
    };
    add().map_err(|error: MetadataError| Failure::new(Status::PayloadTooLarge, error.to_string()))?;
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

/// The next piece of a body; a client that has gone silent is not waited for.
async fn next_frame(incoming: &mut Incoming) -> Result<Option<Result<Frame<Bytes>, hyper::Error>>, Failure> {
    let frame = tokio::time::timeout(BODY_PAUSE, incoming.frame()).await;
    frame.map_err(|_| {
        let text = format!("the client sent nothing of its body for {} s", BODY_PAUSE.as_secs());
        Failure::new(Status::Cancelled, text)
    })
}

/// Reads a body within the limit.
pub(super) async fn body(mut incoming: Incoming, max_bytes: u64) -> Result<Bytes, Failure> {
    if incoming.is_end_stream() {
        return Ok(Bytes::new());
    }
    let mut first = Bytes::new();
    let mut rest: Option<BytesMut> = None;
    let mut received: u64 = 0;
    while let Some(frame) = next_frame(&mut incoming).await? {
        let cut = |e: hyper::Error| Failure::new(Status::Cancelled, format!("the request was cut off: {e}"));
        let Ok(data) = frame.map_err(cut)?.into_data() else { continue };
        received += data.len() as u64;
        if received > max_bytes {
            return Err(too_large(max_bytes));
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
