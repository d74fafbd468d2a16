//! The extension module `nightcore._nightcore`, through which the package's Python code uses the
//! worker runtime.
//!
//! The module translates, and makes no decisions of its own. Requests and answers become bytes
//! objects, failures become the package's exceptions, and every wait releases the GIL.

// These macros panic when a write fails, for example to a closed pipe.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod event_loop;
mod failure;
mod payload;
mod process;
mod request;
mod serve;
mod thread;

use pyo3::prelude::*;

#[pymodule]
mod _nightcore {
    #[pymodule_export]
    use crate::event_loop::{Worker, WorkerRequest};
    #[pymodule_export]
    use crate::process::{
        cancel_process_call, end_process_calls, process_call, start_process_call,
    };
    #[pymodule_export]
    use crate::request::Request;
    #[pymodule_export]
    use crate::serve::serve;

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
