//! The types of a checked `nightcore.toml`.

use super::error::ConfigError;
use super::limits::{DEFAULT_MAX_SLOTS, DEFAULT_MAX_THREADS};
use super::setting::Setting;
use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A checked `nightcore.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file's path, as given.
    pub path: PathBuf,
    /// The file's directory, absolute. Commands and working directories are relative to it.
    pub directory: PathBuf,
    /// The values that were taken in place of the file's.
    pub settings: Vec<Setting>,
    /// `[gateway]`.
    pub gateway: Gateway,
    /// `[admin]`, if it is there.
    pub admin: Option<Admin>,
    /// `[functions.NAME]`, in the order of the file. There is at least one.
    pub functions: Vec<Function>,
    /// What is probably not meant, in the order of the file.
    pub warnings: Vec<ConfigError>,
}

/// `[gateway]`: the frontend that takes clients' requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// The address to listen on. Port 0 stands for a free one.
    pub listen: SocketAddr,
    /// The largest request body that is accepted, in bytes.
    pub max_body_bytes: u64,
    /// What requests and answers may hold together, in bytes. None: a part of what the engine may
    /// have.
    pub memory_bytes: Option<u64>,
}

/// `[admin]`: an address for the pages on metrics and health, besides the engine's own socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The address to listen on. Port 0 stands for a free one.
    pub listen: SocketAddr,
}

/// `[functions.NAME]`, with what `[defaults]` says already filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// The function's name.
    pub name: String,
    /// The line of the table's header, counted from 1.
    pub line: usize,
    /// The program as written, and its arguments. Never given to a shell.
    pub command: Vec<String>,
    /// The executable that `command[0]` stands for, absolute.
    pub program: PathBuf,
    /// The working directory of the containers, absolute.
    pub cwd: PathBuf,
    /// Environment variables to set for the containers, sorted by name.
    pub env: Vec<(String, String)>,
    /// The files that some of them are from, absolute.
    pub env_files: Vec<PathBuf>,
    /// The values that could be secrets, as the file has them.
    pub as_written: AsWritten,
    /// How many containers run this function.
    pub processes: u32,
    /// How many workers the function has, over all its containers.
    pub workers: Workers,
    /// The time that a call may take.
    pub timeout: Duration,
    /// The time after a call's deadline at which the container of a handler that has not ended is
    /// replaced.
    pub grace: Duration,
    /// The time from a container's start until its first worker is ready, after which it is ended.
    pub start_timeout: Duration,
    /// The time that a container has to end when it is told to, before SIGTERM.
    pub stop_timeout: Duration,
    /// The path that a container must answer before it gets calls; none if it gets them as soon as
    /// a worker of it is ready.
    pub ready_path: Option<String>,
    /// The bounds of its queue.
    pub queue: Queue,
    /// The largest depth of calls at which this function may be called.
    pub max_depth: u32,
    /// Whether clients may call this function; if not, only functions may.
    pub external: bool,
    /// The kind of channel that carries its messages.
    pub channel: ChannelKind,
    /// The cores that its worker threads run on while they spin for messages.
    pub placement: Placement,
    /// Whether its workers may be lent to others, and its handlers call others directly.
    pub direct: bool,
    /// Whether it is restarted when its files change.
    pub watch: bool,
    /// The resources that each container may use.
    pub limits: Limits,
    /// The number of containers that must have died with an input under way before the input is
    /// refused; 0 if no input is ever refused.
    pub quarantine_after: u32,
    /// How often an internal call of it is retried after its container died. A call that may have
    /// begun is retried only if the function is idempotent.
    pub retries: u32,
    /// Whether a call of it may run twice.
    pub idempotent: bool,
    /// Whether callers are told the texts of unexpected errors, if the file says so. If not, only
    /// `nightcore dev` tells them.
    pub expose_errors: Option<bool>,
    /// The path that it answers at besides `/function/NAME`, without a slash at its end: empty for
    /// "/".
    pub route: Option<String>,
}

/// Values of a function with the variables that they have in the file. The values of variables
/// could be secrets, which no command prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsWritten {
    /// The command.
    pub command: Vec<String>,
    /// The environment without that of files, sorted by name.
    pub env: Vec<(String, String)>,
}

impl Config {
    /// The configuration as it holds for `nightcore dev`.
    pub fn for_development(mut self) -> Config {
        for function in &mut self.functions {
            function.expose_errors.get_or_insert(true);
        }
        self
    }
}

impl Function {
    /// Whether callers are told the texts of unexpected errors.
    pub fn exposes_errors(&self) -> bool {
        self.expose_errors.unwrap_or(false)
    }
}

/// The bounds on the number of workers of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workers {
    /// The number of workers that are kept without load.
    pub min: u32,
    /// The largest number of workers, if the file gives one. The default depends on the kind of
    /// worker, which only the container knows: see [`Workers::max_threads`] and
    /// [`Workers::max_slots`].
    pub max: Option<u32>,
}

impl Workers {
    /// The largest number of worker threads.
    pub fn max_threads(&self) -> u32 {
        self.max.unwrap_or(DEFAULT_MAX_THREADS.max(self.min))
    }

    /// The largest number of calls that run at once on event loops.
    pub fn max_slots(&self) -> u32 {
        self.max.unwrap_or(DEFAULT_MAX_SLOTS.max(self.min))
    }
}

/// The resources that one container may use; `None` for no limit.
///
/// Where the engine can make control groups, a limit holds for all processes of the container
/// together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of memory.
    pub memory_bytes: Option<u64>,
    /// Thousandths of a processor.
    pub cpu_millis: Option<u32>,
    /// Open files of each process.
    pub open_files: Option<u32>,
    /// Processes and threads.
    pub tasks: Option<u32>,
}

/// The bounds of a function's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// The largest number of calls that may wait.
    pub calls: u32,
    /// The largest number of payload bytes that may wait.
    pub bytes: u64,
}
