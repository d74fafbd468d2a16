//! `nightcore launcher`: started by the engine only.

use super::exit::Exit;
use crate::engine_log::{Columns, use_columns};
use crate::tracing::forbid_tracing;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct LauncherArgs {
    /// The socket to the engine
    #[arg(long)]
    socket: i32,
    /// The limit of open files that containers get
    #[arg(long)]
    open_files: u64,
    /// Let debuggers and profilers of this user trace this process
    #[arg(long)]
    trace: bool,
    /// Show what functions print in columns, of which that of the names is so wide
    #[arg(long)]
    columns: Option<usize>,
    /// The engine's directory
    directory: PathBuf,
}

impl LauncherArgs {
    pub fn run(self) -> Result<(), Exit> {
        if !self.trace {
            forbid_tracing().map_err(Exit::bad_input)?;
        }
        if let Some(name_width) = self.columns {
            use_columns(Columns::new(name_width));
        }
        crate::launcher::process::run(self.socket, &self.directory, self.open_files)
            .map_err(Exit::bad_input)
    }
}
