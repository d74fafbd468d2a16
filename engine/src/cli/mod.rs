//! The `nightcore` command, with one file for each subcommand.
//!
//! Exit codes: 0 success, 1 a call failed, 2 bad input, 3 no engine runs, 4 standard output cannot
//! be written to.

mod arguments;
mod attach;
mod bench;
mod check;
mod engine_client;
mod exit;
mod find;
mod http;
mod invoke;
mod launcher;
mod log_file;
mod logs;
mod output;
mod ps;
mod reload;
mod runtime;
mod up;

pub use exit::{EXIT_BAD_INPUT, EXIT_CALL_FAILED, EXIT_NO_ENGINE, EXIT_OUTPUT, Exit};

use crate::engine_log::visible_text;
use clap::{Parser, Subcommand};
use nightcore_runtime::stderr::write_stderr;
use output::written;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

/// Runs functions written in several languages that call each other in microseconds.
#[derive(Parser)]
#[command(name = "nightcore", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run all functions of a configuration file on this machine, until SIGTERM or Ctrl-C
    Up(up::Up),
    /// Run all functions during development: build and restart a function when its files change,
    /// and apply changes of the configuration
    Dev(up::Up),
    /// Check a configuration file
    Check(check::Check),
    /// Call a function of a running engine
    Invoke(invoke::Invoke),
    /// Call a function of a running engine many times a second, and show how long its calls take
    Bench(bench::Bench),
    /// Show the functions of a running engine, and how they do
    Ps(ps::Ps),
    /// Make a running engine read its configuration again and restart the functions that have
    /// changed, without losing a call
    Reload(reload::Reload),
    /// Show what a function has printed
    Logs(logs::Logs),
    /// Start a program by hand as a process of a function, such as under a debugger
    Attach(attach::Attach),
    #[command(hide = true)]
    Launcher(launcher::LauncherArgs),
}

/// Runs the command line. `give_back` returns memory that the program's allocator keeps to the
/// system.
pub fn main(give_back: fn()) -> ExitCode {
    let command = match Cli::try_parse() {
        Ok(cli) => cli.command,
        Err(error) => return explain(&error),
    };
    let result = match command {
        Command::Up(up) => up.run(give_back),
        Command::Dev(dev) => dev.dev(give_back),
        Command::Check(check) => check.run(),
        Command::Invoke(invoke) => invoke.run(),
        Command::Bench(bench) => bench.run(),
        Command::Ps(ps) => ps.run(),
        Command::Reload(reload) => reload.run(),
        Command::Logs(logs) => logs.run(),
        Command::Attach(attach) => attach.run(),
        Command::Launcher(launcher) => launcher.run(),
    };
    end(result)
}

/// Prints help, the version, or the error in the arguments.
fn explain(error: &clap::Error) -> ExitCode {
    // Printed in colours if the stream is a terminal.
    let printed = error.print().and_then(|()| io::stdout().flush());
    if error.use_stderr() { ExitCode::from(EXIT_BAD_INPUT) } else { end(written(printed)) }
}

/// Prints why a command failed, if it did. Returns the exit code of the process.
fn end(result: Result<(), Exit>) -> ExitCode {
    let Err(exit) = result else { return ExitCode::SUCCESS };
    if !exit.message.is_empty() {
        let is_terminal = io::stderr().is_terminal();
        let shown = if is_terminal { visible_text(&exit.message) } else { exit.message };
        write_stderr(format_args!("nightcore: {shown}"));
    }
    ExitCode::from(exit.code)
}
