//! What the gateway answers to which request.

use super::{Calls, problem, request, response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode};
use nightcore_runtime::protocol::{Failure, Status};
use std::rc::Rc;

/// Below this path lie the functions.
const FUNCTIONS: &str = "/function/";

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
}

impl<C: Calls, H: Health> Service<C, H> {
    /// Answers one request. Dropping the future cancels the call.
    pub async fn answer(self: Rc<Self>, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, incoming) = request.into_parts();
        let path = parts.uri.path();
        let Some(below) = path.strip_prefix(FUNCTIONS) else { return self.own_page(&parts.method, path) };
        let (name, path) = below.find('/').map_or((below, "/"), |at| below.split_at(at));
        let Some(function) = self.calls.find(name) else {
            let text = format!("there is no function {name:?} that clients may call");
            return problem::response(Some(name), &Failure::new(Status::NotFound, text));
        };
        let max_bytes = self.limits.max_body_bytes;
        let call = async {
            request::announces_too_much(&parts.headers, max_bytes)?;
            let metadata = request::metadata(&parts, path)?;
            let body = request::body(incoming, max_bytes).await?;
            response::response(self.calls.call(function, metadata, body).await?)
        };
        call.await.unwrap_or_else(|failure| problem::response(Some(name), &failure))
    }

    fn own_page(&self, method: &Method, path: &str) -> Response<Full<Bytes>> {
        if !matches!(path, "/healthz" | "/readyz") {
            let text = format!("there is nothing at {path}; functions are below {FUNCTIONS}NAME");
            return problem::response(None, &Failure::new(Status::NotFound, text));
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return problem::plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
        }
        if path == "/healthz" {
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
