//! The gateway's way to the scheduler, on the same thread and without a queue in between.

use super::state::{Core, CoreHandle, Reply};
use crate::functions::Origin;
use crate::gateway::{Answer, Called, Calls};
use crate::ids::{CallNumber, Fingerprint, FunctionId};
use crate::scheduler::{Arrival, Event};
use crate::transport::{Payload, collect};
use bytes::Bytes;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::{CallId, Failure, MetadataBuffer, Status};
use std::time::Duration;
use tokio::sync::oneshot;

impl Core {
    /// Starts a call from a client.
    fn external(
        &mut self,
        function: FunctionId,
        timeout: Option<Duration>,
        payload: Payload,
        reply: Reply,
    ) -> Result<CallNumber, Failure> {
        let bytes = payload.len();
        let now = now_ns();
        self.looking.note_other_work();
        let input = self.fingerprint(function, &payload);
        let arrival = Arrival { function, timeout, payload, bytes, input, reply };
        let call = self.scheduler.arrive(now, arrival, &mut self.actions);
        self.run_actions(now);
        call
    }

    /// What tells an input apart, if its function has a quarantine.
    #[inline]
    pub(super) fn fingerprint(
        &self,
        function: FunctionId,
        payload: &Payload,
    ) -> Option<Fingerprint> {
        self.scheduler.spec(function).quarantine_after?;
        Some(payload.fingerprint())
    }

    /// The client of this call has left.
    fn cancel(&mut self, call: CallNumber) {
        let now = now_ns();
        self.note(now, Event::ClientLeft { call });
        self.run_actions(now);
    }
}

/// Calls functions of this engine.
#[derive(Clone)]
pub struct CoreCalls(pub CoreHandle);

/// Cancels the call if the client's connection goes away under it.
struct CancelOnDrop<'a> {
    core: &'a CoreHandle,
    call: Option<CallNumber>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.core.borrow_mut().cancel(call);
        }
    }
}

impl Calls for CoreCalls {
    fn find(&self, name: &str) -> Option<FunctionId> {
        let core = self.0.borrow();
        core.scheduler.find(name).filter(|function| core.scheduler.spec(*function).external)
    }

    fn refused(&self, function: Option<FunctionId>, status: Status) {
        self.0.borrow_mut().scheduler.refused(function, Origin::External, status);
    }

    fn retry_after(&self, function: FunctionId) -> Duration {
        let core = self.0.borrow();
        Duration::from_nanos(core.scheduler.drains_in_ns(now_ns(), function).unwrap_or(0))
    }

    async fn call(
        &self,
        function: FunctionId,
        timeout: Option<Duration>,
        metadata: MetadataBuffer,
        body: Bytes,
    ) -> Called {
        let (reply, answer) = oneshot::channel();
        let payload = Payload::Http { metadata, body };
        let call = match self.0.borrow_mut().external(function, timeout, payload, reply) {
            Ok(call) => call,
            Err(failure) => return Called { id: None, outcome: Err(failure) },
        };
        let id = Some(CallId::new(call.number()));
        let mut guard = CancelOnDrop { core: &self.0, call: Some(call) };
        let outcome = answer.await;
        guard.call = None;
        let outcome = match outcome {
            Ok(Ok(payload)) => {
                let (metadata, body) = collect(payload).await;
                Ok(Answer { metadata, body })
            }
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new(Status::Unavailable, "the engine is ending")),
        };
        Called { id, outcome }
    }
}
