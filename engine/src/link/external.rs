//! The gateway's way to the dispatcher, on the same thread and without a queue in between.

use super::hub::HubHandle;
use super::payload::Payload;
use super::send::COPY_SLICE_BYTES;
use crate::dispatch::{CallId, FunctionId, Origin};
use crate::gateway::{Answer, Called, Calls};
use bytes::Bytes;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::{self, Failure, MetadataBuffer, Status};
use std::time::Duration;
use tokio::sync::oneshot;

/// Calls functions of this engine.
#[derive(Clone)]
pub struct HubCalls(pub HubHandle);

/// Cancels the call if the client's connection goes away under it.
struct CancelOnDrop<'a> {
    hub: &'a HubHandle,
    call: Option<CallId>,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.hub.borrow_mut().cancel(call);
        }
    }
}

impl Calls for HubCalls {
    fn find(&self, name: &str) -> Option<FunctionId> {
        let hub = self.0.borrow();
        hub.dispatch.find(name).filter(|function| hub.dispatch.spec(*function).external)
    }

    fn refused(&self, function: Option<FunctionId>, status: Status) {
        self.0.borrow_mut().dispatch.refused(function, Origin::External, status);
    }

    fn retry_after(&self, function: FunctionId) -> Duration {
        let hub = self.0.borrow();
        Duration::from_nanos(hub.dispatch.drains_in_ns(now_ns(), function).unwrap_or(0))
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
        let id = Some(protocol::CallId::new(call));
        let mut guard = CancelOnDrop { hub: &self.0, call: Some(call) };
        let outcome = answer.await;
        guard.call = None;
        let outcome = match outcome {
            Ok(Ok(payload)) => Ok(collect(payload).await),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new(Status::Unavailable, "the engine is ending")),
        };
        Called { id, outcome }
    }
}

/// Copies an answer out of the container's memory; a large one in slices, so that other calls go on.
async fn collect(payload: Payload) -> Answer {
    let mut metadata = vec![0; payload.metadata_len()];
    payload.copy_metadata(&mut metadata);
    let body = match payload {
        Payload::Http { body, .. } => body,
        Payload::Inline { bytes, metadata_len } => Bytes::copy_from_slice(&bytes[metadata_len..]),
        Payload::Block(_) | Payload::Shared(_) => {
            let mut body = vec![0; payload.body_len() as usize];
            let mut offset = 0;
            for slice in body.chunks_mut(COPY_SLICE_BYTES) {
                if offset > 0 {
                    tokio::task::yield_now().await;
                }
                payload.copy_body(offset, slice);
                offset += slice.len() as u64;
            }
            Bytes::from(body)
        }
    };
    Answer { metadata, body }
}
