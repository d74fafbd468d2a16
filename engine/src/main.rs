//! The `nightcore` command.

// The print macros panic if a write fails, for example to a closed pipe: see `cli::output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

// The engine makes small allocations on every call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Returns unused memory of the allocator to the system.
fn give_back() {
    // SAFETY: `mi_collect` may be called at any time, on any thread.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

fn main() -> ExitCode {
    nightcore_engine::cli::main(give_back)
}
