//! Python's state of a worker thread.

use pyo3::ffi;
use std::marker::PhantomData;

/// Keeps Python's state of this thread, so that it is found when the thread attaches to the
/// interpreter. To create and delete a state for each call would cost microseconds. The end of the
/// thread drops this.
struct Kept {
    detached: *mut ffi::PyThreadState,
    // The state belongs to its thread.
    _thread: PhantomData<*mut ()>,
}

impl Kept {
    fn new() -> Kept {
        // SAFETY: the interpreter exists, because it called `serve`, which has not returned; this
        // thread is not attached, and is left detached.
        unsafe {
            ffi::PyGILState_Ensure();
            Kept { detached: ffi::PyEval_SaveThread(), _thread: PhantomData }
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // PyGILState_Release would do the same, but it looks the state up in a pthread key. With
        // musl, this function runs after the destructors of such keys, so the state is not found.
        // SAFETY: the interpreter still exists, because `serve` waits for the worker threads before
        // it returns; this thread is detached, and the state is its own. The state is cleared while
        // it is attached, and deleted while no thread is attached by it.
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

/// Makes sure that Python's state of this thread is kept until the thread ends.
pub fn keep_state() {
    KEPT.with(|_| ());
}
