//! The skin for hosts with an event loop of their own.

use crate::answer::nc_answer;
use crate::bytes::{nc_bytes, slice, text};
use crate::error::nc_error;
use crate::extensible::{self, Place, Places, extensible};
use crate::facts::{NC_AGAIN, NC_OK};
use crate::guard::{guard, guard_value, invalid, number};
use crate::guard_error::guard_with_error;
use crate::request::nc_request;
use nightcore_runtime::protocol::Failure;
use nightcore_runtime::worker::{Event, EventLoop};
use std::ffi::{c_char, c_int};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// A call to run: `request` is the host's, to be freed by nc_request_free; `request_id` is its
/// number.
pub const NC_EVENT_REQUEST: u32 = 1;
/// A call that the request `request_id` began by nc_call_start with `tag` has ended: `status` says
/// how; `answer`, if it is NC_OK, else `error`, is the host's to free.
pub const NC_EVENT_ANSWER: u32 = 2;
/// Nobody waits for the answer to the request `request_id` any more: `status` is
/// NC_DEADLINE_EXCEEDED if its deadline has passed, NC_CANCELLED if its caller has left.
pub const NC_EVENT_CANCELLED: u32 = 3;
/// No more calls come: end the process.
pub const NC_EVENT_ENDED: u32 = 4;

/// A worker whose calls run in an event loop of the host's, many at once. Opaque.
pub struct nc_worker {
    event_loop: EventLoop,
}

/// The smallest `struct_size` of nc_event that is accepted: that of its first version.
pub const NC_EVENT_MIN_SIZE: usize = 56;

/// What happened. The host sets `struct_size`, nc_worker_next sets all other fields. A field that
/// an event does not use is 0 or NULL.
#[repr(C)]
pub struct nc_event {
    /// sizeof(nc_event). The host's header may be older or newer than the library: the library
    /// writes only fields that the host knows, and sets those that it does not know itself to zero.
    pub struct_size: usize,
    /// One of NC_EVENT_*. Pass over one that is not known.
    pub kind: u32,
    /// NC_EVENT_ANSWER: how the call ended. NC_EVENT_CANCELLED: why.
    pub status: i32,
    /// NC_EVENT_REQUEST: the request.
    pub request: *mut nc_request,
    /// The number of the request that the event is about.
    pub request_id: u64,
    /// NC_EVENT_ANSWER: the tag of the call.
    pub tag: u64,
    /// NC_EVENT_ANSWER: the answer.
    pub answer: *mut nc_answer,
    /// NC_EVENT_ANSWER: why there is none.
    pub error: *mut nc_error,
}

extensible!(nc_event {
    NC_EVENT_MIN_SIZE => struct_size, kind, status, request, request_id, tag, answer, error;
});

impl nc_event {
    fn new(event: Event) -> nc_event {
        let none = nc_event { kind: NC_EVENT_ENDED, status: NC_OK, ..extensible::zeroed() };
        match event {
            Event::Ended => none,
            Event::Cancelled { request, reason } => nc_event {
                kind: NC_EVENT_CANCELLED,
                request_id: request.number(),
                status: reason.status().number() as i32,
                ..none
            },
            Event::Request(request) => nc_event {
                kind: NC_EVENT_REQUEST,
                request_id: request.id().number(),
                request: nc_request::give(request),
                ..none
            },
            Event::Answer { request, tag, result } => {
                let request_id = request.number();
                let none = nc_event { kind: NC_EVENT_ANSWER, request_id, tag, ..none };
                match result {
                    Ok(answer) => nc_event { answer: nc_answer::give(answer), ..none },
                    Err(failure) => nc_event {
                        status: number(&failure),
                        error: nc_error::give(failure),
                        ..none
                    },
                }
            }
        }
    }
}

/// # Safety
/// `worker` is NULL or one that is not freed.
unsafe fn borrow<'a>(worker: *const nc_worker) -> Result<&'a nc_worker, Failure> {
    // SAFETY: the caller vouches for it.
    unsafe { worker.as_ref() }.ok_or_else(|| invalid("worker is NULL"))
}

/// Connects to the engine, for a host with an event loop of its own; use either this or nc_serve.
/// `names`: the `count` functions that this program has handlers for. The worker, in `worker`, is
/// the caller's, to be freed by nc_worker_free. `error` may be NULL.
///
/// NC_NOT_STARTED, NC_REFUSED, NC_INVALID_ARGUMENT, NC_INVALID_STATE: started wrongly: print the
/// message and exit with
/// 2. NC_UNAVAILABLE, NC_ENDED: the engine is gone: exit with 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_open(
    names: *const *const c_char,
    count: usize,
    worker: *mut *mut nc_worker,
    error: *mut *mut nc_error,
) -> i32 {
    // SAFETY: what the header asks for.
    let open = || unsafe {
        crate::bytes::present(worker, "worker")?;
        worker.write(std::ptr::null_mut());
        let names = slice(names, count, "names")?.iter().map(|name| text(*name, "a name"));
        let names = names.collect::<Result<Vec<&str>, Failure>>()?;
        if let Some(name) =
            names.iter().find(|name| !nightcore_runtime::protocol::name::is_valid(name))
        {
            return Err(invalid(format!("{name:?} cannot name a function")));
        }
        let opened = EventLoop::connect(&names);
        let event_loop = opened.map_err(|error| Failure::new(error.status(), error.to_string()))?;
        worker.write(Box::into_raw(Box::new(nc_worker { event_loop })));
        Ok(NC_OK)
    };
    // SAFETY: what the header asks for.
    unsafe { guard_with_error(error, open) }
}

/// The descriptor to wait on; it belongs to the library. When it is readable call nc_worker_next
/// with a timeout of 0 until it answers NC_AGAIN. Never read it. -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_fd(worker: *const nc_worker) -> c_int {
    guard_value(-1, || {
        // SAFETY: NULL or a worker, as the header asks for.
        unsafe { worker.as_ref() }.map_or(-1, |worker| worker.event_loop.fd().as_raw_fd())
    })
}

/// The name of the function to run. Valid as long as the worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_function(worker: *const nc_worker) -> nc_bytes {
    guard_value(nc_bytes::EMPTY, || {
        // SAFETY: NULL or a worker, as the header asks for.
        let worker = unsafe { worker.as_ref() };
        worker.map_or(nc_bytes::EMPTY, |worker| {
            nc_bytes::lend(worker.event_loop.function().as_bytes())
        })
    })
}

/// The next event, to `event`, whose `struct_size` is set. `timeout_ns`: how long to wait; with 0
/// it never sleeps, UINT64_MAX waits for good. For one thread at a time.
///
/// When no request can go on without a message, as each waits for the answer to a call or there is
/// none, it may look for one first, for at most 25 us and at times not at all: see nc_worker_looks.
///
/// NC_AGAIN: no event now: the time has passed, or a signal came.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_next(
    worker: *mut nc_worker,
    timeout_ns: u64,
    event: *mut nc_event,
) -> i32 {
    // SAFETY: what the header asks for.
    guard(|| unsafe {
        let place = Place::new(event, "event")?;
        let timeout = (timeout_ns != u64::MAX).then(|| Duration::from_nanos(timeout_ns));
        let Some(next) = borrow(worker)?.event_loop.next(timeout)? else { return Ok(NC_AGAIN) };
        place.fill(nc_event::new(next));
        Ok(NC_OK)
    })
}

/// Takes all that has come: up to `max` events, to `events`, and their number to `count`. If that
/// is less than `max` nothing is left. The `struct_size` of the first is set; it holds for all.
/// It never sleeps, and may look as nc_worker_next does. For one thread at a time, which calls
/// nc_worker_next as well whenever nc_worker_fd is readable.
///
/// NC_AGAIN: no event now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_next_many(
    worker: *mut nc_worker,
    events: *mut nc_event,
    max: usize,
    count: *mut usize,
) -> i32 {
    // SAFETY: what the header asks for.
    guard(|| unsafe {
        crate::bytes::present(count, "count")?;
        count.write(0);
        let mut places = Places::new(events, "events")?;
        let event_loop = &borrow(worker)?.event_loop;
        // It gives at most `max`.
        let taken = event_loop.next_many(max, |event| places.fill_next(nc_event::new(event)))?;
        count.write(taken);
        Ok(if taken == 0 { NC_AGAIN } else { NC_OK })
    })
}

/// A descriptor for a thread that waits for messages only, and not for longer than some
/// milliseconds: by epoll_wait at this descriptor itself, after nc_worker_next_many has found
/// nothing. While a thread waits so a message wakes it, and not those that wait at nc_worker_fd.
/// It belongs to the library. -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_message_fd(worker: *const nc_worker) -> c_int {
    guard_value(-1, || {
        // SAFETY: NULL or a worker, as the header asks for.
        unsafe { worker.as_ref() }.map_or(-1, |worker| worker.event_loop.message_fd().as_raw_fd())
    })
}

/// 1: nc_worker_next looks, as the channel of this process is of rings. Then a host gains by
/// calling it with a timeout of 0 once more before it waits, when its handlers have made their
/// calls and answered: what comes meanwhile need not wake it. It may as well only wait at the
/// descriptor. 0: it does not, or `worker` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_looks(worker: *const nc_worker) -> i32 {
    guard_value(0, || {
        // SAFETY: NULL or a worker, as the header asks for.
        unsafe { worker.as_ref() }.is_some_and(|worker| worker.event_loop.looks()).into()
    })
}

/// Frees a worker; takes NULL. Requests and answers that it gave stay valid until they are freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_free(worker: *mut nc_worker) {
    guard_value((), || {
        if !worker.is_null() {
            // SAFETY: a worker of the caller's own, as the header asks for, which `nc_worker_open`
            // has made.
            drop(unsafe { Box::from_raw(worker) });
        }
    });
}
