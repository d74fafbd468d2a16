//! An engine that follows the rules, for one container: it lends the container's worker to peers,
//! and peers to the container. The peers need not follow the rules.

use crate::direct_peer::Peer;
use crate::engine_side::{EngineSide, Worker};
use crate::ledger::{Ledger, by_engine, new_token, token_of};
use crate::steps::Steps;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::channel;
use nightcore_runtime::ipc::region::Region;
use nightcore_runtime::ipc::ring::Sent;
use nightcore_runtime::ipc::socket;
use nightcore_runtime::protocol::control::{ControlBuffer, LeaseEnded, Leased, Lent, Mode};
use nightcore_runtime::protocol::limits::BASE_UNITS;
use nightcore_runtime::protocol::to_worker::{
    AnswerComplete, AnswerFailed, CancelCall, Dispatch, Lend, Recall, Resumed, Retire,
};
use nightcore_runtime::protocol::{
    CallNumber, CancelReason, CancelWord, FunctionId, InlinePayload, InvokeNumber, Message,
    MessageBuffer, Notice, Status, ToEngine, WireFailure, WirePayload,
};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The function of the peers that are called.
pub(crate) const PEER: &str = "Peer";
/// The function that is called only through the engine.
pub(crate) const OTHER: &str = "Other";
/// The maximum number of leases in a run.
const MAX_LEASES: usize = 12;
/// The maximum number of client calls under way at once.
const MAX_CALLS: usize = 8;
const HOUR: Duration = Duration::from_secs(3600);

fn function(number: u32) -> FunctionId {
    FunctionId::new(number).expect("not zero")
}

fn new_call() -> CallNumber {
    static LAST: AtomicU64 = AtomicU64::new(1000);
    CallNumber::new(LAST.fetch_add(1, Ordering::Relaxed)).expect("not zero")
}

struct Lease {
    peer: Peer,
    is_recalled: bool,
    has_ended: bool,
}

/// An internal call of the honest side that arrived at the engine.
struct Invoked {
    call: InvokeNumber,
    parent: CallNumber,
    token: u64,
}

pub(crate) struct Lender<'a> {
    engine_side: &'a EngineSide,
    control: &'a OwnedFd,
    mode: Mode,
    pub(crate) worker: Worker,
    container_region: Region,
    engine_region: Region,
    unsent: VecDeque<MessageBuffer>,
    leases: Vec<Lease>,
    /// The calls that the honest side runs, by number, with the token of each.
    calls: HashMap<CallNumber, u64>,
    invoked: Vec<Invoked>,
    asked: Vec<CallNumber>,
    pub(crate) ledger: Ledger,
    pub(crate) is_ready: bool,
}

impl<'a> Lender<'a> {
    pub(crate) fn new(
        engine_side: &'a EngineSide,
        control: &'a OwnedFd,
        worker: Worker,
        mode: Mode,
    ) -> Lender<'a> {
        let [own, engine] = &engine_side.regions;
        Lender {
            engine_side,
            control,
            mode,
            worker,
            container_region: Region::map(own, BASE_UNITS).expect("a region"),
            engine_region: Region::map(engine, BASE_UNITS).expect("a region"),
            unsent: VecDeque::new(),
            leases: Vec::new(),
            calls: HashMap::new(),
            invoked: Vec::new(),
            asked: Vec::new(),
            ledger: Ledger::default(),
            is_ready: false,
        }
    }

    fn flush(&mut self) {
        while let Some(message) = self.unsent.front() {
            match self.worker.to.send(message.as_bytes()) {
                Sent::Full => return,
                Sent::Seen => {}
                Sent::Ring => drop(channel::send(self.worker.bell.as_fd(), &[0])),
            }
            self.unsent.pop_front();
        }
    }

    fn send(&mut self, message: MessageBuffer) {
        self.unsent.push_back(message);
        self.flush();
    }

    fn tell(&self, message: &ControlBuffer, descriptors: &[OwnedFd]) {
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        socket::send_control(self.control.as_fd(), message, &descriptors).expect("a socket");
    }

    /// Returns whether any peer that is called has overwritten its channel.
    pub(crate) fn has_scribbled(&self) -> bool {
        self.leases.iter().any(|lease| !lease.peer.calls && lease.peer.scribbled)
    }

    /// Returns whether nothing is open between the engine, its leases and the honest side.
    pub(crate) fn is_idle(&self) -> bool {
        self.unsent.is_empty()
            && self.calls.is_empty()
            && self.invoked.is_empty()
            && self.leases.iter().all(|lease| lease.has_ended)
    }

    /// Returns whether the worker has something to do.
    fn is_busy(&self) -> bool {
        !self.calls.is_empty()
            || self.leases.iter().any(|lease| lease.peer.calls && !lease.has_ended)
    }

    /// Takes the messages of the worker and of the honest sides of direct channels.
    pub(crate) fn take(&mut self) {
        self.flush();
        for lease in &mut self.leases {
            lease.peer.take(&mut self.ledger);
        }
        while let Some(bytes) = self.next_message() {
            self.heard(&bytes);
        }
    }

    fn next_message(&mut self) -> Option<Vec<u8>> {
        let message = self.worker.from.take().expect("the honest side keeps the rules")?;
        let bytes = message.as_bytes().to_vec();
        self.worker.from.give_back();
        Some(bytes)
    }

    fn heard(&mut self, bytes: &[u8]) {
        let (message, _) = Message::parse(bytes).expect("a message").expect("all of it");
        match ToEngine::read(&message).expect("the honest side keeps the rules") {
            ToEngine::Ready(_) => self.is_ready = true,
            ToEngine::Invoke(invoke) => self.invoked(invoke.call, invoke.parent, invoke.payload),
            ToEngine::InvokeBelow(invoke) => {
                self.invoked(invoke.call, invoke.lease, invoke.payload);
            }
            ToEngine::CallComplete(complete) => {
                if let Some(token) = self.ended(complete.call) {
                    let WirePayload::Inline(inline) = complete.payload else {
                        panic!("a short answer lies in the arena")
                    };
                    let right = token.to_le_bytes();
                    assert_eq!(&inline.body[2..10], right, "another call's answer");
                }
            }
            ToEngine::CallFailed(failed) => {
                self.ended(failed.call).expect("a lease does not fail");
            }
            ToEngine::CancelInvoke(cancel) => {
                if let Some(at) = self.invoked.iter().position(|of| of.call == cancel.call) {
                    let invoked = self.invoked.swap_remove(at);
                    self.refuse(&invoked, Status::Cancelled);
                }
            }
            ToEngine::Wait(_) => {}
            ToEngine::InvokeAlone(_) => panic!("a worker is no caller"),
            ToEngine::Resume(resume) => self.asked.push(resume.call),
            ToEngine::CancelLease(cancel) => {
                let cancelled = |lease: &&mut Lease| lease.peer.lease == cancel.lease;
                let lease = self.leases.iter_mut().find(cancelled).expect("a lease");
                assert!(!lease.peer.calls, "it is the callee of this lease");
                lease.is_recalled = true;
                lease.peer.file.end();
            }
        }
    }

    fn invoked(&mut self, call: InvokeNumber, parent: CallNumber, payload: WirePayload<'_>) {
        let token = match payload {
            WirePayload::Inline(inline) => token_of(inline.body),
            WirePayload::Block(place) => {
                let start = self.container_region.pointer(place.block, 8);
                // SAFETY: `pointer` has checked that the bytes are inside. The container, which is
                // this process, does not write to a block before it is given back.
                let token = token_of(unsafe { std::slice::from_raw_parts(start, 8) });
                self.container_region.give_back(place.block);
                token
            }
        };
        self.ledger.goes(token, by_engine(token), false);
        self.invoked.push(Invoked { call, parent, token });
    }

    /// Records that the worker has ended a call, whose token is returned, or a lease.
    fn ended(&mut self, call: CallNumber) -> Option<u64> {
        if let Some(token) = self.calls.remove(&call) {
            return Some(token);
        }
        let of = self.leases.iter_mut().find(|lease| lease.peer.lease == call);
        let lease = of.expect("a call or a lease that is open");
        assert!(lease.peer.calls && !lease.has_ended, "a lease has ended twice");
        lease.has_ended = true;
        lease.peer.file.end();
        lease.peer.file.refuse();
        None
    }

    fn answer(&mut self, invoked: &Invoked) {
        let body = by_engine(invoked.token);
        let payload = WirePayload::Inline(InlinePayload { metadata: &[], body: &body });
        let (call, function, sent_at) = (invoked.call, Some(function(3)), now_ns());
        self.send(AnswerComplete { call, function, sent_at, payload }.write());
    }

    fn refuse(&mut self, invoked: &Invoked, status: Status) {
        let failure = WireFailure { status, payload: InlinePayload::default() };
        let (call, function, sent_at) = (invoked.call, None, now_ns());
        self.send(AnswerFailed { call, function, sent_at, failure }.write());
    }

    /// Answers everything that waits for the engine.
    pub(crate) fn serve(&mut self) {
        for invoked in std::mem::take(&mut self.invoked) {
            self.answer(&invoked);
        }
        for call in std::mem::take(&mut self.asked) {
            self.send(Resumed { call }.write());
        }
    }

    /// Makes the worker run a call with a body of its token and this script.
    pub(crate) fn dispatch(&mut self, script: &[u8], deadline: Option<NonZeroU64>) -> CallNumber {
        let (call, token) = (new_call(), new_token());
        let body = [&token.to_le_bytes()[..], script].concat();
        let payload = WirePayload::Inline(InlinePayload { metadata: &[], body: &body });
        let (root, caller, sent_at) = (None, None, now_ns());
        self.calls.insert(call, token);
        let dispatch = Dispatch { call, root, depth: 1, caller, deadline, sent_at, payload };
        self.send(dispatch.write());
        call
    }

    /// Cancels a call and all calls below it.
    fn cancel(&mut self, call: CallNumber, reason: CancelReason) {
        if self.calls.contains_key(&call) {
            match self.mode {
                Mode::EventLoop => {
                    let (reason, sent_at) = (Some(reason), now_ns());
                    self.send(CancelCall { call, reason, sent_at }.write());
                }
                Mode::Threads => {
                    let word = CancelWord { call, reason }.pack();
                    self.engine_region.cancel_word(0).store(word, Ordering::Relaxed);
                }
            }
        }
        let of_call = self.invoked.extract_if(.., |of| of.parent == call);
        for invoked in of_call.collect::<Vec<_>>() {
            self.refuse(&invoked, reason.status());
        }
        for lease in self.leases.iter_mut().filter(|lease| !lease.has_ended && !lease.peer.calls) {
            let file = &lease.peer.file;
            if file.seen().is_some_and(|seen| seen.maker == call && file.cancel(seen, reason)) {
                lease.is_recalled = true;
                file.end();
                if self.mode == Mode::Threads {
                    file.wake_caller();
                }
            }
        }
    }

    /// Lends the worker to a peer, or a peer to the container.
    fn lend(&mut self, steps: &mut Steps<'_>) {
        let how = steps.u8();
        let calls = how & 1 == 0;
        let busy = calls && self.mode == Mode::Threads && self.is_busy();
        if self.leases.len() >= MAX_LEASES || busy {
            return;
        }
        let lease = new_call();
        let own = if how & 2 == 0 { Mode::Threads } else { Mode::EventLoop };
        let (peer, descriptors) = Peer::create((lease, calls), (own, self.mode));
        self.leases.push(Lease { peer, is_recalled: false, has_ended: false });
        if calls {
            if how & 4 != 0 {
                self.send(Lend { call: lease }.write());
            }
            self.tell(&Lent { lease, caller: PEER.to_owned() }.write(), &descriptors);
            if how & 4 == 0 {
                self.send(Lend { call: lease }.write());
            }
        } else {
            let timeout = if how & 8 == 0 { HOUR } else { Duration::from_millis(1) };
            let (callee, name) = (function(2), PEER.to_owned());
            let max_depth = if how & 48 == 48 { 0 } else { 8 };
            let leased = Leased { lease, callee, name, timeout, max_depth };
            self.tell(&leased.write(), &descriptors);
        }
    }

    /// Takes a lease back. If its peer is called, the peer or its death ends the lease too.
    fn end_lease(&mut self, at: usize, by_death: bool) {
        let lease = &mut self.leases[at];
        if lease.has_ended {
            return;
        }
        let (number, file) = (lease.peer.lease, lease.peer.file.clone());
        if lease.peer.calls {
            if by_death {
                let seen = file.seen();
                let is_cancelled = seen.is_some_and(|seen| file.cancel(seen, CancelReason::Caller));
                if is_cancelled {
                    self.cancel(number, CancelReason::Caller);
                }
            }
            let lease = &mut self.leases[at];
            if !std::mem::replace(&mut lease.is_recalled, true) {
                file.end();
                self.send(Recall { call: number }.write());
                if self.mode == Mode::Threads {
                    file.wake_callee();
                }
            }
            return;
        }
        lease.has_ended = true;
        let status = if by_death { Status::ContainerDied } else { Status::Ok };
        if !by_death {
            file.end();
            file.refuse();
        }
        self.tell(&LeaseEnded { lease: number, status, text: String::new() }.write(), &[]);
    }

    /// Ends all leases.
    pub(crate) fn end_leases(&mut self, by_death: bool) {
        (0..self.leases.len()).for_each(|at| self.end_lease(at, by_death));
        self.engine_side.board.0.set(function(1), Notice::default());
        self.engine_side.board.0.set(function(2), Notice::default());
    }

    pub(crate) fn retire(&mut self) {
        self.send(Retire { sent_at: now_ns() }.write());
    }

    fn any_call(&self, steps: &mut Steps<'_>) -> Option<CallNumber> {
        let leases = self.leases.iter().filter(|lease| lease.peer.calls && !lease.has_ended);
        let mut calls: Vec<_> = leases.map(|lease| lease.peer.lease).collect();
        calls.extend(self.calls.keys());
        calls.sort_by_key(|call| call.number());
        calls.get(usize::from(steps.u8()) % calls.len().max(1)).copied()
    }

    /// Takes one step of the engine or of a peer.
    pub(crate) fn step(&mut self, steps: &mut Steps<'_>) {
        self.take();
        match steps.u8() % 16 {
            0 | 1 => self.lend(steps),
            2 => {
                let (how, script) = (steps.u8(), steps.text());
                let left = match how & 3 {
                    0 => 1_000_000,
                    1 => HOUR.as_nanos() as u64,
                    _ => 0,
                };
                let deadline = NonZeroU64::new(if left > 0 { now_ns() + left } else { 0 });
                let busy = self.mode == Mode::Threads && self.is_busy();
                if self.calls.len() < MAX_CALLS && !busy {
                    self.dispatch(script, deadline);
                }
            }
            3 => {
                let reason = CancelReason::from_status(Status::DeadlineExceeded);
                let reason = reason.filter(|_| steps.u8() & 1 == 0);
                let call = self.any_call(steps).filter(|call| self.calls.contains_key(call));
                if let Some(call) = call {
                    self.cancel(call, reason.unwrap_or(CancelReason::Caller));
                }
            }
            4 => self.serve(),
            5 => {
                if let Some(invoked) = self.invoked.pop() {
                    self.answer(&invoked);
                }
            }
            6 => {
                if let Some(call) = self.any_call(steps) {
                    self.worker.desk.lend(call);
                }
            }
            7 => {
                let how = steps.u8();
                let notice = Notice { is_queued: how & 2 != 0, is_full: how & 4 != 0 };
                self.engine_side.board.0.set(function(1 + u32::from(how & 1)), notice);
            }
            8 => {
                let how = steps.u8();
                if !self.leases.is_empty() {
                    self.end_lease(usize::from(how >> 1) % self.leases.len(), how & 1 == 0);
                }
            }
            _ => {
                let which = usize::from(steps.u8());
                if !self.leases.is_empty() {
                    let at = which % self.leases.len();
                    self.leases[at].peer.step(steps);
                }
            }
        }
    }
}

impl Drop for Lender<'_> {
    fn drop(&mut self) {
        self.engine_region.cancel_word(0).store(CancelWord::NONE, Ordering::Relaxed);
    }
}
