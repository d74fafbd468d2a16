//! Python's state of a worker thread.

use pyo3::ffi;
use std::marker::PhantomData;

/// Keeps the state that Python has for this thread, so that attaching to the interpreter finds it:
/// to make and forget one for each call costs microseconds. Dropped by the end of the thread.
struct Kept {
    state: ffi::PyGILState_STATE,
    detached: *mut ffi::PyThreadState,
    // It belongs to its thread.
    _thread: PhantomData<*mut ()>,
}

impl Kept {
    fn new() -> Kept {
        // SAFETY: the interpreter is there, as `serve` was called by it and has not returned; this
        // thread is not attached, and is left detached.
        unsafe {
            let state = ffi::PyGILState_Ensure();
            Kept { state, detached: ffi::PyEval_SaveThread(), _thread: PhantomData }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: the interpreter is still there, as `serve` waits for the worker threads before it
        // returns; this thread is detached, and the states are its own.
        unsafe {
            ffi::PyEval_RestoreThread(self.detached);
            ffi::PyGILState_Release(self.state);
        }
    }
}

thread_local! {
    static KEPT: Kept = Kept::new();
}

/// Makes sure that Python's state of this thread is kept until its end.
pub fn keep_state() {
    KEPT.with(|_| ());
}
