//! What the gateway answers to which request.

use super::request::NoBody;
use super::{Calls, Routes, problem, request, response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use nightcore_runtime::protocol::{Failure, Status};
use std::rc::Rc;

const HEALTH: &str = "/healthz";
const READINESS: &str = "/readyz";

/// What the gateway holds requests to.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest body of a request.
    pub max_body_bytes: u64,
}

/// Whether the engine can serve.
pub trait Health {
    /// The functions that cannot be called yet, each with the reason; empty if the engine is ready.
    fn not_ready(&self) -> Vec<String>;
}

/// Answers requests.
pub struct Service<C, H> {
    /// Where calls go.
    pub calls: C,
    /// Whether the engine can serve.
    pub health: H,
    /// What requests are held to.
    pub limits: Limits,
    /// The functions' own paths.
    pub routes: Routes,
}

impl<C: Calls, H: Health> Service<C, H> {
    /// Answers one request. Dropping the future cancels the call.
    pub async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, incoming) = request.into_parts();
        if let Some(why) = request::malformed(&parts) {
            return problem::malformed(why);
        }
        let path = parts.uri.path();
        if matches!(path, HEALTH | READINESS) {
            return self.own_page(&parts.method, path);
        }
        let Some(target) = self.routes.find(path) else {
            let text =
                format!("there is nothing at {path}; functions are at /function/NAME and at their routes");
            return problem::response(None, &Failure::new(Status::NotFound, text));
        };
        let name = target.name;
        let Some(function) = self.calls.find(name) else {
            let text = format!("there is no function {name:?} that clients may call");
            return problem::response(Some(name), &Failure::new(Status::NotFound, text));
        };
        let max_bytes = self.limits.max_body_bytes;
        let call = async {
            request::announces_too_much(&incoming, max_bytes)?;
            let metadata = request::metadata(&parts, &target)?;
            let body = match request::body(incoming, max_bytes).await {
                Ok(body) => body,
                Err(NoBody::Failed(failure)) => return Err(failure),
                Err(NoBody::Malformed) => return Ok(problem::malformed("the request's body is malformed\n")),
            };
            response::response(self.calls.call(function, metadata, body).await?, &parts.method)
        };
        call.await.unwrap_or_else(|failure| problem::response(Some(name), &failure))
    }

    fn own_page(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return problem::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        if path == HEALTH {
            return problem::plain(StatusCode::OK, "ok\n");
        }
        let not_ready = self.health.not_ready();
        if not_ready.is_empty() {
            return problem::plain(StatusCode::OK, "ready\n");
        }
        let text = format!("not ready: {}", not_ready.join("; "));
        problem::response(None, &Failure::new(Status::Unavailable, text))
    }
}
