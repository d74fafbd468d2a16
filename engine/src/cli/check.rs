//! `nightcore check`

use super::arguments::{Settings, load};
use super::exit::Exit;
use super::output::print;
use crate::config::Purpose;
use nightcore_runtime::complain::complain;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Check {
    /// The configuration file
    #[arg(short, long, default_value = "nightcore.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    settings: Settings,
    /// Print the effective values
    #[arg(long)]
    print: bool,
}

impl Check {
    pub fn run(self) -> Result<(), Exit> {
        let config = load(&self.config, &self.settings, Purpose::Serve)?;
        for warning in &config.warnings {
            complain(warning);
        }
        if self.print {
            return print(config.to_toml());
        }
        print(format!("{}: ok, {} functions\n", self.config.display(), config.functions.len()))
    }
}
