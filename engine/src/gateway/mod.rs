//! The gateway: takes clients' HTTP requests and hands each to an engine. It knows HTTP and nothing of pipes.

mod deadline;
mod problem;
mod refused;
mod request;
mod response;
mod routes;
mod server;
mod service;
mod stop;
mod timeouts;
mod turns;

pub use deadline::{TIMEOUT_HEADER, timeout};
pub use routes::{Routes, SharedRoutes};
pub use server::Gateway;
pub use service::{Health, Limits, Service, health_page};
pub use stop::Stop;
pub use timeouts::keep_timeouts;

use crate::dispatch::FunctionId;
use bytes::Bytes;
use nightcore_runtime::protocol::{CallId, Failure, MetadataBuffer, Status};
use std::rc::Rc;
use std::time::Duration;

/// An answer as a function gave it: nothing in it has been checked.
#[derive(Debug)]
pub struct Answer {
    /// Encoded metadata.
    pub metadata: Vec<u8>,
    /// The body.
    pub body: Bytes,
}

/// What became of a call.
#[derive(Debug)]
pub struct Called {
    /// By which it can be found in logs; `None` if it was refused before it had one.
    pub id: Option<CallId>,
    /// Its answer, or how it failed.
    pub outcome: Result<Answer, Failure>,
}

/// Where the gateway sends calls: this process's dispatcher, or as well an engine on another server.
pub trait Calls {
    /// The function of this name, if clients may call it.
    fn find(&self, name: &str) -> Option<FunctionId>;

    /// Counts a call that was refused before it was made: of this function, or of one that is not there.
    fn refused(&self, function: Option<FunctionId>, status: Status);

    /// After what time a call of this function that was refused for want of room may be tried again.
    fn retry_after(&self, function: FunctionId) -> Duration;

    /// Calls a function, which has its own timeout, or `timeout` if that is less. Dropping the future cancels the call.
    fn call(
        &self,
        function: FunctionId,
        timeout: Option<Duration>,
        metadata: MetadataBuffer,
        body: Bytes,
    ) -> impl Future<Output = Called>;
}

impl<C: Calls> Calls for Rc<C> {
    fn find(&self, name: &str) -> Option<FunctionId> {
        (**self).find(name)
    }

    fn refused(&self, function: Option<FunctionId>, status: Status) {
        (**self).refused(function, status);
    }

    fn retry_after(&self, function: FunctionId) -> Duration {
        (**self).retry_after(function)
    }

    async fn call(
        &self,
        function: FunctionId,
        timeout: Option<Duration>,
        metadata: MetadataBuffer,
        body: Bytes,
    ) -> Called {
        (**self).call(function, timeout, metadata, body).await
    }
}
