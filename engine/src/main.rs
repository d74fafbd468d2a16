//! The `nightcore` command.

use std::process::ExitCode;

// The engine allocates small things on every call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    nightcore_engine::cli::main()
}
