//! Tests of how many calls of a function run while its handlers compute, on a simulated clock.

mod simulated;

use nightcore_engine::functions::Ran;
use nightcore_engine::functions::concurrency::Why;
use nightcore_engine::functions::cores::Reading;
use nightcore_engine::ids::{CallNumber, ChannelKey, FunctionId, Generation};
use nightcore_engine::scheduler::{Action, Event};
use nightcore_runtime::protocol::control::Mode;
use simulated::{Body, Driven, MS};
use std::num::NonZeroU32;

const CORES: u32 = 2;
const WORKERS: u32 = 16;

struct Server {
    scheduler: Driven<()>,
    function: FunctionId,
    now: u64,
    running: Vec<(ChannelKey, CallNumber)>,
    /// The processor time that the function's processes have used, in ns.
    used_ns: u64,
    /// The fraction of its time that a handler computes.
    share: f64,
}

impl Server {
    fn new(mode: Mode, share: f64) -> Server {
        let mut scheduler = Driven::on_cores(NonZeroU32::new(CORES));
        let spec = simulated::spec("Foo", WORKERS);
        let function = scheduler.add_function(spec);
        let container = scheduler.container_connected(0, function, Some(Generation::FIRST), mode);
        for _ in 0..WORKERS {
            scheduler.worker_ready(0, container);
        }
        let mut server =
            Server { scheduler, function, now: 0, running: Vec::new(), used_ns: 0, share };
        server.settle();
        server
    }

    fn call(&mut self) {
        let call = self.scheduler.external(self.now, self.function, None, (Body(0), 1), ());
        call.expect("the queue has room");
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(action) = self.scheduler.next_action() {
            match action {
                Action::Dispatch { channel, call, .. } => self.running.push((channel, call)),
                Action::Read { function } => {
                    let reading = Some(Reading { used_ns: self.used_ns, crowd: 1.5 });
                    let read = Event::Read { function, reading };
                    self.scheduler
                        .event(self.now, read)
                        .expect("only a worker's message can break a rule");
                }
                _ => {}
            }
        }
    }

    /// Lets time pass in steps, and wakes the scheduler at each step.
    fn pass(&mut self, ms: u64) {
        for _ in 0..4 * ms {
            self.now += MS / 4;
            let computing = (self.running.len() as f64 * self.share).min(f64::from(CORES));
            self.used_ns += (computing * (MS / 4) as f64) as u64;
            if self.scheduler.wake_at().is_some_and(|at| at <= self.now) {
                self.scheduler.advance(self.now);
                self.settle();
            }
        }
    }

    fn end_all(&mut self) {
        for (channel, call) in std::mem::take(&mut self.running) {
            let ran = Ran { began_at: self.now - MS, ended_at: self.now };
            let ended = self.scheduler.complete(self.now, channel, call, ran, Ok(Body(0)));
            ended.expect("the worker runs the call");
            self.settle();
        }
    }

    fn why(&mut self) -> Why {
        self.scheduler.status(self.now, self.function).concurrency.why
    }
}

#[test]
fn one_computing_handler_runs_for_each_core() {
    let mut server = Server::new(Mode::Threads, 1.0);
    (0..200).for_each(|_| server.call());
    for _ in 0..20 {
        assert_eq!(server.running.len(), CORES as usize);
        server.pass(1);
        server.end_all();
    }
    assert!(matches!(server.why(), Why::Cores { cores: CORES, .. }), "{}", server.why());
}

#[test]
fn all_sleeping_handlers_run_within_milliseconds() {
    let mut server = Server::new(Mode::Threads, 0.01);
    (0..200).for_each(|_| server.call());
    server.pass(15);
    assert_eq!(server.running.len(), WORKERS as usize);
}

#[test]
fn calls_of_an_event_loop_are_not_bounded() {
    let mut server = Server::new(Mode::EventLoop, 1.0);
    (0..200).for_each(|_| server.call());
    assert_eq!(server.running.len(), WORKERS as usize);
}

#[test]
fn computing_handlers_are_not_bounded_below_the_minimum() {
    let mut server = Server::new(Mode::Threads, 1.0);
    let spec = nightcore_engine::functions::Spec { min: 8, ..simulated::spec("Foo", WORKERS) };
    server.scheduler.set_spec(0, server.function, spec);
    (0..200).for_each(|_| server.call());
    server.pass(10);
    assert_eq!(server.running.len(), 8);
}
