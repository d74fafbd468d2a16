//! Asks a running engine over its admin socket.

use super::arguments::Engine;
use super::exit::{EXIT_NO_ENGINE, Exit};
use super::runtime::runtime;
use crate::directory::admin_socket;
use crate::observe::status::EngineStatus;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderMap, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// Asks for one page.
pub(super) fn ask(
    engine: &Engine,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), Exit> {
    ask_with(engine, method, path, HeaderMap::new(), body)
}

/// Asks for one page, with these headers besides those that every request has.
pub(super) fn ask_with(
    engine: &Engine,
    method: Method,
    path: &str,
    mut headers: HeaderMap,
    body: Vec<u8>,
) -> Result<(StatusCode, Bytes), Exit> {
    let directory = engine.directory().map_err(Exit::bad_input)?;
    let socket = admin_socket(&directory);
    runtime()?.block_on(async {
        let none = |error: std::io::Error| {
            let place = directory.display();
            Exit::new(
                EXIT_NO_ENGINE,
                format!("no engine runs in {place} ({error}); start it with `nightcore up`"),
            )
        };
        let stream = UnixStream::connect(&socket).await.map_err(none)?;
        let lost = |error: hyper::Error| {
            Exit::new(EXIT_NO_ENGINE, format!("the engine did not answer: {error}"))
        };
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::task::spawn_local(connection);
        let request =
            Request::builder().method(method).uri(path).body(Full::new(Bytes::from(body)));
        let mut request = request.map_err(Exit::bad_input)?;
        headers.insert(HOST, HeaderValue::from_static("engine"));
        *request.headers_mut() = headers;
        let response = sender.send_request(request).await.map_err(lost)?;
        let status = response.status();
        Ok((status, response.into_body().collect().await.map_err(lost)?.to_bytes()))
    })
}

/// Asks for the engine's state.
pub(super) fn ask_status(engine: &Engine) -> Result<EngineStatus, Exit> {
    let (_, page) = ask(engine, Method::GET, "/status", Vec::new())?;
    serde_json::from_slice(&page).map_err(|error| {
        Exit::new(EXIT_NO_ENGINE, format!("the engine is of another version: {error}"))
    })
}
