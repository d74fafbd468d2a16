//! Direct calls that the requests of an event loop make, and the end of these calls.

use super::compose::{Body, OutgoingCall};
use super::direct_send::{NotSent, is_possible, send};
use super::loop_calls::{KeptCall, UnderWay};
use super::loop_channel::LoopChannel;
use super::loop_direct::LoopDirect;
use super::protocol::PendingCall;
use crate::protocol::to_engine::{CancelLease, Resume};
use crate::protocol::{CallNumber, CancelReason, Failure};
use std::num::NonZeroU64;

/// A request that makes a call: the number by which events name the request, and the tag of the
/// call.
#[derive(Clone, Copy)]
pub(super) struct MakerEvent {
    pub(super) request: CallNumber,
    pub(super) tag: u64,
}

impl LoopChannel {
    /// Starts a call by a lease. Returns the call if there is no lease for it, or it must go
    /// through the engine. `check` tells whether the request may still make calls, and
    /// `is_cancelled` whether it is cancelled.
    pub(super) fn start_directly<'a>(
        &self,
        from: MakerEvent,
        call: OutgoingCall<'a>,
        check: impl Fn() -> Result<(), Failure>,
        is_cancelled: impl Fn() -> bool,
    ) -> Result<Option<OutgoingCall<'a>>, Failure> {
        let (Some(direct), Body::Parts(parts)) = (&self.direct, &call.body) else {
            return Ok(Some(call));
        };
        let (parts, maker, name, options) = (*parts, call.maker, call.name, call.options);
        let Some(mut end) = self.session.leases.take(name) else { return Ok(Some(call)) };
        let is_watched = match &mut end.bell {
            Some(bell) => bell.watch([&self.messages, &self.epoll]).is_ok(),
            None => false,
        };
        if !is_watched || !is_possible(&end, &call) || !self.begin_wait(direct, from, maker.call) {
            self.session.leases.done(name, end);
            return Ok(Some(call));
        }
        let outbound = self.outbound();
        let is_alone = self.core().is_alone();
        let sent = match check() {
            // Another thread may have answered the request meanwhile.
            Err(failure) => Err(NotSent::Failed(failure)),
            Ok(()) => send(&self.session, &mut end, call, is_alone, is_cancelled),
        };
        match sent {
            Ok(sent) => {
                let deadline = sent.deadline;
                let (name, body) = (name.to_owned(), parts.concat());
                let kept = KeptCall { maker, name, body, options: options.clone() };
                let MakerEvent { request, tag } = from;
                let call = UnderWay { end, sent, request, tag, kept, left: None };
                let is_unseen = direct.calls().add(call);
                drop(outbound);
                direct.timer.wake_by(if is_unseen { 0 } else { deadline });
                Ok(None)
            }
            Err(not_sent) => {
                drop(outbound);
                self.session.leases.done(name, end);
                if !self.end_wait(direct, from.request) {
                    self.ask_for_slot(from.request, maker.call);
                }
                match not_sent {
                    NotSent::Failed(failure) => Err(failure),
                    NotSent::NeedsEngine => Ok(Some(OutgoingCall {
                        maker,
                        name,
                        body: Body::Parts(parts),
                        options,
                        not_after: None,
                    })),
                }
            }
        }
    }

    /// Asks the engine for a slot, without which a request cannot go on. `call` is the engine's
    /// number of the request. Returns false if the request has been answered meanwhile.
    pub(super) fn ask_for_slot(&self, request: CallNumber, call: CallNumber) -> bool {
        // A request's answer is sent under this lock, too, so no message of the request can follow
        // it.
        let mut outbound = self.outbound();
        let is_open = self.core().is_open(request);
        if is_open {
            // If the engine is gone, the next read reports it.
            let _ = self.put(&mut outbound, Resume { call }.write());
        }
        is_open
    }

    /// Notes that a request waits for a direct call. From here on the engine may lend its slot.
    /// Returns false if there is no seat for the request, or it has been answered meanwhile.
    fn begin_wait(&self, direct: &LoopDirect, from: MakerEvent, call: CallNumber) -> bool {
        let mut core = self.core();
        if !core.is_open(from.request) {
            return false;
        }
        let Some(seat) = core.seat(from.request).or_else(|| {
            let seat = direct.take_seat(call)?;
            core.set_seat(from.request, seat);
            Some(seat)
        }) else {
            return false;
        };
        core.direct_call_began(from.request);
        direct.desk.begin_wait(seat);
        true
    }

    /// Notes that a request has the answer to a direct call. Returns false if its slot was lent, so
    /// that it needs one to go on.
    pub(super) fn end_wait(&self, direct: &LoopDirect, request: CallNumber) -> bool {
        let mut core = self.core();
        core.direct_call_ended(request);
        core.idle_seat(request).is_none_or(|seat| direct.desk.end_wait(seat))
    }

    /// Notes that a request has an answer from the engine. Returns the same as
    /// [`LoopChannel::end_wait`].
    pub(super) fn may_go_on(&self, direct: &LoopDirect, request: CallNumber) -> bool {
        self.core().idle_seat(request).is_none_or(|seat| direct.desk.end_wait(seat))
    }

    /// Abandons the direct calls that a request has under way. They end with this reason.
    pub(super) fn cancel_direct_of(&self, request: CallNumber, reason: CancelReason) {
        let Some(direct) = &self.direct else { return };
        let mut leases = Vec::new();
        for call in direct.calls().of(request) {
            if call.cancel(reason) {
                leases.push(call.end.lease);
            }
        }
        self.cancel_leases(leases);
    }

    /// Abandons the direct call with this tag, as its request no longer wants the answer. Returns
    /// false if there is no such call.
    pub(super) fn cancel_direct(&self, from: MakerEvent) -> bool {
        let Some(direct) = &self.direct else { return false };
        let mut calls = direct.calls();
        let Some(call) = calls.of(from.request).find(|call| call.tag == from.tag) else {
            return false;
        };
        let lease = call.cancel(CancelReason::Caller).then_some(call.end.lease);
        drop(calls);
        self.cancel_leases(lease);
        // The loop must run, to report the end of the call as an event.
        direct.timer.wake_now();
        true
    }

    /// Drops the direct calls that a request has under way, as it was answered.
    pub(super) fn drop_direct_of(&self, direct: &LoopDirect, request: CallNumber) {
        let mut calls = direct.calls().take_of(request);
        calls.retain_mut(|call| call.cancel(CancelReason::Caller));
        self.cancel_leases(calls.iter().map(|call| call.end.lease));
    }

    /// Tells the engine about abandoned calls, so that it cancels the calls below them.
    fn cancel_leases(&self, leases: impl IntoIterator<Item = CallNumber>) {
        for lease in leases {
            // If the engine is gone, the next read reports it.
            let _ = self.send(CancelLease { lease }.write());
        }
    }

    /// Makes a call through the engine that its callee did not run.
    pub(super) fn start_again(
        &self,
        from: MakerEvent,
        kept: &KeptCall,
        deadline: u64,
    ) -> Result<(), Failure> {
        let call = OutgoingCall {
            maker: kept.maker,
            name: &kept.name,
            body: Body::Parts(&[kept.body.as_slice()]),
            options: &kept.options,
            not_after: NonZeroU64::new(deadline),
        };
        // The request may have been answered, or cancelled, since it made the call.
        self.start_by_engine(from, call, || self.core().check_may_call(from.request))
    }

    /// Starts a call through the engine. `check` tells whether the request may still make calls.
    pub(super) fn start_by_engine(
        &self,
        from: MakerEvent,
        call: OutgoingCall<'_>,
        check: impl Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (name, maker) = (call.name, call.maker);
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        let invoke = self.core().new_invoke(name)?;
        // Only the host knows what its event loop waits for. So each of its calls counts as one
        // that waits.
        let message = call.compose(&self.session, invoke, true).map_err(named)?;
        let mut outbound = self.outbound();
        // Another thread may have answered the request meanwhile.
        if let Err(failure) = check() {
            self.session.arena.take_back(&message);
            return Err(failure);
        }
        let MakerEvent { request, tag } = from;
        let call = maker.call;
        let pending = PendingCall { request, tag, function: name.to_owned(), call };
        self.core().began(invoke.0, pending);
        self.put(&mut outbound, message).map_err(|failure| {
            self.core().ended(invoke.0);
            named(failure)
        })
    }
}
