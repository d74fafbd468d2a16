//! A C program with an event loop of its own. The bytes decide how it asks for events, answers and
//! calls: in any order, from more than one thread, after its answers, or after its worker is freed.

use crate::engine::{self, Call, Engine, HOSTILE};
use crate::orders::*;
use crate::steps::Steps;
use nightcore_fuzz_c::*;
use nightcore_runtime::protocol::control::ChannelKind;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cell::Cell;
use std::os::fd::BorrowedFd;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

/// The maximum number of client calls under way at once.
const MAX_CALLS: usize = 16;
/// The time within which the program carries out an order.
const DOES_WITHIN: Duration = Duration::from_secs(10);

/// An order to the program.
enum Order {
    Steps(Vec<u8>),
    /// Polls the descriptor while the engine is paused. If there is an event, the descriptor must
    /// be readable.
    PollDescriptor,
}

/// The program, as the engine's thread sees it.
struct Program {
    orders: Sender<Order>,
    /// Whether it still has its worker.
    done: Receiver<bool>,
    thread: std::thread::JoinHandle<()>,
}

pub(super) fn target(data: &[u8]) {
    let mut steps = Steps::new(data);
    let kind = if steps.u8() & 1 == 0 { ChannelKind::Ring } else { ChannelKind::Fifo };
    engine::run(kind, async |engine| {
        engine.admits_this_process();
        let program = Program::start();
        let mut has_worker = program.has_done(engine).await;
        engine.wait_until("the worker is ready", Engine::is_served).await;
        let mut calls: Vec<Call> = Vec::new();
        while !steps.is_over() {
            match steps.u8() % 8 {
                0 => engine.turn().await,
                1 | 2 => {
                    if calls.len() < MAX_CALLS {
                        calls.push(engine.call(vec![b'x'; usize::from(steps.u16()) % 5000]));
                    }
                }
                3 => {
                    if !calls.is_empty() {
                        calls.remove(usize::from(steps.u8()) % calls.len()).abort();
                    }
                }
                4 => {
                    engine.turn().await;
                    program.order(Order::PollDescriptor);
                    has_worker =
                        program.done.recv_timeout(DOES_WITHIN).expect("the program is alive");
                }
                _ => {
                    program.order(Order::Steps(steps.text().to_vec()));
                    has_worker = program.has_done(engine).await;
                }
            }
        }
        engine.turn().await;
        assert!(
            !has_worker || engine.is_served(),
            "the engine has ended the worker: it broke a rule"
        );
        program.end(engine).await;
        engine.assert_ends(calls).await;
    });
}

impl Program {
    fn start() -> Program {
        let (orders, told) = channel();
        let (says, done) = channel();
        let thread = std::thread::spawn(move || {
            let mut host = Host::open();
            says.send(!host.worker.is_null()).expect("it is waited for");
            for order in told {
                match order {
                    Order::Steps(bytes) => host.steps(&mut Steps::new(&bytes)),
                    Order::PollDescriptor => host.poll_descriptor(),
                }
                says.send(!host.worker.is_null()).expect("it is waited for");
            }
            drop(host);
        });
        Program { orders, done, thread }
    }

    fn order(&self, order: Order) {
        // If the program is gone, waiting for it will show that.
        let _ = self.orders.send(order);
    }

    async fn has_done(&self, engine: &mut Engine) -> bool {
        let said = Cell::new(Err(TryRecvError::Empty));
        let has_said = |_: &mut Engine| {
            said.set(self.done.try_recv());
            said.get() != Err(TryRecvError::Empty)
        };
        engine.wait_until("the program has done a step", has_said).await;
        said.get().expect("the program is alive")
    }

    /// Ends the program, which frees all its objects in order.
    async fn end(self, engine: &mut Engine) {
        let Program { orders, done, thread } = self;
        drop(orders);
        engine.wait_until("the program has ended", |_| thread.is_finished()).await;
        assert_eq!(done.recv_timeout(Duration::ZERO), Err(RecvTimeoutError::Disconnected));
        thread.join().expect("the program does not panic");
    }
}

/// A request that the program holds.
struct Held {
    req: *mut nc_request,
    id: u64,
    answered: bool,
    /// The tags of its calls under way.
    calls: Vec<u64>,
}

struct Host {
    worker: *mut nc_worker,
    /// Whether the last call for an event found none.
    had_none: bool,
    requests: Vec<Held>,
    buffers: Vec<*mut nc_buffer>,
    answers: Vec<*mut nc_answer>,
    errors: Vec<*mut nc_error>,
}

/// A request that another thread also uses.
struct Shared(*mut nc_request);

// SAFETY: a request of an event loop may be used from any thread.
unsafe impl Send for Shared {}

impl Host {
    fn open() -> Host {
        let (mut worker, mut error) = (null_mut(), null_mut());
        let name = std::ffi::CString::new(HOSTILE).expect("no zero");
        let names = [name.as_ptr()];
        // SAFETY: the names are valid, and there are places for the results.
        unsafe {
            assert_eq!(nc_worker_open(null(), 1, &mut worker, null_mut()), NC_INVALID_ARGUMENT);
            assert_eq!(
                nc_worker_open(names.as_ptr(), 1, null_mut(), null_mut()),
                NC_INVALID_ARGUMENT
            );
            let opened = nc_worker_open(names.as_ptr(), 1, &mut worker, &mut error);
            assert!(opened == NC_OK && error.is_null(), "{opened}");
            assert_eq!(borrow(nc_worker_function(worker)), HOSTILE.as_bytes());
            // A process serves only once.
            let mut second = null_mut();
            assert_eq!(
                nc_worker_open(names.as_ptr(), 1, &mut second, null_mut()),
                NC_INVALID_STATE
            );
            assert!(second.is_null());
        }
        Host {
            worker,
            had_none: false,
            requests: Vec::new(),
            buffers: Vec::new(),
            answers: Vec::new(),
            errors: Vec::new(),
        }
    }

    fn steps(&mut self, steps: &mut Steps<'_>) {
        while !steps.is_over() {
            let which = steps.u8();
            // SAFETY: the program owns what it holds, and each object is freed once.
            unsafe {
                match which % 4 {
                    0 | 1 => self.worker_step(which / 4, steps),
                    _ => self.request_step(which / 4, steps),
                }
            }
        }
    }

    fn poll_descriptor(&mut self) {
        // SAFETY: the worker is NULL or not freed, and so its descriptor is open.
        unsafe {
            let fd = nc_worker_fd(self.worker);
            if fd < 0 || !self.had_none {
                return;
            }
            let mut fds = [PollFd::new(BorrowedFd::borrow_raw(fd), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::ZERO).expect("poll");
            let next = self.next(0);
            assert!(
                ready > 0 || next == NC_AGAIN,
                "an event, and who waits at the descriptor is not woken"
            );
        }
    }

    /// # Safety
    /// The worker is NULL or not freed, and so is every object that the program holds.
    unsafe fn next(&mut self, timeout_ns: u64) -> i32 {
        let mut event = nc_event {
            struct_size: size_of::<nc_event>(),
            kind: 0,
            status: 0,
            request: null_mut(),
            request_number: 0,
            tag: 0,
            answer: null_mut(),
            error: null_mut(),
        };
        // SAFETY: the worker is valid or NULL, and there is a place for the event. The program owns
        // what the event contains.
        unsafe {
            let status = nc_worker_next(self.worker, timeout_ns, &mut event);
            self.had_none = status == NC_AGAIN;
            if status != NC_OK {
                assert!(
                    status == NC_AGAIN || (self.worker.is_null() && status == NC_INVALID_ARGUMENT)
                );
                return status;
            }
            let open = |requests: &mut Vec<Held>| {
                requests.iter().position(|held| held.id == event.request_number && !held.answered)
            };
            match event.kind {
                NC_EVENT_REQUEST => {
                    assert_eq!(nc_request_number(event.request), event.request_number);
                    assert!(open(&mut self.requests).is_none());
                    let (req, id) = (event.request, event.request_number);
                    self.requests.push(Held { req, id, answered: false, calls: Vec::new() });
                }
                NC_EVENT_ANSWER => {
                    let at = open(&mut self.requests)
                        .expect("events are about requests that are not answered");
                    let calls = &mut self.requests[at].calls;
                    let call = calls
                        .iter()
                        .position(|tag| *tag == event.tag)
                        .expect("a call is answered once");
                    calls.swap_remove(call);
                    assert_eq!(event.status == NC_OK, !event.answer.is_null());
                    assert_eq!(event.answer.is_null(), !event.error.is_null());
                    keep(&mut self.answers, event.answer, |answer| end_answer(answer));
                    keep(&mut self.errors, event.error, |error| nc_error_free(error));
                }
                NC_EVENT_CANCELLED => {
                    let at = open(&mut self.requests)
                        .expect("events are about requests that are not answered");
                    assert!(nc_request_cancelled(self.requests[at].req));
                }
                // An engine ends the channel of a worker that breaks a rule.
                other => panic!("event {other}: the channel has ended"),
            }
            status
        }
    }

    /// # Safety
    /// The worker is NULL or not freed, and so is every object that the program holds.
    unsafe fn worker_step(&mut self, which: u8, steps: &mut Steps<'_>) {
        // SAFETY: the worker is valid or NULL, and the other arguments are as the header demands.
        unsafe {
            match which % 16 {
                0..=7 => drop(self.next(0)),
                8 => drop(self.next(1_000_000)),
                9 => while self.next(0) == NC_OK {},
                10 => {
                    // The stated size is less than that of the struct, so the library must refuse
                    // it.
                    let mut larger = [7u64; 12];
                    larger[0] = u64::from(steps.u8()) % size_of::<nc_event>() as u64;
                    let event = larger.as_mut_ptr().cast::<nc_event>();
                    assert_eq!(nc_worker_next(self.worker, 0, event), NC_INVALID_ARGUMENT);
                    assert_eq!(nc_worker_next(self.worker, 0, null_mut()), NC_INVALID_ARGUMENT);
                }
                11 => {
                    let spins = nc_worker_spins(self.worker);
                    assert!(!self.worker.is_null() || !spins);
                }
                12 => keep(&mut self.errors, new_error(steps), |error| nc_error_free(error)),
                13 => {
                    let error = take(&mut self.errors, steps.u8());
                    read_error(error);
                    nc_error_free(error);
                }
                14 => end_answer(take(&mut self.answers, steps.u8())),
                _ => {
                    if steps.u8() > 200 {
                        nc_worker_free(std::mem::replace(&mut self.worker, null_mut()));
                    } else {
                        nc_buffer_free(take(&mut self.buffers, steps.u8()));
                    }
                }
            }
        }
    }

    /// # Safety
    /// The worker is NULL or not freed, and so is every object that the program holds.
    unsafe fn request_step(&mut self, which: u8, steps: &mut Steps<'_>) {
        let index = usize::from(steps.u8()) % self.requests.len().max(1);
        let Some(held) = self.requests.get_mut(index) else { return };
        let req = held.req;
        // SAFETY: the request is not freed, and all other arguments are as the header demands;
        // arguments that the header says are refused are also passed.
        unsafe {
            match which % 18 {
                0 => read_request(req),
                1 => held.answers(nc_reply(req, answer_body(steps))),
                2 => {
                    let (parts, pairs) = (Parts::of_answer(steps), Pairs::new(steps));
                    let (first, count) = (parts.first(), parts.count());
                    held.answers(nc_reply_with(req, first, count, pairs.first(), pairs.count()));
                }
                3 => held.answers(nc_fail(req, Text::new(steps).pointer())),
                4 => {
                    let error = take(&mut self.errors, steps.u8());
                    held.answers(nc_pass_on(req, error));
                    nc_error_free(error);
                }
                5..=8 => {
                    let error = held.start_call(steps);
                    keep(&mut self.errors, error, |error| nc_error_free(error));
                }
                9 => {
                    let tag = held.calls.first().copied().unwrap_or(steps.number());
                    let cancelled = nc_call_cancel(req, tag);
                    assert_eq!(cancelled == NC_OK, !held.answered, "{cancelled}");
                }
                10 => {
                    let mut buffer = null_mut();
                    let size = capacity(steps);
                    let made = nc_buffer_new(req, size, &mut buffer);
                    assert_eq!(made == NC_OK, !buffer.is_null());
                    assert!(made != NC_OK || !held.answered);
                    if !buffer.is_null() {
                        nc_buffer_data(buffer).write_bytes(b'r', size);
                    }
                    keep(&mut self.buffers, buffer, |buffer| nc_buffer_free(buffer));
                }
                11 => {
                    let (buffer, pairs) = (take(&mut self.buffers, steps.u8()), Pairs::new(steps));
                    if !buffer.is_null() {
                        let all = nc_buffer_capacity(buffer);
                        let len = if steps.u8() & 1 == 0 { all } else { steps.number() as usize };
                        held.answers(nc_reply_buffer(
                            req,
                            buffer,
                            len,
                            pairs.first(),
                            pairs.count(),
                        ));
                    }
                }
                12 => {
                    // Functions that wait are only for handlers.
                    let (mut answer, mut watch, mut tag) = (null_mut(), null_mut(), 0);
                    let refused = [
                        nc_call(req, c"Echo".as_ptr(), null(), 0, &mut answer),
                        nc_next_answer(req, 0, &mut tag, &mut answer, null_mut()),
                        nc_request_on_cancel(req, Some(nothing), null_mut(), &mut watch),
                    ];
                    assert_eq!(refused, [NC_INVALID_STATE; 3]);
                }
                13 | 14 => held.answer_while_another_thread_calls(steps.u8() & 1 == 0),
                _ => {
                    nc_request_free(req);
                    self.requests.swap_remove(index);
                }
            }
        }
    }
}

unsafe extern "C" fn nothing(_: *mut std::ffi::c_void) {}

impl Held {
    /// Checks that a function that answers has answered or has refused.
    fn answers(&mut self, status: i32) {
        assert_ne!(status, NC_INTERNAL);
        if self.answered {
            // Malformed arguments are found first.
            assert!(
                status == NC_INVALID_STATE || status == NC_INVALID_ARGUMENT,
                "answered twice: {status}"
            );
        }
        self.answered |= status == NC_OK;
    }

    /// # Safety
    /// The request is not freed.
    unsafe fn start_call(&mut self, steps: &mut Steps<'_>) -> *mut nc_error {
        let (tag, callee, parts) = (steps.number(), Callee::new(steps), Parts::of_call(steps));
        let options = Options::new(steps, &callee);
        let mut error = null_mut();
        let (name, first, count) = (callee.pointer(), parts.first(), parts.count());
        // SAFETY: the caller guarantees that the request is not freed, and all else lives until the
        // call has begun.
        let began = unsafe {
            nc_call_start(self.req, tag, name, first, count, options.pointer(), &mut error)
        };
        assert_eq!(began == NC_OK, error.is_null());
        assert!(began != NC_OK || !self.answered, "after the answer");
        if began == NC_OK {
            self.calls.push(tag);
        }
        error
    }

    /// Checks that nothing of a request follows its answer, whichever thread answers.
    ///
    /// # Safety
    /// The request is not freed.
    unsafe fn answer_while_another_thread_calls(&mut self, large: bool) {
        let (shared, has_called) = (Shared(self.req), AtomicBool::new(self.answered));
        let body: &[u8] = if large { &[b'c'; 2000] } else { b"" };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let Shared(req) = { shared };
                let part = nc_bytes { data: body.as_ptr(), len: body.len() };
                // SAFETY: the request is freed only after this thread has ended; the body stays.
                let call = || unsafe {
                    nc_call_start(req, 7, c"Echo".as_ptr(), &part, 1, null(), null_mut())
                };
                while call() == NC_OK {
                    has_called.store(true, Ordering::Relaxed);
                }
                has_called.store(true, Ordering::Relaxed);
            });
            while !has_called.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
            // SAFETY: the caller guarantees that the request is not freed.
            self.answers(unsafe { nc_reply(self.req, lend(b"r")) });
        });
        assert!(self.answered);
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: the program owns all of these, and does not use them any more.
        unsafe {
            nc_worker_free(self.worker);
            self.requests.drain(..).for_each(|held| nc_request_free(held.req));
            self.buffers.drain(..).for_each(|buffer| nc_buffer_free(buffer));
            self.answers.drain(..).for_each(|answer| end_answer(answer));
            for error in self.errors.drain(..) {
                read_error(error);
                nc_error_free(error);
            }
        }
    }
}
