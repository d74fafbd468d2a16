//! Answers the gateway's requests: health pages, and calls of functions.

use super::body::{NoCall, RequestBody};
use super::calls::{Called, Calls};
use super::client::Client;
use super::exchange::Site;
use super::routes::{SharedRoutes, Target};
use super::{deadline, problem, request, response};
use crate::ids::FunctionId;
use bytes::Bytes;
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use nightcore_runtime::protocol::{Failure, Status};

const HEALTH: &str = "/healthz";
const READINESS: &str = "/readyz";

/// The limits that the gateway enforces on requests.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// The maximum size of a request's body, in bytes.
    pub max_body_bytes: u64,
}

/// Reports whether the engine can serve.
pub trait Health {
    /// Returns the functions that cannot be called yet, each with the reason; empty if the engine
    /// is ready.
    fn not_ready(&self) -> Vec<String>;
}

/// Answers requests for functions.
pub struct Service<C, H> {
    /// Makes the calls.
    pub calls: C,
    /// The health of the engine.
    pub health: H,
    /// The limits of requests.
    pub limits: RequestLimits,
    /// The functions' routes.
    pub routes: SharedRoutes,
}

impl<C: Calls, H: Health> Site for Service<C, H> {
    async fn answer(
        &self,
        parts: &Parts,
        body: &mut RequestBody,
        client: &Client,
    ) -> Response<Bytes> {
        let path = parts.uri.path();
        if let Some(page) = health_page(&self.health, &parts.method, path) {
            return page;
        }
        let routes = self.routes.now();
        let Some(target) = routes.find(path) else {
            let text = format!(
                "there is nothing at {path}; functions are at /function/NAME and at their routes"
            );
            return problem::response(None, &Failure::new(Status::NotFound, text));
        };
        let name = target.name;
        let Some(function) = self.calls.find(name) else {
            self.calls.refused(None, Status::NotFound);
            let text = format!("there is no function {name:?} that clients may call");
            return problem::response(Some(name), &Failure::new(Status::NotFound, text));
        };
        let response = self.call(function, &target, parts, body, client).await;
        self.calls.responded(function, response.status().as_u16());
        response
    }
}

impl<C: Calls, H> Service<C, H> {
    async fn call(
        &self,
        function: FunctionId,
        target: &Target<'_>,
        parts: &Parts,
        body: &mut RequestBody,
        client: &Client,
    ) -> Response<Bytes> {
        let name = target.name;
        let max_bytes = self.limits.max_body_bytes;
        let request = async {
            body.hold_head(request::held_bytes(parts))?;
            client.refused.pause(function).await;
            let timeout = deadline::timeout(&parts.headers)?;
            body.check_announced(max_bytes)?;
            let metadata = request::metadata(parts, target)?;
            Ok::<_, NoCall>((timeout, metadata, body.read(max_bytes).await?))
        };
        let (timeout, metadata, body) = match request.await {
            Ok(request) => request,
            Err(NoCall::Failed(failure)) => {
                self.calls.refused(Some(function), failure.status);
                return problem::response(Some(name), &failure);
            }
            Err(NoCall::Malformed) => {
                let text = "the request's body is malformed\n";
                return problem::malformed(StatusCode::BAD_REQUEST, text);
            }
        };
        let under_way = client.begin_call();
        let Called { id, outcome } = self.calls.call(function, timeout, metadata, body).await;
        drop(under_way);
        let response = outcome.and_then(|answer| response::response(answer, &parts.method));
        let mut response = response.unwrap_or_else(|failure| {
            client.refused.note(function, &failure);
            problem::of_call(name, &failure, id, self.calls.retry_after(function))
        });
        if let Some(id) = id {
            response::tell_id(&mut response, id);
        }
        response
    }
}

/// Returns the health page at this path, `/healthz` or `/readyz`; `None` for any other path.
pub fn health_page(health: &impl Health, method: &Method, path: &str) -> Option<Response<Bytes>> {
    if !matches!(path, HEALTH | READINESS) {
        return None;
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(problem::only_get());
    }
    if path == HEALTH {
        return Some(problem::plain(StatusCode::OK, "ok\n"));
    }
    let not_ready = health.not_ready();
    if not_ready.is_empty() {
        return Some(problem::plain(StatusCode::OK, "ready\n"));
    }
    let text = format!("not ready: {}", not_ready.join("; "));
    Some(problem::response(None, &Failure::new(Status::Unavailable, text)))
}
