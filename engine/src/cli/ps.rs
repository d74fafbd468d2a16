//! `nightcore ps`

use super::arguments::Engine;
use super::engine_client::ask_status;
use super::exit::Exit;
use super::log_file::last_lines;
use super::output::print;
use crate::engine_log::{indented, visible_json};
use crate::launcher::log_path;
use crate::observe::status::{EngineStatus, FunctionState};

#[derive(clap::Args)]
pub struct Ps {
    #[command(flatten)]
    engine: Engine,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Ps {
    pub fn run(self) -> Result<(), Exit> {
        let mut status = ask_status(&self.engine)?;
        let directory = self.engine.directory()?;
        let fails = |f: &&mut FunctionState| f.unavailable.is_some() || f.failing.is_some();
        for function in status.functions.iter_mut().filter(fails) {
            // If there is no log, no lines are shown.
            let lines = last_lines(&log_path(directory, &function.name), LAST_LINES);
            let text = |line: Vec<u8>| String::from_utf8_lossy(&line).trim_end().to_owned();
            function.last_output = lines.unwrap_or_default().into_iter().map(text).collect();
        }
        if self.json {
            let json = serde_json::to_string_pretty(&status).map_err(Exit::bad_input)?;
            return print(visible_json(&json).into_owned() + "\n");
        }
        print(text(&status))
    }
}

/// The number of output lines that are shown of a function whose processes do not start. It is
/// enough for the error messages of most programs.
const LAST_LINES: usize = 10;

const HEADINGS: [&str; 14] = [
    "FUNCTION", "EXTERNAL", "INTERNAL", "FAILED", "QUEUED", "RUNNING", "WAITING", "WORKERS",
    "RATE/S", "T_RUN", "TAU", "LIMIT", "RESTARTS", "PIDS",
];

fn text(status: &EngineStatus) -> String {
    let rows: Vec<[String; 14]> = status.functions.iter().map(row).collect();
    let mut widths = HEADINGS.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(widths).enumerate();
        let padded = cells.map(|(i, (cell, width))| match i {
            0 => format!("{cell:<width$}"),
            13 => (*cell).to_owned(),
            _ => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ") + "\n"
    };
    let (pid, address) = (status.pid, &status.address);
    let metrics =
        status.metrics.iter().map(|metrics| format!(", metrics at {metrics}")).collect::<String>();
    let mut text = format!(
        "engine {} (pid {pid}) at {address}{metrics}, {} arena payloads\n\n",
        status.version, status.arena_payloads
    );
    text.push_str(&line(HEADINGS.to_vec()));
    for row in &rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text.push('\n');
    for function in &status.functions {
        text.push_str(&format!("{}: limit {}: {}\n", function.name, function.limit, function.why));
        if let (Some(end), Some(ago_s)) = (&function.last_end, function.last_end_ago_s) {
            let ago = age(ago_s);
            text.push_str(&format!(
                "{}: the last process that ended did so {ago} ago by {end}\n",
                function.name
            ));
        }
        if function.retries > 0 {
            text.push_str(&format!("{}: calls sent again: {}\n", function.name, function.retries));
        }
        if let [last, ..] = &function.quarantined[..] {
            let (inputs, refused) = (function.quarantined.len(), function.quarantine_refused);
            text.push_str(&format!(
                "{}: inputs in quarantine: {inputs}, calls refused: {refused}; the last input ({}) \
                 was under way at {} deaths of its processes, and is refused for another {:.0} s\n",
                function.name, last.input, last.deaths, last.left_s
            ));
        }
        if let Some(reason) = &function.unavailable {
            let reason = indented(reason);
            text.push_str(&format!("{}: UNAVAILABLE: {reason}\n", function.name));
        } else if let Some(reason) = &function.failing {
            let reason = indented(reason);
            let name = &function.name;
            let what = if function.serving < function.generation {
                "its new processes do not come to be, the old ones serve on"
            } else {
                "some of its processes do not come to be, the others serve"
            };
            text.push_str(&format!("{name}: {what}: {reason}\n"));
        }
        for line in &function.last_output {
            text.push_str(&format!("{} | {line}\n", function.name));
        }
    }
    text
}

fn row(function: &FunctionState) -> [String; 14] {
    let pids: Vec<String> = function
        .processes
        .iter()
        .map(|p| if p.attached { format!("{} (attached)", p.pid) } else { p.pid.to_string() })
        .collect();
    [
        function.name.clone(),
        function.external.to_string(),
        function.internal.to_string(),
        function.failed.values().sum::<u64>().to_string(),
        function.queued.to_string(),
        function.running.to_string(),
        function.waiting.to_string(),
        if function.starting > 0 {
            format!("{}/{}+{}", function.busy, function.workers, function.starting)
        } else {
            format!("{}/{}", function.busy, function.workers)
        },
        format!("{:.1}", function.rate_per_s),
        duration(function.run_us),
        format!("{:.2}", function.tau),
        function.limit.to_string(),
        function.restarts.to_string(),
        pids.join(" "),
    ]
}

/// Formats how long ago something happened, for people.
fn age(s: f64) -> String {
    match s {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

/// Formats a duration, for people.
pub(super) fn duration(us: f64) -> String {
    match us {
        us if us < 1000.0 => format!("{us:.1}us"),
        us if us < 1_000_000.0 => format!("{:.1}ms", us / 1000.0),
        us => format!("{:.1}s", us / 1_000_000.0),
    }
}
