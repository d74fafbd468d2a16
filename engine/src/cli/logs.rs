//! `nightcore logs`

use super::engine_client::ask;
use super::log_file::last_lines;
use super::{EXIT_BAD_INPUT, EXIT_NO_ENGINE, Engine, Exit};
use crate::launcher::log_path;
use crate::observe::status::EngineStatus;
use hyper::Method;
use std::io::{self, Write};
use std::path::Path;

#[derive(clap::Args)]
pub struct Logs {
    #[command(flatten)]
    engine: Engine,
    /// The function
    function: String,
    /// Show what it prints from now on, too
    #[arg(short, long)]
    follow: bool,
    /// Show only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
}

impl Logs {
    pub fn run(self) -> Result<(), Exit> {
        let directory = self.engine.directory().map_err(Exit::bad_input)?;
        if !directory.exists() {
            let place = directory.display();
            return Err(Exit::new(
                EXIT_NO_ENGINE,
                format!("no engine runs in {place}; start it with `nightcore up`"),
            ));
        }
        let path = log_path(&directory, &self.function);
        if !path.exists() {
            self.check_name()?;
        }
        match self.show(&path) {
            // A reader that has seen enough, such as `head`.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            shown => shown.map_err(|error| Exit::bad_input(anyhow::Error::from(error))),
        }
    }

    /// A function that has printed nothing has no log; one that does not exist has a wrong name.
    fn check_name(&self) -> Result<(), Exit> {
        let (_, page) = ask(&self.engine, Method::GET, "/status", Vec::new())?;
        // An engine of another version knows its functions all the same.
        let Ok(status) = serde_json::from_slice::<EngineStatus>(&page) else { return Ok(()) };
        let names: Vec<&str> = status.functions.iter().map(|function| function.name.as_str()).collect();
        if names.contains(&self.function.as_str()) {
            return Ok(());
        }
        let text = format!("there is no function {:?}; there are: {}", self.function, names.join(", "));
        Err(Exit::new(EXIT_BAD_INPUT, text))
    }

    fn show(&self, path: &Path) -> io::Result<()> {
        let (lines, log) = last_lines(path, self.lines)?;
        let mut out = io::stdout().lock();
        for line in &lines {
            out.write_all(line)?;
        }
        out.flush()?;
        if self.follow { log.follow(path, &mut out) } else { Ok(()) }
    }
}
