//! The types of a checked `nightcore.toml`.

use super::command::{self, SearchPath};
use super::error::ConfigError;
use super::keys::{Build, Keys};
use super::setting::Setting;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run functions as they are: every program must be there.
    Serve,
    /// To write functions, as `nightcore dev` does: what a function's `build` makes may be missing.
    Develop,
}

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
    pub gateway: GatewayConfig,
    /// `[admin]`, if it is there.
    pub admin: Option<AdminConfig>,
    /// `[functions.NAME]`, in the order of the file. There is at least one.
    pub functions: Vec<FunctionConfig>,
    /// What is probably not meant, in the order of the file.
    pub warnings: Vec<ConfigError>,
}

/// `[gateway]`: the frontend that takes clients' requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
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
pub struct AdminConfig {
    /// The address to listen on. Port 0 stands for a free one.
    pub listen: SocketAddr,
}

/// `[functions.NAME]`, with what `[defaults]` says already filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionConfig {
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
    /// The values of its keys.
    pub keys: Keys,
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
    /// The absolute path of the file.
    pub fn file(&self) -> PathBuf {
        self.directory.join(self.path.file_name().unwrap_or_default())
    }

    /// The configuration as it holds for `nightcore dev`.
    pub fn for_development(mut self) -> Config {
        for function in &mut self.functions {
            function.keys.expose_errors.get_or_insert(true);
        }
        self
    }
}

impl FunctionConfig {
    /// Whether a process that was started for it would be the same for the other.
    pub fn keeps_processes(&self, other: &FunctionConfig) -> bool {
        let is_same_program = self.command == other.command && self.program == other.program;
        let is_same_place = self.cwd == other.cwd && self.env == other.env;
        is_same_program && is_same_place && self.keys.keeps_processes(&other.keys)
    }

    /// Finds the program of the function's `build`. Like that of `command` it is relative to
    /// `directory`, that of the configuration file, if it has a slash in it.
    ///
    /// # Errors
    ///
    /// If there is no such program, with the reason.
    pub fn find_builder(&self, directory: &Path, build: &Build) -> Result<PathBuf, String> {
        let own = std::env::var_os("PATH");
        let set = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str());
        let name = build.words.first().map_or("", String::as_str);
        command::resolve(name, directory, &self.cwd, &SearchPath::new(set, own.as_deref()))
    }

    /// Whether callers are told the texts of unexpected errors.
    pub fn exposes_errors(&self) -> bool {
        self.keys.expose_errors.unwrap_or(false)
    }
}
