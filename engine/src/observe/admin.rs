//! The pages on the engine's admin socket, which only its owner can reach: `GET /status`, `GET
//! /metrics`, `POST /invoke/NAME`, `POST /attach/NAME`, `POST /reload`.

use crate::core::CoreCalls;
use crate::gateway::{Answer, Calls, timeout};
use crate::observe::metrics::CONTENT_TYPE;
use crate::observe::status::Observed;
use crate::reload::{self, Changes};
use crate::transport::Identity;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use nightcore_runtime::protocol::{Failure, MetadataBuffer, Status};
use serde::{Deserialize, Serialize};
use std::convert::Infallible;
use std::rc::Rc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{spawn_blocking, spawn_local};

/// Most bytes that say what to reload.
const MAX_RELOAD_BYTES: usize = 1024 * 1024;
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a call by `nightcore invoke` failed.
#[derive(Debug, Serialize, Deserialize)]
pub struct InvokeError {
    /// The error's name.
    pub error: String,
    /// Its message.
    pub message: String,
    /// The callees' errors that led to it.
    pub cause: Vec<String>,
}

/// What a process needs to become a container by hand.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attachment {
    /// The control socket.
    pub socket: String,
    /// The token.
    pub token: String,
}

/// What the pages are about.
pub struct Admin {
    /// The engine.
    pub observed: Rc<Observed>,
    /// The control socket.
    pub control_socket: String,
    /// Largest body of a call.
    pub max_body_bytes: u64,
    /// Where reloads are asked for.
    pub reloads: mpsc::UnboundedSender<reload::Request>,
}

impl Admin {
    /// Serves the pages for ever.
    pub async fn serve(self, listener: UnixListener) {
        let admin = Rc::new(self);
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(spawn_local(admin.clone().connection(stream))),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    async fn connection(self: Rc<Self>, stream: UnixStream) {
        let answer = service_fn(move |request| {
            let admin = self.clone();
            async move { Ok::<_, Infallible>(admin.answer(request).await) }
        });
        // What goes wrong here concerns the command that asks, which sees it.
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let parts: Vec<&str> = path.trim_start_matches('/').splitn(2, '/').collect();
        match (request.method(), &parts[..]) {
            (&Method::GET, ["status"]) => json(200, &self.observed.status()),
            (&Method::GET, ["metrics"]) => metrics(&self.observed).await,
            (&Method::POST, ["invoke", name]) => match self.invoke(name, request).await {
                Ok(answer) => Response::new(Full::new(answer.body)),
                Err(failure) => {
                    let cause = failure.cause.iter();
                    let cause = cause
                        .map(|c| format!("{}: {}: {}", c.function, c.status, c.message))
                        .collect();
                    let error = InvokeError {
                        error: failure.status.name().into(),
                        message: failure.message.clone(),
                        cause,
                    };
                    json(failure.status.http(), &error)
                }
            },
            (&Method::POST, ["attach", name]) => match self.attach(name) {
                Ok(attachment) => json(200, &attachment),
                Err(failure) => {
                    let error = failure.status.name().into();
                    json(
                        failure.status.http(),
                        &InvokeError { error, message: failure.message, cause: Vec::new() },
                    )
                }
            },
            (&Method::POST, ["reload"]) => json(200, &self.reload(request.into_body()).await),
            _ => {
                let message = format!("there is no page {path}");
                json(404, &InvokeError { error: "NOT_FOUND".into(), message, cause: Vec::new() })
            }
        }
    }

    fn unknown(&self, name: &str) -> Failure {
        let core = self.observed.core.borrow();
        let scheduler = core.scheduler();
        let names: Vec<&str> =
            scheduler.functions().map(|id| scheduler.spec(id).name.as_str()).collect();
        Failure::new(
            Status::NotFound,
            format!("there is no function {name:?}; there are: {}", names.join(", ")),
        )
    }

    async fn invoke(&self, name: &str, request: Request<Incoming>) -> Result<Answer, Failure> {
        let function =
            self.observed.core.borrow().scheduler().find(name).ok_or_else(|| self.unknown(name))?;
        let timeout = timeout(request.headers())?;
        let body = Limited::new(request.into_body(), self.max_body_bytes as usize).collect().await;
        let body = body
            .map_err(|error| Failure::new(Status::PayloadTooLarge, error.to_string()))?
            .to_bytes();
        let calls = CoreCalls(self.observed.core.clone());
        calls.call(function, timeout, MetadataBuffer::new(), body).await.outcome
    }

    async fn reload(&self, body: Incoming) -> Result<Changes, String> {
        let body = Limited::new(body, MAX_RELOAD_BYTES).collect().await;
        let body = body.map_err(|error| error.to_string())?.to_bytes();
        let forced = serde_json::from_slice(&body).map_err(|error| error.to_string())?;
        let (answer, done) = oneshot::channel();
        let ending = || "the engine is ending".to_owned();
        self.reloads.send(reload::Request { forced, answer }).map_err(|_| ending())?;
        done.await.unwrap_or_else(|_| Err(ending()))
    }

    fn attach(&self, name: &str) -> Result<Attachment, Failure> {
        let function =
            self.observed.core.borrow().scheduler().find(name).ok_or_else(|| self.unknown(name))?;
        let program = "the attached program".to_owned();
        let identity = Identity { launched: None, function, name: name.to_owned(), program };
        let token = self.observed.core.borrow_mut().tokens.issue(identity);
        let token = token.map_err(|error| {
            Failure::new(Status::Internal, format!("no random token to be had: {error}"))
        })?;
        Ok(Attachment { socket: self.control_socket.clone(), token })
    }
}

/// The page of metrics, written where it holds up no call.
pub(super) async fn metrics(observed: &Observed) -> Response<Full<Bytes>> {
    let metrics = observed.metrics();
    let Ok(Ok(page)) = spawn_blocking(move || metrics.page()).await else {
        return text(500, "the page could not be written\n");
    };
    let mut response = Response::new(Full::new(Bytes::from(page)));
    response.headers_mut().insert(CONTENT_TYPE_HEADER, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// A page of text.
pub(super) fn text(status: u16, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

fn json(status: u16, value: &impl Serialize) -> Response<Full<Bytes>> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    response
}
