//! The pages at `[admin] listen`: `GET /metrics`, `/healthz`, `/readyz`. Whoever can reach the
//! address can read them, so nothing here changes anything or shows what calls carry or functions
//! print.

use super::admin::{metrics, text};
use super::status::Observed;
use crate::gateway::{Health, health_page};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_local;

/// Connections at once; more wait. A few tools ask, each every some seconds, and descriptors are
/// for clients and workers.
const MAX_CONNECTIONS: usize = 32;
/// Time a connection has for the head of a request; then it is closed, so that others get their
/// turn.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where metrics and health can be read.
pub struct Door<H> {
    /// The engine.
    pub observed: Rc<Observed>,
    /// Whether it can serve.
    pub health: H,
}

impl<H: Health + 'static> Door<H> {
    /// Serves the pages for ever.
    pub async fn serve(self, listener: TcpListener) {
        let door = Rc::new(self);
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            // It is never closed.
            let Ok(place) = room.clone().acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) => {
                    let connection = door.clone().connection(stream);
                    spawn_local(async {
                        connection.await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn connection(self: Rc<Self>, stream: TcpStream) {
        let answer = service_fn(move |request| {
            let door = self.clone();
            async move { Ok::<_, Infallible>(door.answer(&request).await) }
        });
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        // What goes wrong here concerns who asks, and he sees it.
        let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let (method, path) = (request.method(), request.uri().path());
        if let Some(page) = health_page(&self.health, method, path) {
            return page;
        }
        match (method, path) {
            (&Method::GET | &Method::HEAD, "/metrics") => metrics(&self.observed).await,
            (_, "/metrics") => text(405, "only GET\n"),
            _ => text(404, "there are /metrics, /healthz and /readyz\n"),
        }
    }
}
