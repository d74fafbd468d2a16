//! Sends requests to a running engine over its admin socket.

use super::arguments::Engine;
use super::exit::{EXIT_BAD_INPUT, EXIT_NO_ENGINE, Exit};
use super::http::{PageRequest, get, request};
use super::runtime::runtime;
use crate::observe::admin::{ANSWERED, InvokeError, REFUSED};
use crate::observe::status::EngineStatus;
use bytes::Bytes;
use hyper::{Response, StatusCode};

/// Requests one page.
pub(super) fn ask(engine: &Engine, asked: PageRequest) -> Result<Response<Bytes>, Exit> {
    let stream = engine.connect()?;
    let answered = runtime()?.block_on(request(stream, asked)).map_err(|error| {
        Exit::new(EXIT_NO_ENGINE, format!("the engine did not answer: {error:#}"))
    })?;
    match refusal(&answered) {
        Some(message) => Err(Exit::new(EXIT_BAD_INPUT, format!("refused: {message}"))),
        None => Ok(answered),
    }
}

/// Returns the reason why the engine refuses this process, if it does.
fn refusal(answered: &Response<Bytes>) -> Option<String> {
    if answered.status() != StatusCode::FORBIDDEN || answered.headers().contains_key(ANSWERED) {
        return None;
    }
    let error: InvokeError = serde_json::from_slice(answered.body()).ok()?;
    (error.error == REFUSED).then_some(error.message)
}

/// Requests the engine's state.
pub(super) fn ask_status(engine: &Engine) -> Result<EngineStatus, Exit> {
    let page = ask(engine, get("/status"))?;
    serde_json::from_slice(page.body()).map_err(|error| {
        Exit::new(EXIT_NO_ENGINE, format!("the engine is of another version: {error}"))
    })
}
