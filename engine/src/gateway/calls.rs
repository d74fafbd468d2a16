//! The trait by which the gateway makes calls, with what a call returns.
//!
//! The gateway knows nothing behind this trait. The engine of this process implements it; an engine
//! on another server could.

use super::body::ReadBody;
use crate::ids::FunctionId;
use bytes::Bytes;
use nightcore_runtime::protocol::{CallId, Failure, MetadataBuffer, Status};
use std::rc::Rc;
use std::time::Duration;

/// An answer as the function gave it. Nothing in it has been checked.
#[derive(Debug)]
pub struct Answer {
    /// Encoded metadata.
    pub metadata: Vec<u8>,
    /// The body.
    pub body: Bytes,
}

/// The result of a call.
#[derive(Debug)]
pub struct Called {
    /// The id that logs show; `None` if the call was refused before it got one.
    pub id: Option<CallId>,
    /// The answer, or the failure.
    pub outcome: Result<Answer, Failure>,
}

/// Makes calls for the gateway.
pub trait Calls {
    /// Returns the function of this name, if clients may call it.
    fn find(&self, name: &str) -> Option<FunctionId>;

    /// Counts a call that the gateway refused before it was made. `function` is `None` if there is
    /// no such function.
    fn refused(&self, function: Option<FunctionId>, status: Status);

    /// Counts the response to a request for this function, by its HTTP status.
    fn responded(&self, function: FunctionId, status: u16);

    /// Returns the time after which a client may retry a call of this function that was refused
    /// for lack of room.
    fn retry_after(&self, function: FunctionId) -> Duration;

    /// Calls a function. The call times out after the function's own timeout, or after `timeout` if
    /// that is shorter. Dropping the future cancels the call.
    fn call(
        &self,
        function: FunctionId,
        timeout: Option<Duration>,
        metadata: MetadataBuffer,
        body: ReadBody,
    ) -> impl Future<Output = Called>;
}

impl<C: Calls> Calls for Rc<C> {
    fn find(&self, name: &str) -> Option<FunctionId> {
        (**self).find(name)
    }

    fn refused(&self, function: Option<FunctionId>, status: Status) {
        (**self).refused(function, status);
    }

    fn responded(&self, function: FunctionId, status: u16) {
        (**self).responded(function, status);
    }

    fn retry_after(&self, function: FunctionId) -> Duration {
        (**self).retry_after(function)
    }

    async fn call(
        &self,
        function: FunctionId,
        timeout: Option<Duration>,
        metadata: MetadataBuffer,
        body: ReadBody,
    ) -> Called {
        (**self).call(function, timeout, metadata, body).await
    }
}
