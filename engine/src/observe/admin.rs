//! The pages on the engine's admin socket, which only its owner can reach: `GET /status`, `GET
//! /metrics`, `GET /engine`, `POST /invoke/NAME`, `POST /attach/NAME`, `POST /reload`.

use crate::aside::run_aside;
use crate::core::CoreCalls;
use crate::gateway::{
    Calls, Client, DescriptorReserve, Gateway, RequestBody, Room, Site, Stop, response, tell_id,
    timeout,
};
use crate::observe::metrics::CONTENT_TYPE;
use crate::observe::status::Observed;
use crate::process_tree::ProcessIdentity;
use crate::reload::{self, Changes, SharedConfig};
use crate::transport::Identity;
use bytes::Bytes;
use hyper::header::{CONTENT_TYPE as CONTENT_TYPE_HEADER, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Response};
use nightcore_runtime::protocol::{Failure, MetadataBuffer, Status};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::rc::Rc;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, oneshot};

/// The maximum size of a reload request's body, in bytes.
const MAX_RELOAD_BYTES: u64 = 1024 * 1024;

/// The error of a failed call by `nightcore invoke`.
#[derive(Debug, Serialize, Deserialize)]
pub struct InvokeError {
    /// The error's name.
    pub error: String,
    /// Its message.
    pub message: String,
    /// The callees' errors that led to it.
    pub cause: Vec<String>,
}

/// All that a process started by hand needs to become a container, and to run as the function's own
/// processes do.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attachment {
    /// The control socket.
    pub socket: String,
    /// The token.
    pub token: String,
    /// The function's working directory.
    pub cwd: OsString,
    /// The variables that the function's table sets.
    pub env: Vec<(String, String)>,
    /// The function's limit of open files.
    pub open_files: Option<u32>,
}

/// Identifies an engine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EngineInfo {
    /// The id of its process.
    pub pid: u32,
    /// Its configuration file: the path as the user wrote it, made absolute.
    pub config: OsString,
    /// Whether the user has chosen its directory with `--dir`.
    pub is_named: bool,
}

/// The error of an answer to a process that may not use these pages. The answer has the HTTP status
/// 403.
pub const REFUSED: &str = "REFUSED";

/// A header that marks the answers of functions on this socket. Failures of calls do not have it.
/// Both may have any HTTP status.
pub const ANSWERED: HeaderName = HeaderName::from_static("x-nightcore-answered");

/// Serves the pages of the admin socket.
pub struct AdminPages {
    /// The engine's state.
    pub observed: Rc<Observed>,
    /// The identity of the engine.
    pub info: EngineInfo,
    /// The configuration of its functions.
    pub config: SharedConfig,
    /// The control socket.
    pub control_socket: String,
    /// The maximum size of a call's body, in bytes.
    pub max_body_bytes: u64,
    /// The channel for reload requests.
    pub reloads: mpsc::UnboundedSender<reload::Request>,
    /// The descriptors for finding out which process asks.
    pub reserve: Rc<DescriptorReserve>,
    /// The children of this process that are older than the engine. Its other descendants are
    /// processes of functions.
    pub older_children: Vec<ProcessIdentity>,
}

impl AdminPages {
    /// Serves the pages for ever.
    pub async fn serve(self: Rc<Self>, listener: UnixListener, room: Room) {
        let gateway = Gateway::for_processes(room, self.observed.memory, self.reserve.clone());
        gateway.serve(listener, self, Stop::default()).await;
    }
}

impl Site for AdminPages {
    async fn answer(
        &self,
        parts: &Parts,
        body: &mut RequestBody,
        client: &Client,
    ) -> Response<Bytes> {
        let path = parts.uri.path();
        let words: Vec<&str> = path.trim_start_matches('/').splitn(2, '/').collect();
        // A command asks for this page first, to find the engine that then refuses it.
        if words != ["engine"]
            && let Err(message) = self.check_process(client)
        {
            let error = InvokeError { error: REFUSED.into(), message, cause: Vec::new() };
            return json(403, &error);
        }
        match (&parts.method, &words[..]) {
            (&Method::GET, ["status"]) => json(200, &self.observed.status()),
            (&Method::GET, ["engine"]) => json(200, &self.info),
            (&Method::GET, ["metrics"]) => metrics(&self.observed).await,
            (&Method::POST, ["invoke", name]) => match self.invoke(name, parts, body, client).await
            {
                Ok(answered) => answered,
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
            (&Method::POST, ["attach", name]) => match self.attach(name, client) {
                Ok(attachment) => json(200, &attachment),
                Err(failure) => {
                    let error = failure.status.name().into();
                    json(
                        failure.status.http(),
                        &InvokeError { error, message: failure.message, cause: Vec::new() },
                    )
                }
            },
            (&Method::POST, ["reload"]) => json(200, &self.reload(body).await),
            _ => {
                let message = format!("there is no page {path}");
                json(404, &InvokeError { error: "NOT_FOUND".into(), message, cause: Vec::new() })
            }
        }
    }
}

impl AdminPages {
    /// Refuses processes of functions: with these pages they could get the calls of other functions
    /// and change the engine.
    fn check_process(&self, client: &Client) -> Result<(), String> {
        let lineage = client
            .lineage()
            .map_err(|error| format!("cannot find out which process asks: {error}"))?;
        let engine = lineage.iter().position(|p| p.pid.cast_unsigned() == self.info.pid);
        let Some(child) = engine.and_then(|engine| engine.checked_sub(1)) else { return Ok(()) };
        if self.older_children.contains(&lineage[child]) {
            return Ok(());
        }
        Err(format!(
            "process {} descends from this engine, or has become its child when its own parent \
             ended; commands are for the people at this machine, and functions call each other \
             with the library",
            lineage[0].pid
        ))
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

    async fn invoke(
        &self,
        name: &str,
        parts: &Parts,
        body: &mut RequestBody,
        client: &Client,
    ) -> Result<Response<Bytes>, Failure> {
        let function =
            self.observed.core.borrow().scheduler().find(name).ok_or_else(|| self.unknown(name))?;
        let timeout = timeout(&parts.headers)?;
        let body = body.read(self.max_body_bytes).await?;
        let calls = CoreCalls { core: self.observed.core.clone(), memory: self.observed.memory };
        let _under_way = client.begin_call();
        let called = calls.call(function, timeout, MetadataBuffer::new(), body).await;
        let mut answered = response(called.outcome?, &parts.method)?;
        if let Some(id) = called.id {
            tell_id(&mut answered, id);
        }
        answered.headers_mut().insert(ANSWERED, HeaderValue::from_static("true"));
        Ok(answered)
    }

    async fn reload(&self, body: &mut RequestBody) -> Result<Changes, String> {
        let body = body.read(MAX_RELOAD_BYTES).await;
        let body = body.map_err(|error| Failure::from(error).message)?;
        let forced = serde_json::from_slice(&body.bytes).map_err(|error| error.to_string())?;
        let (answer, done) = oneshot::channel();
        let ending = || "the engine is ending".to_owned();
        self.reloads.send(reload::Request { forced, answer }).map_err(|_| ending())?;
        done.await.unwrap_or_else(|_| Err(ending()))
    }

    fn attach(&self, name: &str, client: &Client) -> Result<Attachment, Failure> {
        let function =
            self.observed.core.borrow().scheduler().find(name).ok_or_else(|| self.unknown(name))?;
        let table = self.config.find(name).ok_or_else(|| self.unknown(name))?;
        let program = "the attached program".to_owned();
        let identity = Identity { launched: None, function, name: name.to_owned(), program };
        // The process that asks becomes the program.
        let process = client.lineage().ok().and_then(|lineage| lineage.first().copied());
        let process = process.ok_or_else(|| {
            let text = "the engine cannot see this process, which is in another PID namespace: \
                        attach from a shell in the engine's own";
            Failure::new(Status::InvalidState, text)
        })?;
        let token = self.observed.core.borrow_mut().tokens.issue(identity, Some(process));
        let token = token.map_err(|error| {
            Failure::new(Status::Internal, format!("no random token to be had: {error}"))
        })?;
        Ok(Attachment {
            socket: self.control_socket.clone(),
            token,
            cwd: table.cwd.into_os_string(),
            env: table.env,
            open_files: table.keys.limits.open_files,
        })
    }
}

/// Returns the page of metrics. It is written on another thread, so that it delays no call.
pub(super) async fn metrics(observed: &Observed) -> Response<Bytes> {
    let metrics = observed.metrics();
    let Some(Ok(page)) = run_aside(move || metrics.page()).await else {
        return text(500, "the page could not be written\n");
    };
    let mut response = Response::new(Bytes::from(page));
    response.headers_mut().insert(CONTENT_TYPE_HEADER, HeaderValue::from_static(CONTENT_TYPE));
    response
}

/// Returns a page of text.
pub(super) fn text(status: u16, text: &'static str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
    response
}

fn json(status: u16, value: &impl Serialize) -> Response<Bytes> {
    let body = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(Bytes::from(body));
    if let Ok(status) = hyper::StatusCode::from_u16(status) {
        *response.status_mut() = status;
    }
    response
}
