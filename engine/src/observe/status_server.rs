//! The pages at `[admin] listen`: `GET /metrics`, `/healthz`, `/readyz`. Anyone who can reach the
//! address can read them. So they change nothing, and show neither the payloads of calls nor the
//! output of functions.

use super::admin::{metrics, text};
use super::status::Observed;
use crate::gateway::{
    Client, Gateway, Health, RequestBody, Room, Site, Stop, health_page, only_get,
};
use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use std::rc::Rc;
use tokio::net::TcpListener;

/// Serves metrics and health.
pub struct StatusServer<H> {
    /// The engine.
    pub observed: Rc<Observed>,
    /// The health of the engine.
    pub health: H,
}

impl<H: Health + 'static> StatusServer<H> {
    /// Serves the pages for ever.
    pub async fn serve(self, listener: TcpListener, room: Room) {
        let gateway = Gateway::with_room(room, self.observed.memory);
        gateway.serve(listener, Rc::new(self), Stop::default()).await;
    }
}

impl<H: Health> Site for StatusServer<H> {
    async fn answer(
        &self,
        parts: &Parts,
        _body: &mut RequestBody,
        _client: &Client,
    ) -> Response<Bytes> {
        let path = parts.uri.path();
        if let Some(page) = health_page(&self.health, &parts.method, path) {
            return page;
        }
        match (&parts.method, path) {
            (&Method::GET | &Method::HEAD, "/metrics") => metrics(&self.observed).await,
            (_, "/metrics") => only_get(),
            _ => text(404, "there are /metrics, /healthz and /readyz\n"),
        }
    }
}
