//! Python's state of a worker thread.

use pyo3::ffi;
use std::marker::PhantomData;

/// Keeps the state that Python has for this thread, so that attaching to the interpreter finds it:
/// to make and forget one for each call costs microseconds. Dropped by the end of the thread.
struct Kept {
    detached: *mut ffi::PyThreadState,
    // It belongs to its thread.
    _thread: PhantomData<*mut ()>,
}

impl Kept {
    fn new() -> Kept {
        // SAFETY: the interpreter is there, as `serve` was called by it and has not returned; this
        // thread is not attached, and is left detached.
        unsafe {
            ffi::PyGILState_Ensure();
            Kept { detached: ffi::PyEval_SaveThread(), _thread: PhantomData }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // PyGILState_Release would do it, but looks the state up by the thread, where musl has
        // forgotten it: this runs after the destructors of pthread keys there.
        // SAFETY: the interpreter is still there, as `serve` waits for the worker threads before it
        // returns; this thread is detached, and the state is its own. It is cleared while attached,
        // and deleted while no thread is attached by it.
        unsafe {
            ffi::PyEval_RestoreThread(self.detached);
            ffi::PyThreadState_Clear(self.detached);
            ffi::PyEval_SaveThread();
            ffi::PyThreadState_Delete(self.detached);
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
