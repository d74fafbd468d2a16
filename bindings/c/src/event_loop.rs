//! The functions of the C interface for hosts that have their own event loop.

use crate::answer::nc_answer;
use crate::bytes::{nc_bytes, slice, text};
use crate::error::nc_error;
use crate::extensible::{self, Place, Places, extensible};
use crate::facts::{NC_AGAIN, NC_OK, status};
use crate::guard::{guard, guard_value, invalid, number};
use crate::guard_error::guard_with_error;
use crate::request::nc_request;
use nightcore_runtime::protocol::Failure;
use nightcore_runtime::worker::{Event, EventLoop};
use std::ffi::{c_char, c_int};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// A request to run. `request` belongs to the program, which frees it by nc_request_free;
/// `request_number` is its number.
pub const NC_EVENT_REQUEST: u32 = 1;
/// A call that the request `request_number` started by nc_call_start with `tag` has ended with
/// `status`. If that is NC_OK, `answer` is set, otherwise `error`; both belong to the program.
pub const NC_EVENT_ANSWER: u32 = 2;
/// The request `request_number` is cancelled. `status` is NC_DEADLINE_EXCEEDED if its deadline has
/// passed, NC_CANCELLED if its caller has left.
pub const NC_EVENT_CANCELLED: u32 = 3;
/// No more events come: end the process.
pub const NC_EVENT_ENDED: u32 = 4;

/// A worker whose requests run in an event loop of the program, many at the same time. Opaque.
pub struct nc_worker {
    event_loop: EventLoop,
}

/// The smallest `struct_size` of nc_event that the library accepts: the size of its first version.
pub const NC_EVENT_MIN_SIZE: usize = 56;

/// An event. The program sets `struct_size`, nc_worker_next sets all other fields. A field that the
/// event does not use is 0 or NULL.
#[repr(C)]
pub struct nc_event {
    /// sizeof(nc_event). The program's header may be older or newer than the library. The library
    /// writes only fields that the program knows, and sets fields that it does not know itself to
    /// zero.
    pub struct_size: usize,
    /// The kind of the event: one of NC_EVENT_*. Ignore an event of an unknown kind.
    pub kind: u32,
    /// NC_EVENT_ANSWER: the status of the call. NC_EVENT_CANCELLED: the reason.
    pub status: i32,
    /// NC_EVENT_REQUEST: the request.
    pub request: *mut nc_request,
    /// The number of the request that the event is about.
    pub request_number: u64,
    /// NC_EVENT_ANSWER: the tag of the call.
    pub tag: u64,
    /// NC_EVENT_ANSWER: the answer.
    pub answer: *mut nc_answer,
    /// NC_EVENT_ANSWER: the reason why there is no answer.
    pub error: *mut nc_error,
}

extensible!(nc_event {
    NC_EVENT_MIN_SIZE => struct_size, kind, status, request, request_number, tag, answer, error;
});

impl nc_event {
    fn new(event: Event) -> nc_event {
        let none = nc_event { kind: NC_EVENT_ENDED, status: NC_OK, ..extensible::zeroed() };
        match event {
            Event::Ended => none,
            Event::Cancelled { request, reason } => nc_event {
                kind: NC_EVENT_CANCELLED,
                request_number: request.number(),
                status: reason.status().number() as i32,
                ..none
            },
            Event::Request(request) => nc_event {
                kind: NC_EVENT_REQUEST,
                request_number: request.id().number(),
                request: nc_request::give(request),
                ..none
            },
            Event::Answer { request, tag, result } => {
                let request_number = request.number();
                let none = nc_event { kind: NC_EVENT_ANSWER, request_number, tag, ..none };
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
/// `worker` is NULL or was not freed.
unsafe fn borrow<'a>(worker: *const nc_worker) -> Result<&'a nc_worker, Failure> {
    // SAFETY: `worker` is NULL or was not freed.
    unsafe { worker.as_ref() }.ok_or_else(|| invalid("worker is NULL"))
}

/// Connects to the engine, for a program with an event loop of its own. A process uses either this
/// function or nc_serve. `names` are the names of the `count` functions that this program has code
/// for. `*worker` belongs to the program, which frees it by nc_worker_free. `error` may be NULL.
///
/// Returns NC_NOT_STARTED, NC_REFUSED, NC_INVALID_ARGUMENT or NC_INVALID_STATE if the process was
/// started in a wrong way: print the message and exit with 2. Returns NC_UNAVAILABLE or NC_ENDED if
/// the engine is gone: exit with 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_open(
    names: *const *const c_char,
    count: usize,
    worker: *mut *mut nc_worker,
    error: *mut *mut nc_error,
) -> status {
    // SAFETY: the program passes readable names and a place for the worker.
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
    // SAFETY: `error` is NULL or may be written to.
    unsafe { guard_with_error(error, open) }
}

/// Returns the descriptor to wait on. It belongs to the library: never read or close it. When it is
/// readable, call nc_worker_next with a timeout of 0 until it returns NC_AGAIN. Returns -1 if
/// `worker` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_fd(worker: *const nc_worker) -> c_int {
    guard_value(-1, || {
        // SAFETY: `worker` is NULL or points to a live object.
        unsafe { worker.as_ref() }.map_or(-1, |worker| worker.event_loop.fd().as_raw_fd())
    })
}

/// Returns the name of the function to run. It is valid as long as the worker.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_function(worker: *const nc_worker) -> nc_bytes {
    guard_value(nc_bytes::EMPTY, || {
        // SAFETY: `worker` is NULL or points to a live object.
        let worker = unsafe { worker.as_ref() };
        worker.map_or(nc_bytes::EMPTY, |worker| {
            nc_bytes::lend(worker.event_loop.function().as_bytes())
        })
    })
}

/// Writes the next event to `event`, whose `struct_size` the program has set. `timeout_ns` is the
/// longest wait: with 0 the function never sleeps, with UINT64_MAX it waits without a limit. One
/// thread at a time may call it.
///
/// If every request waits for the answer to a call, or there is no request, the function may spin
/// for up to 25 us before it sleeps or returns: see nc_worker_spins.
///
/// Returns NC_AGAIN if there is no event: the time has passed, or a signal interrupted the wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_next(
    worker: *mut nc_worker,
    timeout_ns: u64,
    event: *mut nc_event,
) -> status {
    // SAFETY: the program passes a worker that is not freed, and a place for the event.
    guard(|| unsafe {
        let place = Place::new(event, "event")?;
        let timeout = (timeout_ns != u64::MAX).then(|| Duration::from_nanos(timeout_ns));
        let Some(next) = borrow(worker)?.event_loop.next(timeout)? else { return Ok(NC_AGAIN) };
        place.fill(nc_event::new(next));
        Ok(NC_OK)
    })
}

/// Takes all events that have come: writes up to `max` of them to `events`, and their number to
/// `count`. A number below `max` means that none is left. The program sets the `struct_size` of the
/// first event; it applies to all. The function never sleeps; it may spin as nc_worker_next does.
/// One thread at a time may call it, and that thread must also call nc_worker_next whenever
/// nc_worker_fd is readable.
///
/// Returns NC_AGAIN if there is no event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_next_many(
    worker: *mut nc_worker,
    events: *mut nc_event,
    max: usize,
    count: *mut usize,
) -> status {
    // SAFETY: the program passes a worker that is not freed, and places for `max` events and their
    // number.
    guard(|| unsafe {
        crate::bytes::present(count, "count")?;
        count.write(0);
        let mut places = Places::new(events, "events")?;
        let event_loop = &borrow(worker)?.event_loop;
        // `next_many` gives at most `max` events.
        let taken = event_loop.next_many(max, |event| places.fill_next(nc_event::new(event)))?;
        count.write(taken);
        Ok(if taken == 0 { NC_AGAIN } else { NC_OK })
    })
}

/// Returns a descriptor for a thread that waits for messages only, for a few milliseconds at most:
/// call epoll_wait on this descriptor itself after nc_worker_next_many has found nothing. While a
/// thread waits there, a message wakes that thread and none that waits on nc_worker_fd. The
/// descriptor belongs to the library. Returns -1 if `worker` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_message_fd(worker: *const nc_worker) -> c_int {
    guard_value(-1, || {
        // SAFETY: `worker` is NULL or points to a live object.
        unsafe { worker.as_ref() }.map_or(-1, |worker| worker.event_loop.message_fd().as_raw_fd())
    })
}

/// Returns true if nc_worker_next spins before it sleeps, which it does if the channel of this
/// process is made of rings. Such a program gains by calling nc_worker_next with a timeout of 0
/// once more before it parks, when its handlers have made their calls and sent their replies: a
/// message that comes meanwhile does not have to wake it. Returns false if `worker` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_spins(worker: *const nc_worker) -> bool {
    guard_value(false, || {
        // SAFETY: `worker` is NULL or points to a live object.
        unsafe { worker.as_ref() }.is_some_and(|worker| worker.event_loop.spins())
    })
}

/// The old name of nc_worker_spins, which it returns as 1 or 0.
#[unsafe(no_mangle)]
#[deprecated(note = "use nc_worker_spins")]
pub unsafe extern "C" fn nc_worker_looks(worker: *const nc_worker) -> i32 {
    // SAFETY: `worker` is NULL or points to a live object.
    unsafe { nc_worker_spins(worker) }.into()
}

/// Frees a worker. Does nothing if `worker` is NULL. The requests and answers of its events stay
/// valid until the program frees them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_worker_free(worker: *mut nc_worker) {
    guard_value((), || {
        if !worker.is_null() {
            // SAFETY: `nc_worker_open` made the worker, and the program gives up its ownership.
            drop(unsafe { Box::from_raw(worker) });
        }
    });
}
