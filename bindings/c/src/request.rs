//! A request, which a handler or the host's event loop serves.

use crate::bytes::{nc_bytes, present, text};
use crate::facts::{NC_NOT_FOUND, NC_OK, status};
use crate::fake::Fake;
use crate::given::Made;
use crate::guard::{guard, guard_value, invalid};
use crate::metadata::{Pairs, nc_pair};
use crate::side::Side;
use nightcore_runtime::protocol::{CallNumber, Failure, Status};
use nightcore_runtime::worker::{LoopRequest, Request, is_forked};
use std::cell::UnsafeCell;
use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// The size of a call id as text: its digits and the terminating zero.
const CALL_ID_BYTES: usize = 17;
/// The `owner` of a handle whose request has ended.
const ENDED: u64 = 0;
/// The `owner` of a request that any thread may use.
const ANY_THREAD: u64 = 1;
/// The number of the first thread.
const FIRST_THREAD: u64 = 2;

/// A request: a call that a function of this process runs. Opaque.
///
/// The library lends a request to a handler until the handler returns. Replies and calls are then
/// allowed on the handler's thread only; functions that only read the request are allowed on any
/// thread. nc_worker_next gives a request to the program, which frees it by nc_request_free and may
/// use it on any thread.
///
/// The body, names and metadata of a request are valid as long as the request.
///
/// The library keeps the memory of a request that has ended for later requests. A handle that is
/// used too late is therefore detected, and never points to freed memory.
pub struct nc_request {
    /// ENDED, ANY_THREAD, or the number of the thread that the handler runs on.
    owner: AtomicU64,
    content: UnsafeCell<Option<Content>>,
}

pub(crate) struct Content {
    pub(crate) side: Side,
    pairs: Pairs,
    /// The id of the call as text, once the program has asked for it.
    call_id: OnceLock<[u8; CALL_ID_BYTES]>,
}

/// Handles that no request uses. There are never more of them than requests were open at once.
static IDLE: Mutex<Vec<Idle>> = Mutex::new(Vec::new());

struct Idle(*mut nc_request);

// SAFETY: only the thread that takes an idle handle from the list uses it.
unsafe impl Send for Idle {}

static LAST_THREAD: AtomicU64 = AtomicU64::new(FIRST_THREAD);
thread_local! {
    static THREAD: u64 = LAST_THREAD.fetch_add(1, Ordering::Relaxed);
}

fn this_thread() -> u64 {
    THREAD.with(|number| *number)
}

impl nc_request {
    fn begin(side: Side, owner: u64) -> *mut nc_request {
        let idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let handle = match idle {
            Some(Idle(handle)) => handle,
            None => Box::into_raw(Box::new(nc_request {
                owner: AtomicU64::new(ENDED),
                content: UnsafeCell::new(None),
            })),
        };
        // SAFETY: handles are never freed, and this one was idle, so nobody else accesses its
        // content.
        unsafe {
            *(*handle).content.get() =
                Some(Content { side, pairs: Pairs::default(), call_id: OnceLock::new() });
            (*handle).owner.store(owner, Ordering::Release);
        }
        handle
    }

    /// Ends the request, and makes its handle idle again.
    ///
    /// # Safety
    /// `handle` is from `begin` and has not ended; nobody uses its content.
    unsafe fn end(handle: *mut nc_request) -> Option<Content> {
        // SAFETY: handles are never freed, and nobody uses the content.
        let content = unsafe {
            (*handle).owner.store(ENDED, Ordering::Release);
            (*(*handle).content.get()).take()
        };
        // In a forked process, a thread that no longer exists may hold the lock.
        if !is_forked() {
            IDLE.lock().unwrap_or_else(PoisonError::into_inner).push(Idle(handle));
        }
        content
    }

    /// Runs a C handler with a handle for its request.
    pub(crate) fn run(
        request: &Request<'_>,
        handler: impl FnOnce(*mut nc_request) -> i32,
    ) -> Result<(), Failure> {
        // SAFETY: the request does not move while `run` borrows it, and the side is dropped before
        // `run` returns.
        let side = unsafe { Side::handler(request) };
        nc_request::lend(side, handler).map(|_| ())
    }

    /// Runs a C handler with a handle for a request that a test made.
    pub(crate) fn run_fake(
        fake: Fake,
        handler: impl FnOnce(*mut nc_request) -> i32,
    ) -> Result<Made, Failure> {
        nc_request::lend(Side::Fake(fake), handler)
    }

    /// Runs a handler with a handle that ends when the handler returns.
    fn lend(side: Side, handler: impl FnOnce(*mut nc_request) -> i32) -> Result<Made, Failure> {
        let handle = nc_request::begin(side, this_thread());
        let status = handler(handle);
        // SAFETY: `begin` made the handle; the handler has returned, so nobody uses the content.
        let content = unsafe { nc_request::end(handle) };
        content.map_or_else(|| Ok(Made::default()), |content| content.side.returned(status))
    }

    /// Creates a handle for a request of the event loop.
    pub(crate) fn give(request: LoopRequest) -> *mut nc_request {
        nc_request::begin(Side::event(request), ANY_THREAD)
    }

    /// Returns the owner of a request that has not ended.
    ///
    /// # Safety
    /// `req` is NULL or was a handle once.
    unsafe fn owner(req: *const nc_request) -> Result<u64, Failure> {
        // SAFETY: handles are never freed.
        let req = unsafe { req.as_ref() }.ok_or_else(|| invalid("req is NULL"))?;
        match req.owner.load(Ordering::Acquire) {
            ENDED => Err(has_ended()),
            owner => Ok(owner),
        }
    }

    /// Returns the content of a request that has not ended.
    ///
    /// # Safety
    /// `req` is NULL or was a handle once.
    unsafe fn live<'a>(req: *const nc_request) -> Result<&'a Content, Failure> {
        // SAFETY: `req` is NULL or was a handle once. The content of a handle with an owner does
        // not change.
        unsafe {
            nc_request::owner(req)?;
            (*(*req).content.get()).as_ref().ok_or_else(has_ended)
        }
    }

    /// Runs an operation on a request if this thread may do so, and records its failure.
    ///
    /// # Safety
    /// `req` is NULL or was a handle once.
    pub(crate) unsafe fn operate<R>(
        req: *const nc_request,
        operation: impl FnOnce(&Content) -> Result<R, Failure>,
    ) -> Result<R, Failure> {
        // The owner is read once, before the content is accessed: the request's own thread may end
        // the request meanwhile, and begin another one.
        // SAFETY: `req` is NULL or was a handle once.
        let owner = unsafe { nc_request::owner(req) }?;
        if is_forked() {
            return Err(Failure::new(Status::Forked, Status::Forked.title()));
        }
        if owner != ANY_THREAD && owner != this_thread() {
            return Err(Failure::new(
                Status::WrongThread,
                "a handler's request answers and calls on the handler's thread only",
            ));
        }
        // SAFETY: `req` was a handle once. This thread alone can end the request, or the program
        // does not free it meanwhile.
        let content = unsafe { nc_request::live(req) }?;
        operation(content).inspect_err(|failure| content.side.note_failed(failure))
    }
}

fn has_ended() -> Failure {
    Failure::new(Status::InvalidState, "the request has ended")
}

impl Content {
    fn call_id(&self) -> *const c_char {
        let text = || {
            let mut text = [0; CALL_ID_BYTES];
            text[..CALL_ID_BYTES - 1].copy_from_slice(&self.side.call_id().digits());
            text
        };
        self.call_id.get_or_init(text).as_ptr().cast()
    }

    fn pairs(&self) -> &[nc_pair] {
        self.pairs.of(self.side.metadata())
    }
}

/// Reads a value of a request. Returns `otherwise` if the request has ended.
///
/// # Safety
/// `req` is NULL or was a handle once.
unsafe fn value<T>(req: *const nc_request, otherwise: T, read: impl FnOnce(&Content) -> T) -> T
where
    T: Copy,
{
    // SAFETY: `req` is NULL or was a handle once.
    guard_value(otherwise, || unsafe { nc_request::live(req) }.map_or(otherwise, read))
}

/// Returns the body. It is empty if the request has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_body(req: *const nc_request) -> nc_bytes {
    // SAFETY: `req` is NULL or was a handle once.
    unsafe { value(req, nc_bytes::EMPTY, |content| nc_bytes::lend(content.side.body())) }
}

/// Returns the name of the function that was called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_function(req: *const nc_request) -> nc_bytes {
    // SAFETY: `req` is NULL or was a handle once.
    unsafe {
        value(req, nc_bytes::EMPTY, |content| nc_bytes::lend(content.side.function().as_bytes()))
    }
}

/// Returns true if another function made the call, false if it came through the gateway.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_is_internal(req: *const nc_request) -> bool {
    // SAFETY: `req` is NULL or was a handle once.
    unsafe { value(req, false, |content| content.side.caller().is_some()) }
}

/// Returns the name of the function that made the call. It is empty if the call came through the
/// gateway.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_caller(req: *const nc_request) -> nc_bytes {
    let lend = |content: &Content| {
        content.side.caller().map_or(nc_bytes::EMPTY, |caller| nc_bytes::lend(caller.as_bytes()))
    };
    // SAFETY: `req` is NULL or was a handle once.
    unsafe { value(req, nc_bytes::EMPTY, lend) }
}

/// Writes the first value of the metadata with this name to `value`.
///
/// Returns NC_NOT_FOUND if there is none; `value` is then empty.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_metadata(
    req: *const nc_request,
    name: *const c_char,
    value: *mut nc_bytes,
) -> status {
    // SAFETY: the program passes a request, a name and a place for the value.
    guard(|| unsafe {
        present(value, "value")?;
        let found = nc_request::live(req)?.side.metadata().get(text(name, "name")?);
        value.write(found.map_or(nc_bytes::EMPTY, nc_bytes::lend));
        Ok(if found.is_some() { NC_OK } else { NC_NOT_FOUND })
    })
}

/// Returns the number of pairs of metadata.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_metadata_count(req: *const nc_request) -> usize {
    // SAFETY: `req` is NULL or was a handle once.
    unsafe { value(req, 0, |content| content.pairs().len()) }
}

/// Writes the pair of metadata at `index` to `pair`. Pairs keep the order in which they were sent.
///
/// Returns NC_NOT_FOUND if `index` is not below the number of pairs.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_metadata_at(
    req: *const nc_request,
    index: usize,
    pair: *mut nc_pair,
) -> status {
    // SAFETY: the program passes a request and a place for the pair.
    guard(|| unsafe {
        present(pair, "pair")?;
        let Some(found) = nc_request::live(req)?.pairs().get(index) else {
            return Ok(NC_NOT_FOUND);
        };
        pair.write(*found);
        Ok(NC_OK)
    })
}

/// Returns the nanoseconds until the deadline of the call: 0 if it has passed, UINT64_MAX if the
/// call has no deadline.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_time_left_ns(req: *const nc_request) -> u64 {
    let left = |content: &Content| {
        let left = content.side.time_left();
        left.map_or(u64::MAX, |left| u64::try_from(left.as_nanos()).unwrap_or(u64::MAX))
    };
    // SAFETY: `req` is NULL or was a handle once.
    unsafe { value(req, 0, left) }
}

/// Returns true if the request is cancelled: nobody waits for its reply any more, because the
/// caller has left or the deadline has passed. Also returns true if the request has ended. The
/// function costs one load from memory, so a loop can afford it. Any thread may call it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_cancelled(req: *const nc_request) -> bool {
    // SAFETY: `req` is NULL or was a handle once.
    unsafe { value(req, true, |content| content.side.cancel_reason().is_some()) }
}

/// Returns the reason why the request is cancelled: NC_DEADLINE_EXCEEDED if the deadline has
/// passed, NC_CANCELLED if the caller has left, NC_OK if the request is not cancelled. The function
/// costs as little as nc_request_cancelled. Any thread may call it.
///
/// Returns NC_INVALID_STATE if the request has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_cancel_reason(req: *const nc_request) -> status {
    // SAFETY: `req` is NULL or was a handle once.
    guard(|| unsafe {
        let reason = nc_request::live(req)?.side.cancel_reason();
        Ok(reason.map_or(NC_OK, |reason| reason.status().number() as i32))
    })
}

/// Returns the number of a request that nc_worker_next gave. Later events name the request by it,
/// as `request_number`. It is 0 for the request of a handler. It is not the id of the call: see
/// nc_request_call_id.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_number(req: *const nc_request) -> u64 {
    // SAFETY: `req` is NULL or was a handle once.
    let number = unsafe { value(req, None, |content| content.side.event_number()) };
    number.map_or(0, CallNumber::number)
}

/// The old name of nc_request_number.
#[unsafe(no_mangle)]
#[deprecated(note = "use nc_request_number; nc_request_call_id returns the id of the call")]
pub unsafe extern "C" fn nc_request_id(req: *const nc_request) -> u64 {
    // SAFETY: `req` is NULL or was a handle once.
    unsafe { nc_request_number(req) }
}

/// Returns the call id: 16 hexadecimal digits. A call from outside and all calls below it share one
/// id; the client gets it in the header X-Nightcore-Call. The text is valid as long as the request.
/// It is empty if the request has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_call_id(req: *const nc_request) -> *const c_char {
    // SAFETY: `req` is NULL or was a handle once.
    unsafe { value(req, c"".as_ptr(), Content::call_id) }
}

/// Writes a text to standard error. Each of its lines reaches the function's log with the call id,
/// so that `nightcore logs --call ID` finds it. Any thread may call it.
///
/// Returns NC_INVALID_STATE if the request has ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_log(req: *const nc_request, text: *const c_char) -> status {
    // SAFETY: the program passes a request and a text, which is checked not to be NULL.
    guard(|| unsafe {
        present(text.cast_mut(), "text")?;
        nc_request::live(req)?.side.log(CStr::from_ptr(text).to_bytes());
        Ok(NC_OK)
    })
}

/// Frees a request that nc_worker_next gave. If the request has no reply, its call fails. If the
/// last reply was refused, the error of the call gives the reason. Does nothing if `req` is NULL or
/// the request of a handler, which ends when the handler returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_request_free(req: *mut nc_request) {
    guard_value((), || {
        // SAFETY: `req` is NULL or was a handle once.
        if let Ok(content) = unsafe { nc_request::live(req) }
            && content.side.event_number().is_some()
        {
            // SAFETY: the request has not ended, and no other thread uses it.
            if let Some(content) = unsafe { nc_request::end(req) } {
                content.side.freed();
            }
        }
    });
}
