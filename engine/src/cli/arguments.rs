//! Arguments that several commands take: an engine, the name of a function, a configuration file.

use super::exit::{EXIT_BAD_INPUT, Exit};
use clap::Args;
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
}

impl Engine {
    /// Returns the directory of this engine.
    pub(super) fn directory(&self) -> anyhow::Result<PathBuf> {
        crate::directory::of_config(self.dir.as_deref(), &self.config)
    }
}

/// Refuses a name that no function can have.
pub(super) fn check_name(function: &str) -> Result<(), Exit> {
    if nightcore_runtime::protocol::name::is_valid(function) {
        return Ok(());
    }
    Err(Exit::new(EXIT_BAD_INPUT, format!("{function:?} cannot be the name of a function")))
}

/// Reads the configuration file.
pub(super) fn load(path: &Path) -> Result<crate::config::Config, Exit> {
    crate::config::Config::load(path)
        .map_err(|errors| Exit::new(EXIT_BAD_INPUT, format!("\n{errors}")))
}
