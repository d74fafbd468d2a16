//! The state of a worker's calls, and what follows from each message that the worker receives.
//!
//! This module does no I/O. The two drivers, [`super::thread_channel`] and [`super::event_loop`],
//! read and write messages, and act on what this module returns. A message is malformed for both
//! drivers by the same rules: a message that breaks a rule ends the channel.

use super::cancel_flag::CancelFlag;
use super::open_calls::OpenCalls;
use crate::ipc::desk::Seat;
use crate::protocol::limits::MAX_OUTSTANDING;
use crate::protocol::to_engine::Callee;
use crate::protocol::to_worker::{Caller, CancelCall, Dispatch};
use crate::protocol::{
    Broken, CallId, CallNumber, CancelReason, Failure, FunctionId, InvokeNumber, Message, Status,
    ToWorker, WireFailure, WirePayload,
};
use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

/// An internal call under way whose answer comes as an event.
#[derive(Debug)]
pub(super) struct PendingCall {
    /// The call whose handler made it.
    pub(super) request: CallNumber,
    /// The handler's tag for the call.
    pub(super) tag: u64,
    /// The function that was called.
    pub(super) function: String,
    /// The engine's number of the request.
    pub(super) call: CallNumber,
}

/// The internal call whose answer a thread waits for.
#[derive(Clone, Copy, Debug)]
struct AwaitedCall {
    call: InvokeNumber,
    request: CallNumber,
}

/// The state of one worker's channel.
#[derive(Debug)]
pub(super) struct WorkerCore {
    open: OpenCalls,
    /// The ids of functions, as the answers to calls by name have told them.
    ids: HashMap<String, FunctionId>,
    /// The names of callers, each of which is told with its first call on this channel.
    callers: HashMap<FunctionId, Arc<str>>,
    /// The number of the last internal call. No number is used twice on a channel.
    last_invoke: u64,
    awaited: Option<AwaitedCall>,
    pending: HashMap<InvokeNumber, PendingCall>,
    /// The last lease, and how many answers its direct calls got that have ended. For the engine
    /// all these direct calls are one call.
    lease: Option<(CallNumber, u64)>,
}

/// The meaning of a message.
#[derive(Debug)]
pub(super) enum Received<'a> {
    /// A call to run.
    Request(ReceivedRequest<'a>),
    /// The answer that a thread waits for, and the callee's id.
    Awaited(Option<FunctionId>, ReceivedAnswer<'a>),
    /// The answer to a call that was started without waiting.
    Answer(PendingCall, ReceivedAnswer<'a>),
    /// The answer to a call that its request did not wait for. Only its memory has to be given
    /// back.
    Late(ReceivedAnswer<'a>),
    /// Nobody waits any more for the answer to this call.
    Cancelled(CallNumber, CancelReason),
    /// Nothing: the message cancels a call that has been answered.
    Nothing,
    /// The worker must run the calls of this lease.
    Lent(CallNumber),
    /// The worker must begin no more calls of this lease.
    Recalled(CallNumber),
    /// This call has a slot again.
    Resumed(CallNumber),
    /// The worker must end.
    Retired,
}

/// A call to run. Its payload has not been received yet.
#[derive(Debug)]
pub(super) struct ReceivedRequest<'a> {
    pub(super) call: CallNumber,
    pub(super) root: Option<CallId>,
    pub(super) depth: u32,
    pub(super) deadline: Option<NonZeroU64>,
    pub(super) caller: Option<Arc<str>>,
    pub(super) payload: WirePayload<'a>,
    /// In an event loop: set when the call is cancelled.
    pub(super) cancelled: Option<Arc<CancelFlag>>,
}

/// The end of an internal call.
#[derive(Clone, Copy, Debug)]
pub(super) enum ReceivedAnswer<'a> {
    /// It was answered. The payload has not been received yet.
    Complete(WirePayload<'a>),
    /// It failed.
    Failed(WireFailure<'a>),
}

impl WorkerCore {
    /// The core of a worker thread, which runs one call at a time.
    pub(super) fn of_thread() -> WorkerCore {
        WorkerCore::new(OpenCalls::One(None))
    }

    /// The core of an event loop, which runs many calls at once.
    pub(super) fn of_event_loop() -> WorkerCore {
        WorkerCore::new(OpenCalls::many())
    }

    fn new(open: OpenCalls) -> WorkerCore {
        WorkerCore {
            open,
            ids: HashMap::new(),
            callers: HashMap::new(),
            last_invoke: 0,
            awaited: None,
            pending: HashMap::new(),
            lease: None,
        }
    }

    /// Handles a message.
    ///
    /// # Errors
    ///
    /// If the engine broke a rule. The channel is over then.
    pub(super) fn hear<'a>(&mut self, message: &Message<'a>) -> Result<Received<'a>, Broken> {
        match ToWorker::read(message)? {
            ToWorker::Dispatch(dispatch) => self.dispatched(dispatch).map(Received::Request),
            ToWorker::AnswerComplete(answer) => {
                let complete = ReceivedAnswer::Complete(answer.payload);
                Ok(self.answer(answer.call, answer.function, complete))
            }
            ToWorker::AnswerFailed(answer) => {
                let failed = ReceivedAnswer::Failed(answer.failure);
                Ok(self.answer(answer.call, answer.function, failed))
            }
            ToWorker::CancelCall(cancel) => Ok(self.cancelled(cancel)),
            ToWorker::Retire(_) => Ok(Received::Retired),
            ToWorker::Lend(lend) => self.lent(lend.call),
            ToWorker::Recall(recall) => Ok(Received::Recalled(recall.call)),
            ToWorker::Resumed(resumed) => Ok(Received::Resumed(resumed.call)),
        }
    }

    /// Handles the begin of a lease, whose calls the worker runs. A thread must be idle for that.
    fn lent<'a>(&self, lease: CallNumber) -> Result<Received<'a>, Broken> {
        match &self.open {
            OpenCalls::One(None) | OpenCalls::Many { .. } => Ok(Received::Lent(lease)),
            OpenCalls::One(Some(_)) => Err(Broken::Call(lease.number())),
        }
    }

    /// In an event loop: begins a request that came directly, with this number and seat.
    pub(super) fn begin_request(
        &mut self,
        request: CallNumber,
        seat: Seat,
    ) -> Result<Arc<CancelFlag>, Broken> {
        let flag = self.open.begin(request)?;
        self.open.set_seat(request, seat);
        Ok(flag.unwrap_or_default())
    }

    /// Notes that a request is cancelled.
    pub(super) fn cancel(&mut self, request: CallNumber, reason: CancelReason) {
        self.open.cancel(request, reason);
    }

    /// Whether a request has not been answered yet.
    pub(super) fn is_open(&self, request: CallNumber) -> bool {
        self.open.has(request)
    }

    /// Checks that a request may still make calls.
    ///
    /// # Errors
    ///
    /// If it has been answered, or is cancelled.
    pub(super) fn check_may_call(&self, request: CallNumber) -> Result<(), Failure> {
        if !self.is_open(request) {
            return Err(Failure::new(Status::InvalidState, "the request has been answered"));
        }
        match self.open.cancelled(request).map(CancelReason::status) {
            Some(status) => Err(Failure::new(status, status.title())),
            None => Ok(()),
        }
    }

    /// The seat of a request, if it has one.
    pub(super) fn seat(&self, request: CallNumber) -> Option<Seat> {
        self.open.seat(request)
    }

    /// Gives a request a seat.
    pub(super) fn set_seat(&mut self, request: CallNumber, seat: Seat) {
        self.open.set_seat(request, seat);
    }

    /// The seat of a request that has no call under way, if it has one.
    pub(super) fn idle_seat(&self, request: CallNumber) -> Option<Seat> {
        self.open.seat(request).filter(|_| self.open.has_no_calls(request))
    }

    /// Notes that a request has begun a direct call.
    pub(super) fn direct_call_began(&mut self, request: CallNumber) {
        self.open.call_began(request);
    }

    /// Notes that a direct call of a request has ended.
    pub(super) fn direct_call_ended(&mut self, request: CallNumber) {
        self.open.call_ended(request);
    }

    /// In an event loop: whether at most one request is open.
    pub(super) fn is_alone(&self) -> bool {
        self.open.are_few()
    }

    /// On a thread: begins a direct call under this lease.
    pub(super) fn begin_direct(&mut self, lease: CallNumber) -> Result<(), Broken> {
        if self.lease.is_none_or(|(before, _)| before != lease) {
            self.lease = Some((lease, 0));
        }
        self.open.begin(lease).map(drop)
    }

    fn dispatched<'a>(&mut self, dispatch: Dispatch<'a>) -> Result<ReceivedRequest<'a>, Broken> {
        let caller = dispatch.caller.map(|caller| self.caller(caller)).transpose()?;
        let cancelled = self.open.begin(dispatch.call)?;
        let Dispatch { call, root, depth, deadline, payload, .. } = dispatch;
        Ok(ReceivedRequest { call, root, depth, deadline, caller, payload, cancelled })
    }

    /// The name of a caller. The engine tells it the first time that it names the caller's id.
    fn caller(&mut self, caller: Caller<'_>) -> Result<Arc<str>, Broken> {
        if let Some(name) = caller.name {
            self.callers.insert(caller.id, name.into());
        }
        self.callers.get(&caller.id).cloned().ok_or(Broken::Caller(caller.id.number()))
    }

    fn answer<'a>(
        &mut self,
        call: InvokeNumber,
        function: Option<FunctionId>,
        answer: ReceivedAnswer<'a>,
    ) -> Received<'a> {
        if let Some(awaited) = self.awaited.take_if(|awaited| awaited.call == call) {
            self.open.count_answer(awaited.request);
            return Received::Awaited(function, answer);
        }
        let Some(pending) = self.ended(call) else {
            if let Some((_, answers)) = &mut self.lease {
                *answers += 1;
            }
            return Received::Late(answer);
        };
        self.open.count_answer(pending.request);
        self.learn(&pending.function, function);
        Received::Answer(pending, answer)
    }

    fn cancelled(&mut self, cancel: CancelCall) -> Received<'static> {
        let reason = cancel.reason.unwrap_or(CancelReason::Caller);
        if self.open.cancel(cancel.call, reason) {
            Received::Cancelled(cancel.call, reason)
        } else {
            Received::Nothing
        }
    }

    /// Notes the id of a function. Later calls name the function by it.
    pub(super) fn learn(&mut self, name: &str, id: Option<FunctionId>) {
        if let Some(id) = id
            && !self.ids.contains_key(name)
        {
            self.ids.insert(name.to_owned(), id);
        }
    }

    /// The number of a new internal call, and how the call names its callee.
    ///
    /// # Errors
    ///
    /// OVERLOADED if too many calls are under way.
    pub(super) fn new_invoke<'n>(
        &mut self,
        name: &'n str,
    ) -> Result<(InvokeNumber, Callee<'n>), Failure> {
        if self.pending.len() >= MAX_OUTSTANDING {
            let text = format!("{MAX_OUTSTANDING} internal calls are under way from this worker");
            let failure = Failure::new(Status::Overloaded, text);
            return Err(Failure { function: name.into(), ..failure });
        }
        self.last_invoke += 1;
        let callee = self.ids.get(name).copied().map_or(Callee::Name(name), Callee::Id);
        Ok((InvokeNumber(self.last_invoke), callee))
    }

    /// Notes that the handler of `request` waits for the answer to this internal call.
    pub(super) fn wait_for(&mut self, call: InvokeNumber, request: CallNumber) {
        self.awaited = Some(AwaitedCall { call, request });
    }

    /// Adds a call that was started. Its answer comes as an event.
    pub(super) fn began(&mut self, call: InvokeNumber, pending: PendingCall) {
        self.open.call_began(pending.request);
        self.pending.insert(call, pending);
    }

    /// Removes a call that was started and has ended.
    pub(super) fn ended(&mut self, call: InvokeNumber) -> Option<PendingCall> {
        let pending = self.pending.remove(&call)?;
        self.open.call_ended(pending.request);
        Some(pending)
    }

    /// The number of the started call with this tag.
    pub(super) fn pending_with(&self, request: CallNumber, tag: u64) -> Option<InvokeNumber> {
        let is_it = |pending: &PendingCall| pending.tag == tag && pending.request == request;
        self.pending.iter().find(|(_, pending)| is_it(pending)).map(|(call, _)| *call)
    }

    /// Whether a call that was started is under way.
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Notes that a request has its answer. Calls that its handler has under way are no longer
    /// wanted.
    pub(super) fn answered(&mut self, request: CallNumber) {
        if let Some((lease, answers)) = &mut self.lease
            && *lease == request
        {
            *answers += self.open.answers(request);
        }
        if self.open.end(request) {
            self.pending.retain(|_, pending| pending.request != request);
        }
    }

    /// The calls that a request has started and that are under way.
    pub(super) fn pending_of(&self, request: CallNumber) -> Vec<InvokeNumber> {
        let of_request = self.pending.iter().filter(|(_, pending)| pending.request == request);
        of_request.map(|(call, _)| *call).collect()
    }

    /// How many answers a request has had. By this number the engine knows which answers a WAIT has
    /// seen.
    pub(super) fn answers(&self, request: CallNumber) -> u64 {
        let before = self.lease.filter(|(lease, _)| *lease == request).map_or(0, |(_, n)| n);
        before + self.open.answers(request)
    }

    /// Whether there is an open request whose handler does not wait for an answer, as far as this
    /// is known.
    pub(super) fn can_go_on(&self) -> bool {
        self.open.can_go_on()
    }

    /// Whether no request is open.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty()
    }
}
