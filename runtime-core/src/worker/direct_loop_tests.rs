//! Tests an event loop with direct channels. The test plays the engine and the peers.

use super::compose::{Body, CallOptions};
use super::direct_send::SentCall;
use super::event_loop::EventLoop;
use super::loop_calls::{KeptCall, LoopCalls, UnderWay};
use super::loop_channel::LoopChannel;
use super::loop_direct_call::MakerEvent;
use super::loop_event::Event;
use super::loop_request::LoopRequest;
use super::payload::Maker;
use super::running::RunningCall;
use super::session::{NewWorker, Session};
use crate::clock::now_ns;
use crate::ipc::board::Board;
use crate::ipc::channel::Pipe;
use crate::ipc::desk::{Desk, Seat};
use crate::ipc::direct::{DirectFile, DirectState};
use crate::ipc::region::create_file;
use crate::ipc::ring::{self, RingFile, RingReader, RingWriter, Sent, Side};
use crate::ipc::socket::ReceivedControl;
use crate::protocol::control::{
    ContainerNumber, CreateWorker, FromEngine, LeaseEnded, Leased, Lent, Mode, Placement, Welcome,
    WorkerSlot,
};
use crate::protocol::direct::{DirectAnswer, DirectCall};
use crate::protocol::limits::BASE_UNITS;
use crate::protocol::to_engine::{CallComplete, HandlerTimes};
use crate::protocol::to_worker::{CancelCall, Dispatch, Lend, Recall, Resumed};
use crate::protocol::{
    CallId, CallNumber, CancelReason, FunctionId, InlinePayload, MetadataBuffer, Status, ToEngine,
    WirePayload,
};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::num::NonZeroU64;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

const CALLEE: &str = "Callee";
const HOUR_NS: u64 = 3_600_000_000_000;

fn number(number: u64) -> CallNumber {
    CallNumber::new(number).unwrap()
}

const fn empty() -> WirePayload<'static> {
    WirePayload::Inline(InlinePayload { metadata: b"", body: b"" })
}

/// The event loop, and the engine's side of its channel.
struct World {
    event_loop: EventLoop,
    session: Arc<Session>,
    to_loop: RingWriter,
    from_loop: RingReader,
    bell: OwnedFd,
    desk: Desk,
    _board: Board,
    _control: OwnedFd,
    _bell_of_engine: OwnedFd,
}

/// The peer's side of a direct channel.
struct Direct {
    file: DirectFile,
    writer: RingWriter,
    reader: RingReader,
    bell: OwnedFd,
}

impl Direct {
    /// Creates a channel. Returns the peer's side, and the descriptors for the event loop.
    fn create(is_caller: bool) -> (Direct, Vec<OwnedFd>) {
        let rings = ring::create_file().unwrap();
        let file = DirectFile::map(&rings).unwrap();
        let (writer, reader) = if is_caller { file.caller_ends() } else { file.callee_ends() };
        let bell = Pipe::without_name().unwrap();
        let regions = [(); 2].map(|()| create_file(BASE_UNITS).unwrap());
        let [caller, callee] = regions;
        let descriptors = vec![rings, caller, callee, bell.reader];
        (Direct { file, writer, reader, bell: bell.writer }, descriptors)
    }

    fn send(&mut self, message: &[u8]) {
        if self.writer.send(message) == Sent::Ring {
            crate::ipc::channel::send(self.bell.as_fd(), &[0]).unwrap();
        }
    }

    /// As the caller: sends a call that was claimed.
    fn call_claimed(&mut self, call: u64) {
        let (call, deadline) = (number(call), NonZeroU64::new(now_ns() + HOUR_NS).unwrap());
        let (root, sent_at) = (CallId::new(1), now_ns());
        let message = DirectCall { call, root, depth: 1, deadline, sent_at, payload: empty() };
        self.send(message.write().as_bytes());
    }

    fn call(&mut self, call: u64) {
        assert!(self.file.claim(number(900), true));
        self.call_claimed(call);
    }

    /// As the caller: whether the call with this number was answered.
    fn is_answered(&mut self, call: u64) -> bool {
        let Some(message) = self.reader.take().unwrap() else { return false };
        DirectAnswer::read(&message).unwrap().call() == number(call)
    }

    /// As the callee: answers the call that has come.
    fn answer(&mut self) {
        let message = self.reader.take().unwrap().expect("a call");
        let call = DirectCall::read(&message).unwrap().call;
        assert_eq!(self.file.finish(), None);
        let times = HandlerTimes { began_at: 1, ended_at: 2 };
        let message = CallComplete { call, times, sent_at: 3, payload: empty() }.write();
        self.send(message.as_bytes());
    }
}

impl World {
    fn new() -> World {
        let (ours, theirs) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        let welcome = Welcome {
            version: crate::protocol::VERSION,
            container: ContainerNumber(1),
            max_body_bytes: 1 << 20,
            function_id: FunctionId::new(1),
            exposes_errors: true,
            function: "Test".to_owned(),
        };
        let (board, board_file) = Board::create().unwrap();
        let regions = [(); 2].map(|()| create_file(BASE_UNITS).unwrap());
        let descriptors = regions.into_iter().chain([board_file]).collect();
        let session = Session::new(theirs, welcome, descriptors, Mode::EventLoop).unwrap();
        let session = Arc::new(session);
        let rings = ring::create_file_with_seats().unwrap();
        let file = RingFile::map(&rings).unwrap();
        let (to_loop, from_loop) = file.ends(Side::Engine);
        let desk = Desk::of(&file).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let to = Pipe::create(&dir.path().join("to")).unwrap();
        let from = Pipe::create(&dir.path().join("from")).unwrap();
        let create = CreateWorker { slot: WorkerSlot::new(0).unwrap(), placement: Placement::Free };
        let new = NewWorker { create, descriptors: vec![to.reader, from.writer, rings] };
        let event_loop = EventLoop::over(session.clone(), new).unwrap();
        let mut world = World {
            event_loop,
            session,
            to_loop,
            from_loop,
            bell: to.writer,
            desk,
            _board: board,
            _control: ours,
            _bell_of_engine: from.reader,
        };
        assert_eq!(world.said(), ["ready"]);
        world
    }

    fn send(&mut self, message: &[u8]) {
        if self.to_loop.send(message) == Sent::Ring {
            crate::ipc::channel::send(self.bell.as_fd(), &[0]).unwrap();
        }
    }

    fn dispatch(&mut self, call: u64) {
        let (root, deadline) = (None, None);
        let (caller, sent_at, payload) = (None, now_ns(), empty());
        let call = number(call);
        let dispatch = Dispatch { call, root, depth: 1, caller, deadline, sent_at, payload };
        self.send(dispatch.write().as_bytes());
    }

    /// Returns the messages of the event loop to the engine since the last call of this method.
    fn said(&mut self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(message) = self.from_loop.take().unwrap() {
            said.push(match ToEngine::read(&message).unwrap() {
                ToEngine::Ready(_) => "ready".to_owned(),
                ToEngine::Resume(resume) => format!("resume {}", resume.call.number()),
                ToEngine::CallComplete(complete) => format!("complete {}", complete.call.number()),
                ToEngine::CallFailed(failed) => {
                    format!("failed {} {}", failed.call.number(), failed.failure.status)
                }
                ToEngine::Invoke(invoke) => format!("invoke for {}", invoke.parent.number()),
                ToEngine::CancelLease(cancel) => format!("cancel {}", cancel.lease.number()),
                other => panic!("{other:?}"),
            });
            self.from_loop.give_back();
        }
        said
    }

    fn next(&self) -> Option<Event> {
        self.event_loop.next(Some(Duration::ZERO)).unwrap()
    }

    #[track_caller]
    fn request(&self) -> LoopRequest {
        match self.next() {
            Some(Event::Request(request)) => request,
            _ => panic!("no request"),
        }
    }

    fn channel(&self) -> &LoopChannel {
        self.event_loop.channel()
    }

    /// Lends the event loop, so that it runs the calls of a lease. The test is their caller.
    fn lend(&mut self, lease: u64) -> Direct {
        let (direct, descriptors) = Direct::create(true);
        self.send(Lend { call: number(lease) }.write().as_bytes());
        let message = FromEngine::Lent(Lent { lease: number(lease), caller: "Caller".to_owned() });
        self.session.handle(ReceivedControl { message, descriptors });
        direct
    }

    /// Gives the event loop a lease, by which it may call directly. The test is the callee.
    fn lease(&self, lease: u64) -> Direct {
        let (direct, descriptors) = Direct::create(false);
        let leased = Leased {
            lease: number(lease),
            callee: FunctionId::new(2).unwrap(),
            name: CALLEE.to_owned(),
            timeout: Duration::from_secs(3600),
            max_depth: 8,
        };
        self.session.handle(ReceivedControl { message: FromEngine::Leased(leased), descriptors });
        direct
    }
}

fn start(request: &LoopRequest, tag: u64, timeout: Option<Duration>) {
    let options = CallOptions { timeout, ..CallOptions::default() };
    request.start_call(tag, CALLEE, Body::Parts(&[b"x"]), &options).unwrap();
}

fn reply(request: &LoopRequest) {
    request.reply(Body::Parts(&[b""]), MetadataBuffer::new().as_metadata()).unwrap();
}

#[track_caller]
fn assert_answer(event: Option<Event>, expected: u64) {
    match event {
        Some(Event::Answer { tag, .. }) => assert_eq!(tag, expected),
        Some(_) => panic!("another event"),
        None => panic!("no event"),
    }
}

#[test]
fn a_request_that_is_dropped_after_its_caller_has_left_is_cancelled_and_not_failed() {
    let mut world = World::new();
    for (call, reason) in [(1, Some(CancelReason::Caller)), (2, None)] {
        world.dispatch(call);
        let request = world.request();
        if reason.is_some() {
            let cancel = CancelCall { call: number(call), reason, sent_at: now_ns() };
            world.send(cancel.write().as_bytes());
            assert!(matches!(world.next(), Some(Event::Cancelled { .. })));
        }
        drop(request);
    }
    assert_eq!(world.said(), ["failed 1 CANCELLED", "failed 2 FUNCTION_FAILED"]);
}

#[test]
fn a_call_that_waits_for_a_slot_does_not_keep_the_loop_busy() {
    let mut world = World::new();
    let mut caller = world.lend(50);
    caller.call(1);
    let request = world.request();
    // Meanwhile the engine lends the slot of the lease.
    let mut callee = world.lease(60);
    start(&request, 1, None);
    assert!(world.desk.lend(number(50)));
    reply(&request);
    assert_eq!(world.said(), ["cancel 60", "resume 50"]);
    assert!(caller.is_answered(1));
    caller.call(2);
    let began = now_ns();
    assert!(world.next().is_none());
    assert!(now_ns() - began < 1_000_000_000);
    world.send(Resumed { call: number(50) }.write().as_bytes());
    reply(&world.request());
    assert!(caller.is_answered(2));
    drop(callee.reader.take());
}

#[test]
fn no_event_of_an_answered_request_comes() {
    let mut world = World::new();
    let mut callees = [world.lease(60), world.lease(61)];
    world.dispatch(7);
    let request = world.request();
    start(&request, 1, None);
    start(&request, 2, None);
    callees.iter_mut().for_each(Direct::answer);
    assert!(matches!(world.next(), Some(Event::Answer { .. })));
    reply(&request);
    assert!(world.next().is_none());
    assert_eq!(world.said(), ["complete 7"]);
}

#[test]
fn the_last_answer_waits_for_a_slot_and_of_an_answered_request_is_forgotten() {
    let mut world = World::new();
    let mut callee = world.lease(60);
    world.dispatch(7);
    let request = world.request();
    start(&request, 1, None);
    assert!(world.desk.lend(number(7)));
    callee.answer();
    assert!(world.next().is_none());
    assert_eq!(world.said(), ["resume 7"]);
    world.send(Resumed { call: number(7) }.write().as_bytes());
    assert_answer(world.next(), 1);

    start(&request, 2, None);
    assert!(world.desk.lend(number(7)));
    callee.answer();
    assert!(world.next().is_none());
    reply(&request);
    assert_eq!(world.said(), ["resume 7", "complete 7"]);
    // The engine's next message about it was under way.
    world.send(Resumed { call: number(7) }.write().as_bytes());
    assert!(world.next().is_none());
}

#[test]
fn nothing_of_a_request_follows_its_answer() {
    let mut world = World::new();
    world.dispatch(7);
    let request = world.request();
    let from = MakerEvent { request: request.id(), tag: 1 };
    let maker = request.maker();
    reply(&request);
    assert_eq!(world.said(), ["complete 7"]);
    let channel = world.channel();
    assert!(!channel.ask_for_slot(from.request, from.request));
    let options = CallOptions::default();
    let kept = KeptCall { maker, name: CALLEE.to_owned(), body: Vec::new(), options };
    assert!(channel.start_again(from, &kept, now_ns() + HOUR_NS).is_err());
    assert!(world.said().is_empty());
}

#[test]
fn a_call_whose_deadline_passed_before_its_lease_ended_is_left_to_the_engine() {
    let mut world = World::new();
    world.dispatch(7);
    let request = world.request();
    let from = MakerEvent { request: request.id(), tag: 1 };
    let options = CallOptions { timeout: Some(Duration::from_secs(1)), ..CallOptions::default() };
    let maker = request.maker();
    let kept = KeptCall { maker, name: CALLEE.to_owned(), body: Vec::new(), options };
    let deadline = now_ns();
    world.channel().start_again(from, &kept, deadline).unwrap();
    let message = world.from_loop.take().unwrap().unwrap();
    let ToEngine::Invoke(invoke) = ToEngine::read(&message).unwrap() else { panic!() };
    assert_eq!(invoke.deadline.map(NonZeroU64::get), Some(deadline));
}

#[test]
fn a_call_of_an_answered_request_takes_no_seat() {
    let mut world = World::new();
    let _callee = world.lease(60);
    world.dispatch(7);
    let request = world.request();
    let (from, maker) = (MakerEvent { request: request.id(), tag: 1 }, request.maker());
    reply(&request);
    let (name, options) = (CALLEE, &CallOptions::default());
    let call = super::compose::OutgoingCall {
        maker,
        name,
        body: Body::Parts(&[]),
        options,
        not_after: None,
    };
    let tried = world.channel().start_directly(from, call, || Ok(()), || false);
    assert!(tried.unwrap().is_some());
    let direct = world.channel().direct.as_ref().unwrap();
    assert_eq!(direct.take_seat(number(8)), Seat::new(0));
}

#[test]
fn a_call_that_was_refused_before_a_parked_loop_knew_of_it_wakes_the_loop() {
    let world = World::new();
    let callee = world.lease(60);
    let end = world.session.leases.take(CALLEE).unwrap();
    let mut calls = LoopCalls::default();
    assert!(calls.begin_wait());
    assert!(end.state.file.claim(number(7), true) && callee.file.refuse());
    let deadline = now_ns() + HOUR_NS;
    let sent = SentCall { number: number(1), sent_at: 1, deadline, is_seen: true };
    let maker = Maker {
        call: number(7),
        root: CallId::new(7),
        depth: 0,
        deadline: None,
        direct_deadline: None,
    };
    let options = CallOptions::default();
    let kept = KeptCall { maker, name: CALLEE.to_owned(), body: Vec::new(), options };
    assert!(calls.add(UnderWay { end, sent, request: number(7), tag: 1, kept, left: None }));
}

#[test]
fn a_call_that_was_taken_back_is_cancelled_though_its_lease_is_over_by_then() {
    let mut world = World::new();
    let callee = world.lease(60);
    world.dispatch(7);
    let request = world.request();
    start(&request, 1, None);
    request.cancel_call(1).unwrap();
    assert_eq!(world.said(), ["cancel 60"]);
    assert_eq!(callee.file.finish(), Some(CancelReason::Caller));
    let (lease, status, text) = (number(60), Status::Ok, String::new());
    let message = FromEngine::LeaseEnded(LeaseEnded { lease, status, text });
    world.session.handle(ReceivedControl { message, descriptors: Vec::new() });
    match world.next() {
        Some(Event::Answer { result: Err(failure), .. }) => {
            assert_eq!(failure.status, Status::Cancelled);
        }
        _ => panic!("no failure"),
    }
}

#[test]
fn a_call_that_the_engine_cancelled_tells_why_though_its_lease_is_over_by_then() {
    let mut world = World::new();
    let callee = world.lease(60);
    world.dispatch(7);
    let request = world.request();
    start(&request, 1, None);
    let seen = callee.file.seen().unwrap();
    assert!(callee.file.cancel(seen, CancelReason::Deadline));
    assert_eq!(callee.file.finish(), Some(CancelReason::Deadline));
    let (lease, status, text) = (number(60), Status::Ok, String::new());
    let message = FromEngine::LeaseEnded(LeaseEnded { lease, status, text });
    world.session.handle(ReceivedControl { message, descriptors: Vec::new() });
    match world.next() {
        Some(Event::Answer { result: Err(failure), .. }) => {
            assert_eq!(failure.status, Status::DeadlineExceeded);
        }
        _ => panic!("no failure"),
    }
}

#[test]
fn a_lease_that_is_recalled_before_its_channel_comes_ends() {
    let mut world = World::new();
    let (_, descriptors) = Direct::create(true);
    world.send(Lend { call: number(50) }.write().as_bytes());
    assert!(world.next().is_none());
    world.send(Recall { call: number(50) }.write().as_bytes());
    assert!(world.next().is_none());
    let message = FromEngine::Lent(Lent { lease: number(50), caller: "Caller".to_owned() });
    world.session.handle(ReceivedControl { message, descriptors });
    assert!(world.next().is_none());
    assert_eq!(world.said(), ["complete 50"]);
}

#[test]
fn after_the_end_of_a_lease_one_call_runs_at_most() {
    let mut world = World::new();
    let mut caller = world.lend(50);
    caller.call(1);
    world.send(Recall { call: number(50) }.write().as_bytes());
    // One call may have been on its way. An honest caller sees the end of the lease by a bit in the
    // file.
    reply(&world.request());
    caller.call(2);
    reply(&world.request());
    caller.call(3);
    assert!(world.next().is_none());
    assert_eq!(world.said(), ["complete 50"]);
    assert_eq!(caller.file.state(), DirectState::Refused);
}

#[test]
fn calls_that_nobody_claimed_or_that_are_all_left_end_the_lease() {
    let mut world = World::new();
    let mut caller = world.lend(50);
    caller.call_claimed(1);
    assert!(world.next().is_none());
    assert_eq!(world.said(), ["complete 50"]);

    let mut caller = world.lend(51);
    for call in 1..100 {
        if !caller.file.claim(number(900), true) {
            break;
        }
        caller.file.abandon(CancelReason::Caller);
        caller.call_claimed(call);
        assert!(world.next().is_none());
    }
    assert_eq!(world.said(), ["complete 51"]);
}

#[test]
fn deadlines_pass_in_a_loop_that_always_has_something_to_do() {
    let mut world = World::new();
    let _callee = world.lease(60);
    world.dispatch(7);
    let request = world.request();
    start(&request, 1, Some(Duration::from_millis(20)));
    let until = now_ns() + 1_000_000_000;
    for call in 100.. {
        world.dispatch(call);
        match world.next() {
            Some(Event::Request(request)) => reply(&request),
            event => return assert_answer(event, 1),
        }
        world.said();
        assert!(now_ns() < until, "it has not ended by its deadline");
    }
}
