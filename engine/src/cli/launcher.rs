//! `nightcore launcher`: started by the engine only.

use super::Exit;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct LauncherArgs {
    /// The socket to the engine
    #[arg(long)]
    socket: i32,
    /// The limit of open files that containers get
    #[arg(long)]
    open_files: u64,
    /// The engine's directory
    directory: PathBuf,
}

impl LauncherArgs {
    pub fn run(self) -> Result<(), Exit> {
        crate::launcher::process::run(self.socket, &self.directory, self.open_files).map_err(Exit::bad_input)
    }
}
