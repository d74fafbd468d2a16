//! The `nightcore` command: one file a subcommand.
//!
//! Exit codes: 0 it went well, 1 a call failed, 2 bad input, 3 no engine runs.

mod attach;
mod bench;
mod check;
mod engine_client;
mod invoke;
mod launcher;
mod log_file;
mod logs;
mod ps;
mod reload;
mod up;

use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A call failed.
pub const EXIT_CALL_FAILED: u8 = 1;
/// What was given is not good: a file, an argument, an address.
pub const EXIT_BAD_INPUT: u8 = 2;
/// No engine runs.
pub const EXIT_NO_ENGINE: u8 = 3;

/// After how many steps of its tasks the I/O thread asks the kernel for news. While it looks at rings there is always a step,
/// of which each takes a microsecond or two.
const EVENT_INTERVAL: u32 = 16;

/// Runs functions written in several languages that call each other in microseconds.
#[derive(Parser)]
#[command(name = "nightcore", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Which engine.
#[derive(Args)]
struct Engine {
    /// The configuration file
    #[arg(short, long, default_value = "nightcore.toml", value_name = "FILE")]
    config: PathBuf,
    /// The engine's directory, if not the one that belongs to the configuration file
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Engine {
    fn directory(&self) -> anyhow::Result<PathBuf> {
        crate::directory::of_config(self.dir.as_deref(), &self.config)
    }
}

#[derive(Subcommand)]
enum Command {
    /// Run all functions of a configuration file on this machine, until SIGTERM or Ctrl-C
    Up(up::Up),
    /// The same while you write them: a function is started anew when its files change, all of them with the configuration
    Dev(up::Up),
    /// Check a configuration file
    Check(check::Check),
    /// Call a function of a running engine
    Invoke(invoke::Invoke),
    /// Call a function of a running engine many times a second, and show how long its calls take
    Bench(bench::Bench),
    /// Show the functions of a running engine, and how they do
    Ps(ps::Ps),
    /// Let a running engine read its configuration anew, and start what has changed anew, without losing a call
    Reload(reload::Reload),
    /// Show what a function has printed
    Logs(logs::Logs),
    /// Start a program by hand as a process of a function, such as under a debugger
    Attach(attach::Attach),
    #[command(hide = true)]
    Launcher(launcher::LauncherArgs),
}

/// A message and the exit code it goes with.
#[derive(Debug)]
pub struct Exit {
    code: u8,
    message: String,
}

impl Exit {
    fn new(code: u8, message: impl std::fmt::Display) -> Exit {
        Exit { code, message: message.to_string() }
    }

    fn bad_input(error: impl Into<anyhow::Error>) -> Exit {
        Exit::new(EXIT_BAD_INPUT, format!("{:#}", error.into()))
    }
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Up(up) => up.run(),
        Command::Dev(dev) => dev.dev(),
        Command::Check(check) => check.run(),
        Command::Invoke(invoke) => invoke.run(),
        Command::Bench(bench) => bench.run(),
        Command::Ps(ps) => ps.run(),
        Command::Reload(reload) => reload.run(),
        Command::Logs(logs) => logs.run(),
        Command::Attach(attach) => attach.run(),
        Command::Launcher(launcher) => launcher.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => {
            if !exit.message.is_empty() {
                eprintln!("nightcore: {}", exit.message);
            }
            ExitCode::from(exit.code)
        }
    }
}

/// A name that no function can have is bad input.
fn check_name(function: &str) -> Result<(), Exit> {
    if nightcore_runtime::protocol::name::is_valid(function) {
        return Ok(());
    }
    Err(Exit::new(EXIT_BAD_INPUT, format!("{function:?} cannot be the name of a function")))
}

fn load(path: &Path) -> Result<crate::config::Config, Exit> {
    crate::config::Config::load(path)
        .map_err(|errors| Exit::new(EXIT_BAD_INPUT, format!("\n{errors}")))
}

/// A runtime on this thread: all that Nightcore does fits one.
fn runtime() -> Result<tokio::runtime::LocalRuntime, Exit> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(EVENT_INTERVAL)
        .build_local(Default::default())
        .map_err(|error| Exit::new(EXIT_BAD_INPUT, format!("cannot start: {error}")))
}
