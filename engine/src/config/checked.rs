//! The types of a checked `nightcore.toml`.

use super::command::{self, SearchPath};
use super::error::ConfigError;
use super::keys::{Build, Keys};
use super::setting::Setting;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The purpose for which a configuration is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Functions run as they are: every program must exist.
    Serve,
    /// `nightcore dev` reads it: what a function's `build` makes may be missing.
    Develop,
}

/// A checked `nightcore.toml`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The file's path, as given.
    pub path: PathBuf,
    /// The file's absolute directory. Commands and working directories are relative to it.
    pub directory: PathBuf,
    /// The settings that replaced values of the file.
    pub settings: Vec<Setting>,
    /// `[gateway]`.
    pub gateway: GatewayConfig,
    /// `[admin]`, if the file has it.
    pub admin: Option<AdminConfig>,
    /// `[functions.NAME]`, in the order of the file. There is at least one.
    pub functions: Vec<FunctionConfig>,
    /// Warnings about probable mistakes, in the order of the file.
    pub warnings: Vec<ConfigError>,
}

/// `[gateway]`: the frontend that takes clients' requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayConfig {
    /// The address to listen on. Port 0 stands for any free port.
    pub listen: SocketAddr,
    /// The largest request body that is accepted, in bytes.
    pub max_body_bytes: u64,
    /// The bound on the memory that all requests and answers hold together, in bytes. If it is
    /// `None`, the bound is a part of the memory that is available to the engine.
    pub memory_bytes: Option<u64>,
}

/// `[admin]`: an address that serves metrics and health pages, in addition to the engine's own
/// socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminConfig {
    /// The address to listen on. Port 0 stands for any free port.
    pub listen: SocketAddr,
}

/// `[functions.NAME]`, with the values of `[defaults]` filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionConfig {
    /// The function's name.
    pub name: String,
    /// The line of the table's header, counted from 1.
    pub line: usize,
    /// The program as written, and its arguments. They are never given to a shell.
    pub command: Vec<String>,
    /// The absolute path of the executable that `command[0]` names.
    pub program: PathBuf,
    /// The absolute working directory of the containers.
    pub cwd: PathBuf,
    /// Environment variables to set for the containers, sorted by name.
    pub env: Vec<(String, String)>,
    /// The absolute paths of the files that some of these variables are from.
    pub env_files: Vec<PathBuf>,
    /// The values that could be secrets, as the file writes them.
    pub as_written: AsWritten,
    /// The values of the function's keys.
    pub keys: Keys,
    /// The path at which the function answers, besides `/function/NAME`. It has no slash at its
    /// end, so it is empty for "/".
    pub route: Option<String>,
}

/// Values of a function with their variables not expanded. The values of variables could be
/// secrets, which no command prints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsWritten {
    /// The command.
    pub command: Vec<String>,
    /// The environment without the variables of files, sorted by name.
    pub env: Vec<(String, String)>,
}

impl Config {
    /// Returns the absolute path of the file.
    pub fn file(&self) -> PathBuf {
        self.directory.join(self.path.file_name().unwrap_or_default())
    }

    /// Returns the configuration with the defaults of `nightcore dev`.
    pub fn for_development(mut self) -> Config {
        for function in &mut self.functions {
            function.keys.expose_errors.get_or_insert(true);
        }
        self
    }
}

impl FunctionConfig {
    /// Whether a process of this function would be the same with the other configuration.
    pub fn keeps_processes(&self, other: &FunctionConfig) -> bool {
        let is_same_program = self.command == other.command && self.program == other.program;
        let is_same_place = self.cwd == other.cwd && self.env == other.env;
        is_same_program && is_same_place && self.keys.keeps_processes(&other.keys)
    }

    /// Finds the program of the function's `build`. A name with a slash in it is relative to
    /// `directory`, which is the directory of the configuration file, like that of `command`.
    ///
    /// # Errors
    ///
    /// Returns the reason if there is no such program.
    pub fn find_builder(&self, directory: &Path, build: &Build) -> Result<PathBuf, String> {
        let own = std::env::var_os("PATH");
        let set = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_str());
        let name = build.words.first().map_or("", String::as_str);
        command::resolve(name, directory, &self.cwd, &SearchPath::new(set, own.as_deref()))
    }

    /// Whether callers receive the texts of unexpected errors.
    pub fn exposes_errors(&self) -> bool {
        self.keys.expose_errors.unwrap_or(false)
    }
}
