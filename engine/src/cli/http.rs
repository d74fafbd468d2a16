//! One request over a connection to an engine.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::os::unix::net::UnixStream;

/// A request.
pub(super) struct PageRequest {
    pub(super) method: Method,
    /// A page of the admin socket, such as "/status".
    pub(super) page: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Returns a GET request for a page.
pub(super) fn get(page: &str) -> PageRequest {
    PageRequest {
        method: Method::GET,
        page: page.to_owned(),
        headers: HeaderMap::new(),
        body: Vec::new(),
    }
}

/// Sends one request and returns the whole response. Must run in a runtime of one thread.
pub(super) async fn request(
    stream: UnixStream,
    asked: PageRequest,
) -> anyhow::Result<Response<Bytes>> {
    stream.set_nonblocking(true)?;
    let stream = tokio::net::UnixStream::from_std(stream)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    let request = Request::builder().method(asked.method).uri(asked.page);
    let mut request = request.body(Full::new(Bytes::from(asked.body)))?;
    *request.headers_mut() = asked.headers;
    request.headers_mut().insert(HOST, HeaderValue::from_static("engine"));
    let (parts, body) = sender.send_request(request).await?.into_parts();
    Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
}
