//! Sends requests to a running engine over its admin socket.

use super::arguments::Engine;
use super::exit::{EXIT_NO_ENGINE, Exit};
use super::http::{PageRequest, get, request};
use super::runtime::runtime;
use crate::observe::status::EngineStatus;
use bytes::Bytes;
use hyper::Response;

/// Requests one page.
pub(super) fn ask(engine: &Engine, asked: PageRequest) -> Result<Response<Bytes>, Exit> {
    let stream = engine.connect()?;
    let answered = runtime()?.block_on(request(stream, asked));
    answered
        .map_err(|error| Exit::new(EXIT_NO_ENGINE, format!("the engine did not answer: {error:#}")))
}

/// Requests the engine's state.
pub(super) fn ask_status(engine: &Engine) -> Result<EngineStatus, Exit> {
    let page = ask(engine, get("/status"))?;
    serde_json::from_slice(page.body()).map_err(|error| {
        Exit::new(EXIT_NO_ENGINE, format!("the engine is of another version: {error}"))
    })
}
