//! `nightcore logs`

use super::engine_client::ask;
use super::{EXIT_BAD_INPUT, EXIT_NO_ENGINE, Engine, Exit};
use crate::launcher::log_path;
use crate::observe::status::EngineStatus;
use hyper::Method;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often `-f` looks for more.
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);

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
        let mut lines: Vec<Vec<u8>> = Vec::new();
        let older: PathBuf = path.with_extension("log.1");
        let mut end = 0;
        for file in [&older, path] {
            let Ok(file) = File::open(file) else { continue };
            let mut reader = BufReader::new(file);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line)? > 0 {
                lines.push(std::mem::take(&mut line));
            }
            end = reader.stream_position()?;
        }
        let skipped = self.lines.map_or(0, |wanted| lines.len().saturating_sub(wanted));
        let mut out = io::stdout().lock();
        for line in &lines[skipped..] {
            out.write_all(line)?;
        }
        out.flush()?;
        if self.follow { follow(path, end, &mut out) } else { Ok(()) }
    }
}

/// Until the engine's directory is gone.
fn follow(path: &Path, mut end: u64, out: &mut impl Write) -> io::Result<()> {
    let mut bytes = Vec::new();
    while path.parent().is_some_and(Path::exists) {
        if let Ok(mut file) = File::open(path) {
            if file.metadata()?.len() < end {
                // Set aside and begun anew.
                end = 0;
            }
            file.seek(SeekFrom::Start(end))?;
            bytes.clear();
            end += file.read_to_end(&mut bytes)? as u64;
            out.write_all(&bytes)?;
            out.flush()?;
        }
        std::thread::sleep(FOLLOW_PAUSE);
    }
    Ok(())
}
