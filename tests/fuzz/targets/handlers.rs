//! A C program whose handlers use their requests as the bytes decide: they answer twice, or call
//! after they have answered, from the wrong thread, or with the handle of a request that has ended.
//!
//! A process serves once, so there is one engine for all runs, and its container is this process.
//! Only earlier actions of the handlers may affect a run, through the ids that they have learned
//! and the memory that they were granted.

use crate::engine::{Call, HOSTILE, Standing};
use crate::orders::*;
use crate::steps::Steps;
use nightcore_fuzz_c::*;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The maximum number of client calls under way at once.
const MAX_CALLS: usize = 6;

pub(super) fn target(data: &[u8]) {
    thread_local! {
        static ENGINE: RefCell<Option<Standing>> = const { RefCell::new(None) };
    }
    ENGINE.with_borrow_mut(|engine| {
        let engine = engine.get_or_insert_with(|| Standing::start(serve));
        let mut steps = Steps::new(data);
        engine.run(async |engine| {
            let mut calls: Vec<Call> = Vec::new();
            while !steps.is_over() && calls.len() < MAX_CALLS {
                let (how, script) = (steps.u8(), steps.text());
                calls.push(engine.call(script_body(script, how & 1 != 0)));
                if how & 2 != 0 {
                    engine.turn().await;
                }
                if how & 12 == 12 {
                    calls.remove(usize::from(how >> 4) % calls.len()).abort();
                }
            }
            engine.assert_all_end(calls, is_answer).await;
            assert!(engine.is_served(), "the process has lost its worker: it broke a rule");
        });
    });
}

/// Returns a script after its length. If it is to be large, it goes through the arena.
fn script_body(script: &[u8], large: bool) -> Vec<u8> {
    let mut body = vec![script.len() as u8];
    body.extend_from_slice(script);
    if large {
        body.resize(5000, 0);
    }
    body
}

/// Serves for as long as this process lives.
fn serve() {
    let name = std::ffi::CString::new(HOSTILE).expect("no zero");
    // SAFETY: the name and the handler are valid, and were not registered before.
    unsafe {
        assert_eq!(nc_handle(name.as_ptr(), Some(handler), null_mut()), NC_OK);
        assert_eq!(nc_handle(name.as_ptr(), Some(handler), null_mut()), NC_INVALID_ARGUMENT);
    }
    // If this returns, the function has no worker, which is checked.
    std::thread::spawn(|| nc_serve());
}

/// A handle that other threads use, and that is also used after its request has ended.
static EARLIER: AtomicPtr<nc_request> = AtomicPtr::new(null_mut());

struct Handle(*mut nc_request);

// SAFETY: the library documents what other threads may do with a request.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

/// A running handler and what it owns.
struct Run {
    req: *mut nc_request,
    answered: bool,
    buffers: Vec<*mut nc_buffer>,
    answers: Vec<*mut nc_answer>,
    errors: Vec<*mut nc_error>,
    watches: Vec<*mut nc_watch>,
    /// Counts the runs of code on cancellation. It must live until its watch is freed.
    cancelled: Box<Cell<u32>>,
}

/// Panics in a handler end the process: the library would catch them, so nothing else would see
/// them.
unsafe extern "C" fn handler(req: *mut nc_request, _: *mut c_void) -> i32 {
    let mut run = Run {
        req,
        answered: false,
        buffers: Vec::new(),
        answers: Vec::new(),
        errors: Vec::new(),
        watches: Vec::new(),
        cancelled: Box::default(),
    };
    // SAFETY: the request, and so its body, lives until this function returns.
    let body = unsafe { borrow(nc_request_body(req)) };
    let len = usize::from(body.first().copied().unwrap_or(0)).min(body.len().saturating_sub(1));
    let mut steps = Steps::new(body.get(1..=len).unwrap_or_default());
    let status = i32::from(steps.u8());
    while !steps.is_over() {
        // SAFETY: the request has not ended, and this handler owns the objects that it holds.
        unsafe { run.step(&mut steps) };
    }
    EARLIER.store(req, Ordering::Relaxed);
    drop(run);
    match status {
        0..=127 => NC_OK,
        128..=200 => status - 128,
        201..=230 => status - 201 + NC_INVALID_ARGUMENT,
        _ => 200 - status,
    }
}

unsafe extern "C" fn count(user: *mut c_void) {
    // SAFETY: `user` is the counter, which lives until the watch is freed. Only one thread at a
    // time runs such code.
    let counter = unsafe { &*user.cast::<Cell<u32>>() };
    counter.set(counter.get() + 1);
}

impl Run {
    /// # Safety
    /// The request has not ended.
    unsafe fn step(&mut self, steps: &mut Steps<'_>) {
        let req = self.req;
        // SAFETY: the caller guarantees that the request has not ended. All other arguments are as
        // the header demands; arguments that the header says are refused are also passed.
        unsafe {
            match steps.u8() % 20 {
                0 => read_request(if steps.u8() == 255 { null_mut() } else { req }),
                1 => self.answers(nc_reply(req, answer_body(steps))),
                2 => {
                    let (parts, pairs) = (Parts::of_answer(steps), Pairs::new(steps));
                    let (first, count) = (parts.first(), parts.count());
                    self.answers(nc_reply_with(req, first, count, pairs.first(), pairs.count()));
                }
                3 => self.answers(nc_fail(req, Text::new(steps).pointer())),
                4 => {
                    let error = take(&mut self.errors, steps.u8());
                    self.answers(nc_pass_on(req, error));
                    nc_error_free(error);
                }
                5 | 6 => self.call(steps),
                7 => {
                    let (tag, callee, parts) =
                        (steps.number(), Callee::new(steps), Parts::of_call(steps));
                    let options = Options::new(steps, &callee);
                    let mut error = null_mut();
                    let (first, count) = (parts.first(), parts.count());
                    let to = if steps.u8() & 1 == 0 { &raw mut error } else { null_mut() };
                    let began = nc_call_start(
                        req,
                        tag,
                        callee.pointer(),
                        first,
                        count,
                        options.pointer(),
                        to,
                    );
                    self.refused(began);
                    assert!(error.is_null() || began != NC_OK);
                    keep(&mut self.errors, error, |error| nc_error_free(error));
                }
                8 => self.next_answer(steps),
                9 => assert_eq!(nc_call_cancel(req, steps.number()), NC_INVALID_STATE),
                10 => {
                    let mut buffer = null_mut();
                    let size = capacity(steps);
                    let made = nc_buffer_new(req, size, &mut buffer);
                    self.refused(made);
                    assert_eq!(made == NC_OK, !buffer.is_null());
                    if !buffer.is_null() {
                        assert_eq!(nc_buffer_capacity(buffer), size);
                        nc_buffer_data(buffer).write_bytes(b'r', size);
                    }
                    keep(&mut self.buffers, buffer, |buffer| nc_buffer_free(buffer));
                }
                11 => {
                    let (buffer, pairs) = (take(&mut self.buffers, steps.u8()), Pairs::new(steps));
                    let all = nc_buffer_capacity(buffer);
                    let len = if steps.u8() & 1 == 0 { all } else { steps.number() as usize };
                    let was_answered = self.answered;
                    let answered = nc_reply_buffer(req, buffer, len, pairs.first(), pairs.count());
                    if buffer.is_null() || (len > all && !was_answered) {
                        assert_eq!(answered, NC_INVALID_ARGUMENT);
                    }
                    self.answers_but_for(answered, buffer.is_null());
                }
                12 => nc_buffer_free(take(&mut self.buffers, steps.u8())),
                13 => keep(&mut self.errors, new_error(steps), |error| nc_error_free(error)),
                14 => {
                    let error = take(&mut self.errors, steps.u8());
                    read_error(error);
                    nc_error_free(error);
                }
                15 => end_answer(take(&mut self.answers, steps.u8())),
                16 => {
                    let mut watch = null_mut();
                    let run: nc_on_cancel = if steps.u8() == 255 { None } else { Some(count) };
                    let user = std::ptr::from_ref(&*self.cancelled).cast_mut().cast();
                    let watched = nc_request_on_cancel(req, run, user, &mut watch);
                    assert_eq!(watched == NC_OK, !watch.is_null());
                    keep(&mut self.watches, watch, |watch| nc_watch_free(watch));
                }
                17 => nc_watch_free(take(&mut self.watches, steps.u8())),
                18 => self.use_from_another_thread(),
                _ => {
                    // This request is one that has ended, or the one that runs here.
                    nc_request_free(req);
                    let earlier = EARLIER.load(Ordering::Relaxed);
                    let replied = nc_reply(earlier, lend(b"r"));
                    if replied == NC_OK {
                        assert_eq!(earlier, req, "another request was answered");
                        self.answers(NC_OK);
                    }
                }
            }
        }
    }

    /// Checks that a function that answers has answered or has refused.
    fn answers(&mut self, status: i32) {
        self.answers_but_for(status, false);
    }

    fn answers_but_for(&mut self, status: i32, had_nothing: bool) {
        assert!(status != NC_INTERNAL && status != NC_WRONG_THREAD, "{status}");
        if self.answered && !had_nothing {
            // Malformed or too large arguments are found first.
            let refused = [NC_INVALID_STATE, NC_INVALID_ARGUMENT, NC_PAYLOAD_TOO_LARGE];
            assert!(refused.contains(&status), "answered twice: {status}");
        }
        self.answered |= status == NC_OK;
    }

    /// Checks that any other function refuses after an answer.
    fn refused(&self, status: i32) {
        assert!(status != NC_INTERNAL && status != NC_WRONG_THREAD, "{status}");
        assert!(!self.answered || status != NC_OK, "after the answer");
    }

    /// # Safety
    /// The request has not ended.
    unsafe fn call(&mut self, steps: &mut Steps<'_>) {
        let (callee, parts) = (Callee::new(steps), Parts::of_call(steps));
        let (mut answer, mut error) = (null_mut(), null_mut());
        let (name, first, count) = (callee.pointer(), parts.first(), parts.count());
        let nested = script_body(steps.text(), false);
        let nested = nc_bytes { data: nested.as_ptr(), len: nested.len() };
        // SAFETY: the caller guarantees that the request has not ended. All else lives until the
        // calls end.
        unsafe {
            let called = match steps.u8() % 4 {
                0 if callee.answers() => nc_call(self.req, name, first, count, &mut answer),
                1 => nc_call(self.req, c"Hostile".as_ptr(), &nested, 1, &mut answer),
                _ => {
                    let options = Options::new(steps, &callee);
                    let to = if steps.u8() & 1 == 0 { &raw mut error } else { null_mut() };
                    nc_call_with(self.req, name, first, count, options.pointer(), &mut answer, to)
                }
            };
            self.refused(called);
            assert_eq!(called == NC_OK, !answer.is_null());
            assert!(error.is_null() || nc_error_status(error) == called);
            keep(&mut self.answers, answer, |answer| end_answer(answer));
            keep(&mut self.errors, error, |error| nc_error_free(error));
        }
    }

    /// # Safety
    /// The request has not ended.
    unsafe fn next_answer(&mut self, steps: &mut Steps<'_>) {
        let timeout = match steps.u8() % 4 {
            0 => 0,
            1 => 200_000,
            2 => u64::MAX - 1,
            _ => u64::MAX,
        };
        let (mut tag, mut answer, mut error) = (0, null_mut(), null_mut());
        // SAFETY: the caller guarantees that the request has not ended. There are places for all
        // results.
        unsafe {
            let status = nc_next_answer(self.req, timeout, &mut tag, &mut answer, &mut error);
            self.refused(status);
            assert_eq!(status == NC_OK, !answer.is_null());
            assert!(error.is_null() || nc_error_status(error) == status);
            keep(&mut self.answers, answer, |answer| end_answer(answer));
            keep(&mut self.errors, error, |error| nc_error_free(error));
        }
    }

    /// Checks that other threads can do what the library allows, and are refused everything else.
    fn use_from_another_thread(&self) {
        let handle = Handle(self.req);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let Handle(req) = { handle };
                let (mut answer, mut buffer) = (null_mut(), null_mut());
                // SAFETY: the handler waits for this thread, so the request has not ended.
                unsafe {
                    read_request(req);
                    let refused = [
                        nc_reply(req, lend(b"")),
                        nc_fail(req, c"why".as_ptr()),
                        nc_call(req, c"Echo".as_ptr(), std::ptr::null(), 0, &mut answer),
                        nc_buffer_new(req, 1, &mut buffer),
                    ];
                    assert_eq!(refused, [NC_WRONG_THREAD; 4]);
                }
            });
        });
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // SAFETY: this handler owns all of these, and does not use them any more.
        unsafe {
            self.watches.drain(..).for_each(|watch| nc_watch_free(watch));
            self.buffers.drain(..).for_each(|buffer| nc_buffer_free(buffer));
            self.answers.drain(..).for_each(|answer| end_answer(answer));
            for error in self.errors.drain(..) {
                read_error(error);
                nc_error_free(error);
            }
        }
    }
}
