//! `nightcore check`

use super::arguments::{SetOptions, load};
use super::exit::Exit;
use super::output::print;
use crate::config::Purpose;
use nightcore_runtime::stderr::write_stderr;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Check {
    /// The configuration file
    #[arg(short, long, default_value = "nightcore.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    settings: SetOptions,
    /// Print the effective values
    #[arg(long)]
    print: bool,
}

impl Check {
    pub fn run(self) -> Result<(), Exit> {
        let config = load(&self.config, &self.settings, Purpose::Serve)?;
        for warning in &config.warnings {
            write_stderr(warning);
        }
        if self.print {
            return print(config.to_toml());
        }
        print(format!("{}: ok, {} functions\n", self.config.display(), config.functions.len()))
    }
}
