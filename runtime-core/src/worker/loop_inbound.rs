//! The incoming side of an event loop's direct channels: calls that it runs, and answers to its own
//! calls.

use super::loop_calls::{Ended, UnderWay};
use super::loop_channel::LoopChannel;
use super::loop_direct::LoopDirect;
use super::loop_direct_call::MakerEvent;
use super::loop_event::Event;
use super::loop_lent::LoopCallee;
use super::loop_request::LoopRequest;
use super::payload::{DirectCalled, Input};
use super::{answer::Answer, compose};
use crate::clock::now_ns;
use crate::ipc::desk::DirectTimes;
use crate::protocol::to_engine::Resume;
use crate::protocol::{Broken, CallNumber, CancelReason, Failure};
use std::collections::VecDeque;
use std::sync::Arc;

/// The state of direct channels that only the thread in [`super::EventLoop::next`] uses.
#[derive(Default)]
pub(super) struct LoopInbound {
    /// Events that have happened and were not passed to the host yet, in order.
    pub(super) ready: VecDeque<Event>,
    lent: Vec<LoopCallee>,
    /// Leases whose channel is still on its way by the control socket.
    expected: Vec<Expected>,
    /// Answers for requests that have no slot to go on, by the engine's number of the request.
    held: Vec<(CallNumber, Event)>,
    /// Calls that have just ended. The buffer is kept here to be reused.
    ended: Vec<(UnderWay, Ended)>,
    /// Whether something has come since the loop last spun.
    was_used: bool,
    /// Whether the loop waits at its bells.
    is_parked: bool,
    /// Whether the timer has fired, so that deadlines must be checked.
    pub(super) has_fired: bool,
    /// How often [`LoopInbound::collect`] was called since the loop last waited.
    collected: u32,
}

/// A lease whose channel is still on its way.
struct Expected {
    lease: CallNumber,
    is_recalled: bool,
}

/// A loop that always has something to do checks the clock and the control socket once in this many
/// rounds. A loop that waits checks both when it waits.
const ROUNDS_WITHOUT_WAIT: u32 = 64;

impl LoopInbound {
    /// Notes that the loop runs the calls of this lease as soon as its channel is here.
    pub(super) fn lent(&mut self, lease: CallNumber) {
        self.expected.push(Expected { lease, is_recalled: false });
    }

    /// Notes that the loop begins no more calls of this lease.
    pub(super) fn recalled(&mut self, lease: CallNumber) {
        for callee in self.lent.iter_mut().filter(|callee| callee.shared.lease == lease) {
            callee.is_recalled = true;
        }
        for expected in self.expected.iter_mut().filter(|expected| expected.lease == lease) {
            expected.is_recalled = true;
        }
    }

    /// Notes that a call has a slot again. Its request goes on, or the next call of the lease may
    /// begin.
    pub(super) fn resumed(&mut self, call: CallNumber) {
        for (_, event) in self.held.extract_if(.., |(held, _)| *held == call) {
            self.ready.push_back(event);
        }
        for callee in self.lent.iter().filter(|callee| callee.shared.lease == call) {
            callee.shared.resumed();
        }
    }

    /// Takes an answer for a request. `call` is the engine's number of the request. `has_slot` says
    /// that the request can go on. The answer does not overtake one that is held for the same
    /// request.
    pub(super) fn answered(
        &mut self,
        channel: &LoopChannel,
        (request, call): (CallNumber, CallNumber),
        has_slot: bool,
        event: Event,
    ) {
        let is_behind = self.held.iter().any(|(held, _)| *held == call);
        match (has_slot, is_behind) {
            (false, _) => self.hold(channel, (request, call), event),
            (true, true) => self.held.push((call, event)),
            (true, false) => self.ready.push_back(event),
        }
    }

    /// Holds an answer for a request that needs a slot to go on, until the request has one.
    fn hold(
        &mut self,
        channel: &LoopChannel,
        (request, call): (CallNumber, CallNumber),
        event: Event,
    ) {
        let lease = self.lent.iter().find(|callee| callee.shared.lease == call);
        lease.inspect(|callee| callee.shared.asks_for_slot());
        if channel.ask_for_slot(request, call) {
            // Answers are dropped whose requests were answered without them.
            let core = channel.core();
            self.held.retain(|(_, held)| held.about().is_some_and(|held| core.is_open(held)));
            self.held.push((call, event));
        } else if lease.is_some() {
            // The next request of the lease needs the slot.
            let _ = channel.send(Resume { call }.write());
        }
    }

    /// Whether something has come by direct channels since the last call of this method.
    pub(super) fn take_used(&mut self) -> bool {
        std::mem::take(&mut self.was_used)
    }

    /// Whether there is something to do. This costs a few loads for each direct channel.
    pub(super) fn have_news(&self, direct: &LoopDirect) -> bool {
        self.lent.iter().any(LoopCallee::has_news) || direct.calls().have_news()
    }

    /// Takes everything that has come. Returns false if nothing has.
    pub(super) fn collect(&mut self, channel: &Arc<LoopChannel>, direct: &LoopDirect) -> bool {
        self.collected += 1;
        if self.collected >= ROUNDS_WITHOUT_WAIT {
            self.collected = 0;
            drop(channel.session.advance(false));
            self.has_fired |= direct.timer.take();
        }
        let now = std::mem::take(&mut self.has_fired).then(now_ns);
        self.take_channels(channel, direct);
        self.take_calls(channel, direct, now);
        self.take_answers(channel, direct, now);
        if let Some(now) = now {
            let of_requests = self.lent.iter().filter_map(|callee| callee.next_deadline(now));
            let next = of_requests.chain(direct.calls().next_deadline(now)).min();
            next.inspect(|next| direct.timer.wake_by(*next));
        }
        self.was_used |= !self.ready.is_empty();
        !self.ready.is_empty()
    }

    /// Takes the channels of leases that have come.
    fn take_channels(&mut self, channel: &LoopChannel, direct: &LoopDirect) {
        let mut at = 0;
        while at < self.expected.len() {
            let Expected { lease, is_recalled } = self.expected[at];
            let Some(end) = channel.session.lents.take_if_here(lease) else {
                at += 1;
                continue;
            };
            self.expected.swap_remove(at);
            let callee = end.and_then(|end| {
                let seat = direct.take_seat(lease)?;
                let mut callee = LoopCallee::new(lease, seat, *end)?;
                let is_watched = callee.bell().watch([&channel.messages, &channel.epoll]).is_ok();
                callee.is_recalled = is_recalled || !is_watched;
                Some(callee)
            });
            match callee {
                Some(callee) => self.lent.push(callee),
                // A lease that cannot be used is given back.
                None => end_lease(channel, lease),
            }
        }
    }

    /// Takes the calls that have come. Finds the requests that are cancelled and the leases that
    /// are over.
    fn take_calls(&mut self, channel: &Arc<LoopChannel>, direct: &LoopDirect, now: Option<u64>) {
        let mut at = 0;
        while at < self.lent.len() {
            let callee = &mut self.lent[at];
            if let Some((request, reason)) = callee.newly_cancelled(now) {
                channel.core().cancel(request, reason);
                channel.cancel_direct_of(request, reason);
                self.ready.push_back(Event::Cancelled { request, reason });
            }
            if let Some((call, left)) = callee.take() {
                match left {
                    Some(reason) => count_left(direct, callee, &call, reason),
                    None => match begin(channel, direct, callee, call) {
                        Ok(request) => self.ready.push_back(Event::Request(request)),
                        Err(_) => callee.is_recalled = true,
                    },
                }
            }
            if callee.is_over() {
                let callee = self.lent.swap_remove(at);
                direct.leave_seat(callee.shared.seat);
                end_lease(channel, callee.shared.lease);
            } else {
                at += 1;
            }
        }
    }

    /// Takes the answers that have come.
    fn take_answers(&mut self, channel: &LoopChannel, direct: &LoopDirect, now: Option<u64>) {
        let mut ended = std::mem::take(&mut self.ended);
        direct.calls().take_ended(now, &mut ended);
        for (call, how) in ended.drain(..) {
            let UnderWay { end, sent, request, tag, kept, .. } = call;
            channel.session.leases.done(&kept.name, end);
            let result = match how {
                Ended::With(result) => result,
                Ended::NotRun => {
                    let from = MakerEvent { request, tag };
                    match channel.start_again(from, &kept, sent.deadline) {
                        Ok(()) => {
                            // The answer is still to come, from the engine.
                            channel.core().direct_call_ended(request);
                            continue;
                        }
                        Err(failure) => Err(failure),
                    }
                }
            };
            let has_slot = channel.end_wait(direct, request);
            let event = Event::Answer { request, tag, result: named(result, &kept.name) };
            self.answered(channel, (request, kept.maker.call), has_slot, event);
        }
        self.ended = ended;
    }

    /// Announces that the loop waits. Returns false if there is something to do.
    pub(super) fn begin_wait(&mut self, direct: &LoopDirect) -> bool {
        self.is_parked = true;
        self.collected = 0;
        let mut is_quiet = true;
        for callee in &mut self.lent {
            is_quiet &= callee.begin_wait();
        }
        direct.calls().begin_wait() && is_quiet
    }

    /// Notes that the loop no longer waits.
    pub(super) fn end_wait(&mut self, direct: &LoopDirect) {
        if std::mem::take(&mut self.is_parked) {
            self.lent.iter_mut().for_each(LoopCallee::end_wait);
            direct.calls().end_wait();
        }
    }
}

fn named(result: Result<Answer, Failure>, name: &str) -> Result<Answer, Failure> {
    result.map_err(|failure| Failure { function: name.into(), ..failure })
}

/// Turns a call that has come into a request.
fn begin(
    channel: &Arc<LoopChannel>,
    direct: &LoopDirect,
    callee: &mut LoopCallee,
    call: DirectCalled,
) -> Result<LoopRequest, Broken> {
    let (request, deadline) = (direct.new_request(), call.deadline.get());
    let shared = callee.shared.clone();
    let cancelled = channel.core().begin_request(request, shared.seat)?;
    direct.desk.begin(shared.seat, deadline);
    callee.begin(request, deadline);
    direct.timer.wake_by(deadline);
    let sent_at = call.sent_at;
    let session = &channel.session;
    let input = Input::of_direct_call(session, (shared.lease, shared.caller.clone()), call);
    Ok(LoopRequest::new(input, cancelled, channel.clone()).came_by(request, shared, sent_at))
}

/// Counts a call whose caller had left before it began.
fn count_left(direct: &LoopDirect, callee: &LoopCallee, call: &DirectCalled, reason: CancelReason) {
    let now = now_ns();
    let times = DirectTimes { sent_at: call.sent_at, began_at: now, ended_at: now };
    direct.count(callee.shared.seat, reason.status(), times);
}

/// Tells the engine that the loop runs no call of a lease, and will run none.
fn end_lease(channel: &LoopChannel, lease: CallNumber) {
    let now = now_ns();
    let mut message = compose::complete_empty(lease, now);
    message.set_ended(now);
    // If the engine is gone, the next read reports it.
    let _ = channel.send(message);
}
