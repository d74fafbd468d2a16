//! Watches a descriptor in Node's event loop, with libuv.

use libc::{c_char, c_int, c_void};
use napi::bindgen_prelude::*;
use napi::sys;
use std::ptr;

const UV_READABLE: c_int = 1;
/// `UV_POLL` of `uv_handle_type`, which is part of libuv's ABI.
const UV_POLL: c_int = 8;

// Node exports libuv, whose ABI does not change within its major version.
unsafe extern "C" {
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_set_data(handle: *mut c_void, data: *mut c_void);
    fn uv_handle_get_data(handle: *const c_void) -> *mut c_void;
    fn uv_poll_init(event_loop: *mut sys::uv_loop_s, handle: *mut c_void, fd: c_int) -> c_int;
    fn uv_poll_start(handle: *mut c_void, events: c_int, callback: PollCallback) -> c_int;
    fn uv_close(handle: *mut c_void, callback: CloseCallback);
    fn uv_strerror(error: c_int) -> *const c_char;
}

type PollCallback = unsafe extern "C" fn(handle: *mut c_void, status: c_int, events: c_int);
type CloseCallback = unsafe extern "C" fn(handle: *mut c_void);

/// A watch, which calls a function whenever a descriptor is readable, until it is closed. It keeps
/// the process alive.
pub struct Watch {
    env: sys::napi_env,
    callback: sys::napi_ref,
    context: sys::napi_async_context,
    /// libuv's handle. It consists of `u64`s, so that it is aligned.
    handle: Box<[u64]>,
}

/// A watch that has started. `close` consumes it; libuv uses its handle until then.
pub struct Watching(*mut Watch);

fn check(status: sys::napi_status, what: &str) -> Result<()> {
    if status == sys::Status::napi_ok {
        Ok(())
    } else {
        Err(Error::from_reason(format!("{what} failed")))
    }
}

impl Watch {
    /// Starts to watch a descriptor.
    pub fn start(env: &Env, fd: c_int, callback: &Function<'_, (), ()>) -> Result<Watching> {
        // SAFETY: the function only returns a size.
        let bytes = unsafe { uv_handle_size(UV_POLL) };
        let handle = vec![0u64; bytes.div_ceil(size_of::<u64>())].into_boxed_slice();
        let mut watch = Box::new(Watch {
            env: env.raw(),
            callback: ptr::null_mut(),
            context: ptr::null_mut(),
            handle,
        });
        let mut name = ptr::null_mut();
        // SAFETY: `env` is the one of this call; places are valid for the calls.
        unsafe {
            let text = c"nightcore";
            check(
                sys::napi_create_string_utf8(
                    env.raw(),
                    text.as_ptr(),
                    text.count_bytes() as isize,
                    &mut name,
                ),
                "napi_create_string_utf8",
            )?;
            check(
                sys::napi_async_init(env.raw(), ptr::null_mut(), name, &mut watch.context),
                "napi_async_init",
            )?;
            check(
                sys::napi_create_reference(env.raw(), callback.raw(), 1, &mut watch.callback),
                "napi_create_reference",
            )?;
        }
        let event_loop = env.get_uv_event_loop()?;
        let watch = Box::into_raw(watch);
        // SAFETY: the handle is as large as libuv says, and stays where it is until libuv has
        // closed it; the loop is this thread's.
        let error = unsafe {
            let handle = (*watch).handle.as_mut_ptr().cast::<c_void>();
            match uv_poll_init(event_loop, handle, fd) {
                0 => {
                    uv_handle_set_data(handle, watch.cast());
                    uv_poll_start(handle, UV_READABLE, readable)
                }
                error => error,
            }
        };
        if error != 0 {
            // SAFETY: libuv's messages end with a zero and are static.
            let text = unsafe { std::ffi::CStr::from_ptr(uv_strerror(error)) }.to_string_lossy();
            return Err(Error::from_reason(format!(
                "the engine's channel cannot be watched: {text}"
            )));
        }
        Ok(Watching(watch))
    }
}

impl Watching {
    /// Stops watching.
    pub fn close(self) {
        // SAFETY: the handle was started and is closed once, as `self` is gone.
        unsafe { uv_close((*self.0).handle.as_mut_ptr().cast(), closed) }
    }
}

unsafe extern "C" fn readable(handle: *mut c_void, _status: c_int, _events: c_int) {
    // SAFETY: libuv calls it on the loop's thread with the handle of a watch that is not closed;
    // nothing of the watch is borrowed when JavaScript runs, which may close it.
    unsafe {
        let watch = uv_handle_get_data(handle).cast::<Watch>();
        let (env, context, callback) = ((*watch).env, (*watch).context, (*watch).callback);
        let mut scope = ptr::null_mut();
        if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
            return;
        }
        let (mut function, mut receiver, mut result) =
            (ptr::null_mut(), ptr::null_mut(), ptr::null_mut());
        sys::napi_get_reference_value(env, callback, &mut function);
        sys::napi_get_global(env, &mut receiver);
        let status =
            sys::napi_make_callback(env, context, receiver, function, 0, ptr::null(), &mut result);
        if status == sys::Status::napi_pending_exception {
            let mut exception = ptr::null_mut();
            sys::napi_get_and_clear_last_exception(env, &mut exception);
            sys::napi_fatal_exception(env, exception);
        }
        sys::napi_close_handle_scope(env, scope);
    }
}

unsafe extern "C" fn closed(handle: *mut c_void) {
    // SAFETY: libuv is done with the handle, and calls this once, on the loop's thread.
    unsafe {
        let watch = Box::from_raw(uv_handle_get_data(handle).cast::<Watch>());
        sys::napi_delete_reference(watch.env, watch.callback);
        sys::napi_async_destroy(watch.env, watch.context);
    }
}
