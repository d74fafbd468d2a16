//! `nightcore logs`

use super::arguments::Engine;
use super::engine_client::ask;
use super::exit::{EXIT_BAD_INPUT, Exit};
use super::http::get;
use super::log_file::{Entry, LogFile, lines};
use super::output::{Output, written};
use crate::engine_log::{visible, visible_json};
use crate::launcher::{log_path, logged};
use crate::observe::status::EngineStatus;
use nightcore_runtime::protocol::CallId;
use serde_json::json;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The time between two checks for new lines.
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);

#[derive(clap::Args)]
pub struct Logs {
    #[command(flatten)]
    engine: Engine,
    /// The function; without it all of them
    function: Option<String>,
    /// Show only what is about the call with this id, and about all calls below it
    #[arg(long, value_name = "ID")]
    call: Option<CallId>,
    /// Show what is printed from now on, too
    #[arg(short, long)]
    follow: bool,
    /// Show only the last N lines
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Write a JSON object a line: time, function, pid, call, line
    #[arg(long)]
    json: bool,
}

/// The log of a function.
struct FunctionLog {
    function: String,
    file: LogFile,
}

/// Why the command stops.
enum EndOfLogs {
    /// A log cannot be read.
    Unreadable(PathBuf, io::Error),
    /// Standard output cannot be written to.
    Unwritable(io::Error),
}

impl From<io::Error> for EndOfLogs {
    fn from(error: io::Error) -> EndOfLogs {
        EndOfLogs::Unwritable(error)
    }
}

impl Logs {
    pub fn run(self) -> Result<(), Exit> {
        let directory = self.engine.directory_of_logs()?;
        if let Some(name) = &self.function
            && !log_path(directory, name).exists()
        {
            self.check_name(name)?;
        }
        match self.show(directory) {
            Ok(()) => Ok(()),
            Err(EndOfLogs::Unreadable(path, error)) => {
                Err(Exit::new(EXIT_BAD_INPUT, format!("cannot read {}: {error}", path.display())))
            }
            Err(EndOfLogs::Unwritable(error)) => written(Err(error)),
        }
    }

    /// Refuses the name of a function that does not exist. A function that has printed nothing has
    /// no log.
    fn check_name(&self, name: &str) -> Result<(), Exit> {
        let page = ask(&self.engine, get("/status"))?;
        // The status of an engine of another version may not parse; its functions may exist all the
        // same.
        let status = serde_json::from_slice::<EngineStatus>(page.body());
        let Ok(status) = status else { return Ok(()) };
        let names: Vec<&str> =
            status.functions.iter().map(|function| function.name.as_str()).collect();
        if names.contains(&name) {
            return Ok(());
        }
        let text = format!("there is no function {name:?}; there are: {}", names.join(", "));
        Err(Exit::new(EXIT_BAD_INPUT, text))
    }

    /// Returns the functions whose logs are to be shown and are not in `logs` yet.
    fn others(&self, directory: &Path, logs: &[FunctionLog]) -> Vec<String> {
        let names =
            self.function.as_ref().map_or_else(|| logged(directory), |name| vec![name.clone()]);
        names.into_iter().filter(|name| logs.iter().all(|log| log.function != *name)).collect()
    }

    fn show(&self, directory: &Path) -> Result<(), EndOfLogs> {
        let (mut logs, mut shown) = (Vec::new(), Vec::new());
        for function in self.others(directory, &[]) {
            let path = log_path(directory, &function);
            let read = lines(&path).map_err(|error| EndOfLogs::Unreadable(path, error));
            let (lines, file) = read?;
            let wanted = lines.into_iter().filter(|line| self.wants(line));
            shown.extend(wanted.map(|line| (function.clone(), line)));
            logs.push(FunctionLog { function, file });
        }
        // The lines of one function are in order already, even if the clock was changed.
        if logs.len() > 1 {
            shown.sort_by(|(_, a), (_, b)| time(a).cmp(time(b)));
        }
        let skipped = self.lines.map_or(0, |most| shown.len().saturating_sub(most));
        let mut out = BufWriter::new(Output);
        for (function, line) in &shown[skipped..] {
            self.write(&mut out, function, line)?;
        }
        out.flush()?;
        if self.follow { self.follow(directory, logs, &mut out) } else { Ok(()) }
    }

    /// Shows new lines until the engine's directory or the reader is gone.
    fn follow(
        &self,
        directory: &Path,
        mut logs: Vec<FunctionLog>,
        out: &mut BufWriter<Output>,
    ) -> Result<(), EndOfLogs> {
        while !out.get_ref().is_closed() {
            let is_there = directory.exists();
            for function in self.others(directory, &logs) {
                logs.push(FunctionLog { function, file: LogFile::default() });
            }
            for FunctionLog { function, file } in &mut logs {
                let path = log_path(directory, function);
                let more = file.more(&path).map_err(|error| EndOfLogs::Unreadable(path, error))?;
                for line in more.iter().filter(|line| self.wants(line)) {
                    self.write(out, function, line)?;
                }
            }
            out.flush()?;
            if !is_there {
                break;
            }
            std::thread::sleep(FOLLOW_PAUSE);
        }
        Ok(())
    }

    fn wants(&self, line: &[u8]) -> bool {
        self.call.is_none() || Entry::parse(line).is_some_and(|entry| entry.call == self.call)
    }

    fn write(&self, out: &mut impl Write, function: &str, line: &[u8]) -> io::Result<()> {
        if self.json {
            let Some(Entry { time, pid, call, text }) = Entry::parse(line) else { return Ok(()) };
            let (time, text) = (String::from_utf8_lossy(time), String::from_utf8_lossy(text));
            let call = call.map(|call| call.to_string());
            let object =
                json!({"time": time, "function": function, "pid": pid, "call": call, "line": text});
            return writeln!(out, "{}", visible_json(&object.to_string()));
        }
        if self.function.is_none() {
            write!(out, "{function} | ")?;
        }
        if Output.is_terminal() { out.write_all(&visible(line)) } else { out.write_all(line) }
    }
}

/// Returns the time of a line, in a form that sorts by time.
fn time(line: &[u8]) -> &[u8] {
    line.split(|byte| *byte == b' ').next().unwrap_or_default()
}
