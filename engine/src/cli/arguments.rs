//! Arguments that several commands take: an engine, the name of a function, a configuration file.

use super::exit::{EXIT_BAD_INPUT, Exit};
use super::find::{connect, find, running};
use crate::config::{Config, Purpose, Setting};
use crate::launcher::has_logs;
use crate::place::{as_written, candidates, of_config};
use clap::Args;
use std::cell::OnceCell;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Which engine.
#[derive(Args)]
pub(super) struct Engine {
    /// The configuration file
    #[arg(short, long, default_value = "nightcore.toml", value_name = "FILE")]
    pub(super) config: PathBuf,
    /// The engine's directory, if not the one that belongs to the configuration file
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// The directory of the running engine, once it has been found.
    #[arg(skip)]
    found: OnceCell<PathBuf>,
}

impl Engine {
    /// Returns the directory that a new engine gets.
    ///
    /// # Errors
    /// If an engine for this file already runs in another directory, unless one of the two
    /// directories was named by the user.
    pub(super) fn new_directory(&self) -> Result<NewDirectory, Exit> {
        if let Some(named) = &self.dir {
            let path = as_written(named).map_err(Exit::bad_input)?;
            return Ok(NewDirectory { path, is_named: true });
        }
        let path = of_config(&self.config).map_err(Exit::bad_input)?;
        if let Some(running) = running(&self.config).filter(|found| found.directory != path) {
            let text = format!(
                "an engine runs already for {} in {} (pid {}); name another directory by --dir \
                 to run a second one",
                self.config.display(),
                running.directory.display(),
                running.pid
            );
            return Err(Exit::new(EXIT_BAD_INPUT, text));
        }
        Ok(NewDirectory { path, is_named: false })
    }

    /// Returns the directory of the running engine. It is searched for only once.
    ///
    /// # Errors
    /// If no engine runs, and the user has not named the directory.
    pub(super) fn directory(&self) -> Result<&Path, Exit> {
        if let Some(found) = self.found.get() {
            return Ok(found);
        }
        let found = match &self.dir {
            Some(named) => as_written(named).map_err(Exit::bad_input)?,
            None => find(&self.config)?.directory,
        };
        Ok(self.found.get_or_init(|| found))
    }

    /// Returns the directory of an engine whose logs are to be shown. The engine may have died and
    /// left its logs.
    pub(super) fn directory_of_logs(&self) -> Result<&Path, Exit> {
        let directory = match self.directory() {
            Ok(directory) => directory,
            Err(error) => {
                let left = candidates(&self.config).map_err(Exit::bad_input)?;
                let left = left.into_iter().find(|directory| has_logs(directory)).ok_or(error)?;
                self.found.get_or_init(|| left)
            }
        };
        if !has_logs(directory) {
            self.connect()?;
        }
        Ok(directory)
    }

    /// Connects to the running engine.
    pub(super) fn connect(&self) -> Result<UnixStream, Exit> {
        let directory = self.directory()?;
        connect(directory, self.dir.is_some()).map_err(|problem| problem.exit(directory))
    }
}

/// The directory of a new engine.
pub(super) struct NewDirectory {
    pub(super) path: PathBuf,
    /// Whether the user has named it.
    pub(super) is_named: bool,
}

/// Refuses a name that no function can have.
pub(super) fn check_name(function: &str) -> Result<(), Exit> {
    if nightcore_runtime::protocol::name::is_valid(function) {
        return Ok(());
    }
    Err(Exit::new(EXIT_BAD_INPUT, format!("{function:?} cannot be the name of a function")))
}

/// Values in place of those of the configuration file.
#[derive(Args)]
pub(super) struct SetOptions {
    /// Take this value in place of the file's, such as gateway.listen=127.0.0.1:8080 (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<Setting>,
}

/// Reads the configuration file.
pub(super) fn load(path: &Path, settings: &SetOptions, purpose: Purpose) -> Result<Config, Exit> {
    Config::load(path, &settings.settings, purpose).map_err(|errors| {
        Exit::new(EXIT_BAD_INPUT, format!("cannot use {}:\n{errors}", path.display()))
    })
}
