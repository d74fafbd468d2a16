//! A worker thread whose direct channels lead to peers that need not follow the rules. The bodies
//! of its requests contain scripts for its handlers.
//!
//! A process serves once, so it is a container for all runs, and each run has a worker of its own.

use super::direct::{any_call, reply};
use crate::engine_side::{EngineSide, HONEST, Worker, create_worker};
use crate::ledger::{Ended, new_token};
use crate::lender::Lender;
use crate::steps::Steps;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::{Failure, Status};
use nightcore_runtime::worker::{Body, HandlerError, Handlers, Request, RunningCall, serve};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

/// The time after the end of all leases within which everything has ended.
const ENDS_WITHIN: Duration = Duration::from_secs(10);
/// The maximum number of calls that a handler makes.
const MAX_CALLS: usize = 4;
/// The time that the worker is given between two steps.
const TURN: Duration = Duration::from_micros(50);

/// A handler's report.
enum HandlerEvent {
    Begins(u64),
    Ended(Ended),
}

/// The container, which is this process.
struct StandingContainer {
    engine_side: EngineSide,
    control: OwnedFd,
    told: Mutex<Receiver<HandlerEvent>>,
}

fn standing() -> &'static StandingContainer {
    static STANDING: OnceLock<StandingContainer> = OnceLock::new();
    STANDING.get_or_init(|| {
        let engine_side = EngineSide::open();
        let (tells, told) = channel();
        let mut handlers = Handlers::new();
        let tells = Mutex::new(tells);
        let handler = move |request: &Request<'_>| {
            let tells = tells.lock().unwrap_or_else(PoisonError::into_inner).clone();
            handle(request, &tells).map_err(HandlerError::from)
        };
        handlers.add(HONEST, Arc::new(handler)).expect("a name");
        // If this returns, the worker of the next run does not become ready.
        std::thread::spawn(move || serve(&handlers));
        let control = engine_side.admit();
        StandingContainer { engine_side, control, told: Mutex::new(told) }
    })
}

/// Runs the script that follows the token in the body.
fn handle(request: &Request<'_>, tells: &Sender<HandlerEvent>) -> Result<(), Failure> {
    let mut steps = Steps::new(request.body().get(8..).unwrap_or_default());
    let mut calls = 0;
    while !steps.is_over() && calls < MAX_CALLS {
        calls += 1;
        let how = steps.u8();
        let (name, padding, options) = any_call(how, &mut steps);
        let token = new_token();
        tells.send(HandlerEvent::Begins(token)).expect("it is listened to");
        let parts: [&[u8]; 2] = [&token.to_le_bytes(), &vec![0; padding]];
        let result = match how & 96 {
            96 => request
                .start_call(token, name, Body::Parts(&parts), &options)
                .and_then(|()| request.next_answer(None))
                .map(|next| next.expect("it waits for good"))
                .and_then(|next| next.result),
            _ => request.call(name, Body::Parts(&parts), &options),
        };
        let result = result.map(|answer| answer.body().to_vec());
        tells.send(HandlerEvent::Ended(Ended { token, result })).expect("it is listened to");
        if how >= 250 {
            return Err(Failure::new(Status::FunctionFailed, "it fails"));
        }
    }
    reply(request, calls == 1 && request.caller().is_some())
}

pub(super) fn target(data: &[u8]) {
    let standing = standing();
    let told = standing.told.lock().unwrap_or_else(PoisonError::into_inner);
    let (worker, descriptors) = Worker::create();
    create_worker(&standing.control, &descriptors);
    drop(descriptors);
    let mut lender = Lender::new(&standing.engine_side, &standing.control, worker, Mode::Threads);
    wait_until(&mut lender, &told, "the worker is ready", |lender| lender.is_ready);
    let mut steps = Steps::new(data);
    let by_death = steps.u8() & 1 == 0;
    while !steps.is_over() {
        match steps.u8() % 4 {
            0 => turn(&mut lender, &told),
            _ => lender.step(&mut steps),
        }
    }
    lender.end_leases(by_death);
    let is_idle = |lender: &mut Lender<'_>| {
        lender.serve();
        lender.is_idle() && lender.ledger.under_way() == 0
    };
    wait_until(&mut lender, &told, "all calls and leases have ended", is_idle);
    // A call through the engine must be answered, and so must a call that it makes.
    lender.dispatch(&[0], None);
    wait_until(&mut lender, &told, "the engine is answered", is_idle);
    lender.retire();
    wait_until(&mut lender, &told, "the worker has ended", |lender| lender.worker.is_gone());
}

/// Lets the worker run, and takes its messages.
fn turn(lender: &mut Lender<'_>, told: &Receiver<HandlerEvent>) {
    std::thread::sleep(TURN);
    lender.take();
    hear(lender, told);
}

fn hear(lender: &mut Lender<'_>, told: &Receiver<HandlerEvent>) {
    while let Ok(told) = told.try_recv() {
        // A call arrives at its callee before it ends.
        lender.take();
        match told {
            HandlerEvent::Begins(token) => lender.ledger.begins(token),
            HandlerEvent::Ended(ended) => {
                let is_any = lender.has_scribbled();
                lender.ledger.ends(&ended, is_any);
            }
        }
    }
}

fn wait_until(
    lender: &mut Lender<'_>,
    told: &Receiver<HandlerEvent>,
    what: &str,
    is_so: impl Fn(&mut Lender<'_>) -> bool,
) {
    let began = Instant::now();
    loop {
        // The reports of handlers arrive before their answers.
        lender.take();
        hear(lender, told);
        if is_so(lender) {
            return;
        }
        assert!(began.elapsed() < ENDS_WITHIN, "waited in vain until {what}");
        std::thread::yield_now();
    }
}
