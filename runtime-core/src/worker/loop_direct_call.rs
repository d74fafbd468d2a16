//! How the requests of an event loop make direct calls, and how these end.

use super::compose::{Body, OutgoingCall};
use super::direct_send::{NotSent, is_possible, send};
use super::loop_calls::{KeptCall, UnderWay};
use super::loop_channel::LoopChannel;
use super::loop_direct::LoopDirect;
use super::protocol::PendingCall;
use crate::protocol::to_engine::{CancelLease, Resume};
use crate::protocol::{CallNumber, CancelReason, Failure};
use std::num::NonZeroU64;

/// A request that makes a call: what events call it, and the tag of the call.
#[derive(Clone, Copy)]
pub(super) struct MakerEvent {
    pub(super) request: CallNumber,
    pub(super) tag: u64,
}

impl LoopChannel {
    /// Starts a call by a lease. Gives the call back if there is none, or it has to go through the
    /// engine. `check`: whether the request may still call. `is_cancelled`: whether it is
    /// cancelled.
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
            // Another thread may have answered meanwhile.
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

    /// Asks the engine for a slot for a request, which has none to go on with. `call`: the engine's
    /// number of the request. False: it has been answered meanwhile.
    pub(super) fn ask_for_slot(&self, request: CallNumber, call: CallNumber) -> bool {
        // Nothing of a request follows its answer, which is sent under this lock, too.
        let mut outbound = self.outbound();
        let is_open = self.core().is_open(request);
        if is_open {
            // If the engine is gone, the next read says so.
            let _ = self.put(&mut outbound, Resume { call }.write());
        }
        is_open
    }

    /// A request waits for a direct call: from here on the engine may lend its slot. False: there
    /// is no seat for it, or it has been answered meanwhile.
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

    /// A request has the answer to a direct call. False: its slot was lent, and it needs one to go
    /// on.
    pub(super) fn end_wait(&self, direct: &LoopDirect, request: CallNumber) -> bool {
        let mut core = self.core();
        core.direct_call_ended(request);
        core.idle_seat(request).is_none_or(|seat| direct.desk.end_wait(seat))
    }

    /// A request has an answer of the engine. False: as [`LoopChannel::end_wait`].
    pub(super) fn may_go_on(&self, direct: &LoopDirect, request: CallNumber) -> bool {
        self.core().idle_seat(request).is_none_or(|seat| direct.desk.end_wait(seat))
    }

    /// A request waits no longer for the direct calls that it has under way: they end so.
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

    /// A request no longer wants the answer to the direct call with this tag. False: there is no
    /// such call.
    pub(super) fn cancel_direct(&self, from: MakerEvent) -> bool {
        let Some(direct) = &self.direct else { return false };
        let mut calls = direct.calls();
        let Some(call) = calls.of(from.request).find(|call| call.tag == from.tag) else {
            return false;
        };
        let lease = call.cancel(CancelReason::Caller).then_some(call.end.lease);
        drop(calls);
        self.cancel_leases(lease);
        // Its end is an event.
        direct.timer.wake_now();
        true
    }

    /// A request was answered: the direct calls that it has under way are of no interest any more.
    pub(super) fn drop_direct_of(&self, direct: &LoopDirect, request: CallNumber) {
        let mut calls = direct.calls().take_of(request);
        calls.retain_mut(|call| call.cancel(CancelReason::Caller));
        self.cancel_leases(calls.iter().map(|call| call.end.lease));
    }

    /// Tells the engine about calls that were abandoned: it cancels what they have under way.
    fn cancel_leases(&self, leases: impl IntoIterator<Item = CallNumber>) {
        for lease in leases {
            // If the engine is gone, the next read says so.
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

    /// Starts a call through the engine. `check`: whether the request may still call.
    pub(super) fn start_by_engine(
        &self,
        from: MakerEvent,
        call: OutgoingCall<'_>,
        check: impl Fn() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let (name, maker) = (call.name, call.maker);
        let named = |failure: Failure| Failure { function: name.into(), ..failure };
        let invoke = self.core().new_invoke(name)?;
        // What an event loop waits for is for its host to know: each of its calls counts as one
        // that waits.
        let message = call.compose(&self.session, invoke, true).map_err(named)?;
        let mut outbound = self.outbound();
        // Another thread may have answered meanwhile.
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
