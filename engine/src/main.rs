//! The `nightcore` command.

// They panic when a write fails, as into a closed pipe: see `cli::output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

// The engine allocates small things on every call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Gives memory that nothing uses back to the system.
fn give_back() {
    // SAFETY: it may be called at any time, on any thread.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

fn main() -> ExitCode {
    nightcore_engine::cli::main(give_back)
}
