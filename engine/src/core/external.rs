//! The gateway's way to the scheduler: on the same thread, without a queue between them.

use super::state::{Core, CoreHandle, Reply};
use crate::functions::Origin;
use crate::gateway::{Answer, Called, Calls, ReadBody};
use crate::ids::{CallNumber, Fingerprint, FunctionId};
use crate::memory::{Memory, MemoryReservation};
use crate::scheduler::{Arrival, Event};
use crate::transport::{Payload, collect};
use bytes::Bytes;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::{CallId, Failure, MetadataBuffer, Status};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Answers up to this size are not counted separately: they count as part of their request.
const UNCOUNTED_BYTES: u64 = 4 * 1024;
/// How long an answer waits, in its function's memory, for memory in the engine, unless its
/// deadline is sooner. Other answers are written meanwhile, most of them within milliseconds.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

impl Core {
    /// Starts a call from a client.
    fn external(
        &mut self,
        function: FunctionId,
        timeout: Option<Duration>,
        payload: Payload,
        reply: Reply,
    ) -> Result<(CallNumber, CallId), Failure> {
        let bytes = payload.len();
        let now = now_ns();
        self.poller.note_other_work();
        let input = self.fingerprint(function, &payload);
        let root = self.call_ids.next();
        let arrival = Arrival { function, root, timeout, payload, bytes, input, reply };
        let call = self.scheduler.arrive(now, arrival, &mut self.actions);
        self.run_actions(now);
        Ok((call?, root))
    }

    /// Fingerprints the input, if its function has a quarantine.
    #[inline]
    pub(super) fn fingerprint(
        &self,
        function: FunctionId,
        payload: &Payload,
    ) -> Option<Fingerprint> {
        self.scheduler.spec(function).quarantine_after?;
        Some(payload.fingerprint())
    }

    /// Cancels a call whose client has left.
    fn cancel(&mut self, call: CallNumber) {
        let now = now_ns();
        self.note(now, Event::ClientLeft { call });
        self.run_actions(now);
    }
}

/// Calls the functions of this engine.
#[derive(Clone)]
pub struct CoreCalls {
    /// The engine.
    pub core: CoreHandle,
    /// The memory in which answers are counted.
    pub memory: Memory,
}

impl CoreCalls {
    /// Copies an answer out of the function's memory when the engine has room for it.
    async fn take_answer(&self, payload: Payload, until: Instant) -> Result<Answer, Failure> {
        let bytes = payload.len();
        let no_memory = || {
            let text = format!("there is no memory for the answer, which has {bytes} bytes");
            Failure::new(Status::Overloaded, text)
        };
        if bytes <= UNCOUNTED_BYTES {
            let (metadata, body) = collect(payload).await.map_err(|_| no_memory())?;
            return Ok(Answer { metadata, body });
        }
        let within = ANSWER_WAIT.min(until.saturating_duration_since(Instant::now()));
        let held = self.memory.hold_answer(bytes, within).await.ok_or_else(no_memory)?;
        let (metadata, body) = collect(payload).await.map_err(|_| no_memory())?;
        Ok(Answer { metadata, body: Bytes::from_owner(HeldBody { body, _held: held }) })
    }
}

/// The body of an answer. It counts as held memory until it is written.
struct HeldBody {
    body: Bytes,
    _held: MemoryReservation,
}

impl AsRef<[u8]> for HeldBody {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

/// Cancels the call if this is dropped before the answer has come, as when the client's connection
/// closes.
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
        let core = self.core.borrow();
        core.scheduler.find(name).filter(|function| core.scheduler.spec(*function).external)
    }

    fn refused(&self, function: Option<FunctionId>, status: Status) {
        self.core.borrow_mut().scheduler.refused(function, Origin::External, status);
    }

    fn responded(&self, function: FunctionId, status: u16) {
        self.core.borrow_mut().scheduler.responded(function, status);
    }

    fn retry_after(&self, function: FunctionId) -> Duration {
        let core = self.core.borrow();
        Duration::from_nanos(core.scheduler.drains_in_ns(now_ns(), function).unwrap_or(0))
    }

    async fn call(
        &self,
        function: FunctionId,
        timeout: Option<Duration>,
        metadata: MetadataBuffer,
        body: ReadBody,
    ) -> Called {
        let (reply, answer) = oneshot::channel();
        let most = self.core.borrow().scheduler.spec(function).timeout;
        let until = Instant::now() + timeout.map_or(most, |asked| asked.min(most));
        let ReadBody { bytes, held } = body;
        let payload = Payload::Http { metadata, body: bytes };
        let taken = self.core.borrow_mut().external(function, timeout, payload, reply);
        let (call, id) = match taken {
            Ok(taken) => taken,
            Err(failure) => return Called { id: None, outcome: Err(failure) },
        };
        let mut guard = CancelOnDrop { core: &self.core, call: Some(call) };
        let outcome = answer.await;
        guard.call = None;
        // The handler has ended, so the request's body is no longer held.
        drop(held);
        let outcome = match outcome {
            Ok(Ok(payload)) => self.take_answer(payload, until).await,
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::new(Status::Unavailable, "the engine is ending")),
        };
        Called { id: Some(id), outcome }
    }
}
