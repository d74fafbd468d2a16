//! The `nightcore` command.

// They panic when a write fails, as into a closed pipe: see `cli::output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

// The engine allocates small things on every call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nightcore_engine::cli::main()
}
