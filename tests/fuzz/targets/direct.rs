//! An event loop whose direct channels lead to peers that need not follow the rules: as the callee,
//! as the caller, and as both at once, while its engine lends, takes back and cancels.

use crate::engine_side::{EngineSide, HONEST, Worker, create_worker};
use crate::ledger::{Ended, new_token};
use crate::lender::{Lender, OTHER, PEER};
use crate::steps::Steps;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::{CallNumber, Failure, MetadataBuffer, Status};
use nightcore_runtime::worker::{Body, CallOptions, Event, EventLoop, LoopRequest, RunningCall};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::time::{Duration, Instant};

/// The time after the end of all leases within which everything has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// The time within which an event makes the descriptor readable, in ms.
const WAKES_WITHIN_MS: u16 = 5_000;
/// The maximum number of requests that the host holds at once, and of the calls of each.
const MAX_HELD: usize = 16;
const MAX_STARTED: usize = 8;

pub(super) fn target(data: &[u8]) {
    let engine_side = EngineSide::open();
    let (worker, descriptors) = Worker::create();
    let (control, event_loop) = std::thread::scope(|scope| {
        let engine = scope.spawn(|| {
            let control = engine_side.admit();
            create_worker(&control, &descriptors);
            control
        });
        let event_loop = EventLoop::connect(&[HONEST]).expect("the engine admits it");
        (engine.join().expect("it does not panic"), event_loop)
    });
    drop(descriptors);
    let mut lender = Lender::new(&engine_side, &control, worker, Mode::EventLoop);
    let mut host = DirectHost { event_loop, held: Vec::new() };
    let mut steps = Steps::new(data);
    let by_death = steps.u8() & 1 == 0;
    while !steps.is_over() {
        match steps.u8() % 4 {
            0 => host.step(&mut lender, &mut steps),
            _ => lender.step(&mut steps),
        }
    }
    host.settle(&mut lender, by_death);
    host.probe(&mut lender);
}

/// A request that the host has not answered.
struct HeldRequest {
    request: LoopRequest,
    /// The tokens of its calls under way. They are also the tags of these calls.
    calls: Vec<u64>,
}

struct DirectHost {
    event_loop: EventLoop,
    held: Vec<HeldRequest>,
}

impl DirectHost {
    fn step(&mut self, lender: &mut Lender<'_>, steps: &mut Steps<'_>) {
        let how = steps.u8();
        let at = usize::from(steps.u8()) % self.held.len().max(1);
        match how % 8 {
            0 | 1 => drop(self.next(lender)),
            2 => {
                let mut events = Vec::new();
                let taken = self.event_loop.next_many(4, |event| events.push(event));
                assert_eq!(taken.expect("a channel"), events.len());
                lender.take();
                events.into_iter().for_each(|event| self.event(lender, event));
            }
            3 | 4 => {
                if let Some(held) = self.held.get_mut(at) {
                    start(held, lender, steps);
                }
            }
            5 => {
                if let Some(held) = self.held.get(at) {
                    let index = usize::from(steps.u8()) % held.calls.len().max(1);
                    let tag = held.calls.get(index).copied().unwrap_or(7);
                    held.request.cancel_call(tag).expect("it is not answered");
                }
            }
            _ => {
                if !self.held.is_empty() {
                    self.end(lender, at, steps.u8());
                }
            }
        }
        lender.take();
    }

    /// Takes the next event. Returns whether there was one.
    fn next(&mut self, lender: &mut Lender<'_>) -> bool {
        let event = self.event_loop.next(Some(Duration::ZERO)).expect("a channel");
        lender.take();
        let is_event = event.is_some();
        event.into_iter().for_each(|event| self.event(lender, event));
        is_event
    }

    fn held(&mut self, request: CallNumber) -> Option<&mut HeldRequest> {
        self.held.iter_mut().find(|held| held.request.id() == request)
    }

    fn event(&mut self, lender: &mut Lender<'_>, event: Event) {
        match event {
            Event::Request(request) => {
                assert!(self.held(request.id()).is_none(), "a request has come twice");
                self.held.push(HeldRequest { request, calls: Vec::new() });
                if self.held.len() > MAX_HELD {
                    self.end(lender, 0, 0);
                }
            }
            Event::Answer { request, tag, result } => {
                let held = self.held(request).expect("a request that is not answered");
                let at = held.calls.iter().position(|call| *call == tag);
                held.calls.swap_remove(at.expect("a call that is under way"));
                let result = result.map(|answer| answer.body().to_vec());
                let is_any = lender.has_scribbled();
                lender.ledger.ends(&Ended { token: tag, result }, is_any);
            }
            Event::Cancelled { request, .. } => {
                self.held(request).expect("a request that is not answered");
            }
            Event::Ended => panic!("the channel of the engine has ended"),
        }
    }

    /// Ends a request, in one of the ways in which a host may.
    fn end(&mut self, lender: &mut Lender<'_>, at: usize, how: u8) {
        let HeldRequest { request, calls } = self.held.swap_remove(at);
        calls.into_iter().for_each(|token| lender.ledger.forget(token));
        // A short answer to the engine fits into its message.
        let is_direct = request.caller().is_some();
        match how % 16 {
            14 => request
                .fail(&Failure::new(Status::FunctionFailed, "it fails").into())
                .expect("once"),
            15 => drop(request),
            _ => reply(&request, is_direct && how % 16 > 10).expect("once"),
        }
    }

    /// Ends all leases, and waits until all calls of the honest side have ended.
    fn settle(&mut self, lender: &mut Lender<'_>, by_death: bool) {
        lender.end_leases(by_death);
        let began = Instant::now();
        let calls_under_way =
            |host: &DirectHost| host.held.iter().any(|held| !held.calls.is_empty());
        loop {
            let has_event = self.next(lender);
            lender.serve();
            // Requests are answered only after their calls have ended.
            if !has_event && !calls_under_way(self) {
                while !self.held.is_empty() {
                    self.end(lender, 0, 0);
                }
                lender.take();
                if lender.is_idle() && lender.ledger.under_way() == 0 {
                    return;
                }
            }
            assert!(began.elapsed() < ENDS_WITHIN, "a call or a lease does not end");
        }
    }

    /// Checks that a call through the engine is answered, and also a call that it makes.
    fn probe(&mut self, lender: &mut Lender<'_>) {
        while self.next(lender) {}
        assert!(self.held.is_empty(), "a request of a lease that is over");
        lender.dispatch(b"", None);
        self.wait();
        assert!(self.next(lender) && self.held.len() == 1, "no request has come");
        call(&mut self.held[0], lender, PEER, 0, &CallOptions::default());
        lender.take();
        lender.serve();
        self.wait();
        assert!(self.next(lender) && self.held[0].calls.is_empty(), "no answer has come");
        self.end(lender, 0, 0);
        lender.take();
        assert!(lender.is_idle(), "the engine has no answer");
        assert!(!self.next(lender));
    }

    /// Waits on the descriptor, as a host does.
    fn wait(&self) {
        let mut fds = [PollFd::new(self.event_loop.fd(), PollFlags::POLLIN)];
        let ready = poll(&mut fds, PollTimeout::from(WAKES_WITHIN_MS)).expect("poll");
        assert!(ready > 0, "an event, and who waits at the descriptor is not woken");
    }
}

/// Returns the function, the padding and the options of a call that the honest side makes.
pub(super) fn any_call(how: u8, steps: &mut Steps<'_>) -> (&'static str, usize, CallOptions) {
    let name = if how & 3 == 3 { OTHER } else { PEER };
    let padding = if how & 4 == 0 { 0 } else { usize::from(steps.u8()) * 300 };
    let timeout = match how & 24 {
        8 => Some(Duration::from_micros(500)),
        16 => Some(Duration::from_nanos(1)),
        _ => None,
    };
    (name, padding, CallOptions { timeout, metadata: MetadataBuffer::new() })
}

fn start(held: &mut HeldRequest, lender: &mut Lender<'_>, steps: &mut Steps<'_>) {
    if held.calls.len() >= MAX_STARTED {
        return;
    }
    let how = steps.u8();
    let (name, padding, options) = any_call(how, steps);
    call(held, lender, name, padding, &options);
}

fn call(
    held: &mut HeldRequest,
    lender: &mut Lender<'_>,
    name: &str,
    padding: usize,
    options: &CallOptions,
) {
    let token = new_token();
    lender.ledger.begins(token);
    let body = Body::Parts(&[&token.to_le_bytes(), &vec![0; padding]]);
    match held.request.start_call(token, name, body, options) {
        Ok(()) => held.calls.push(token),
        Err(failure) => {
            lender.ledger.ends(&Ended { token, result: Err(failure) }, false);
        }
    }
}

/// Answers with the beginning of the request's body, which tells the caller which call it was.
pub(super) fn reply(request: &impl RunningCall, is_large: bool) -> Result<(), Failure> {
    let body = request.body();
    let body = &body[..body.len().min(8)];
    let padding = vec![0; if is_large { 5_000 } else { 8 }];
    let parts: [&[u8]; 4] = [b"r", &[body.len() as u8], body, &padding];
    request.reply(Body::Parts(&parts), MetadataBuffer::new().as_metadata())
}
