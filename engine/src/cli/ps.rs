//! `nightcore ps`

use super::engine_client::ask_status;
use super::{Engine, Exit};
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
        let status = ask_status(&self.engine)?;
        if self.json {
            println!("{}", serde_json::to_string_pretty(&status).unwrap_or_default());
        } else {
            print!("{}", text(&status));
        }
        Ok(())
    }
}

const HEADINGS: [&str; 14] = [
    "FUNCTION", "EXTERNAL", "INTERNAL", "FAILED", "QUEUED", "RUNNING", "WAITING", "WORKERS", "RATE/S",
    "T_RUN", "TAU", "LIMIT", "RESTARTS", "PIDS",
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
    let mut text = format!(
        "engine {} (pid {pid}) at {address}, {} arena payloads\n\n",
        status.version, status.arena_payloads
    );
    text.push_str(&line(HEADINGS.to_vec()));
    for row in &rows {
        text.push_str(&line(row.iter().map(String::as_str).collect()));
    }
    text.push('\n');
    for function in &status.functions {
        text.push_str(&format!("{}: limit {}: {}\n", function.name, function.limit, function.why));
        if let Some(end) = &function.last_end {
            text.push_str(&format!("{}: the last process that ended did so by {end}\n", function.name));
        }
        if let Some(reason) = &function.unavailable {
            text.push_str(&format!("{}: UNAVAILABLE: {reason}\n", function.name));
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
            format!("{}+{}", function.workers, function.starting)
        } else {
            function.workers.to_string()
        },
        format!("{:.1}", function.rate_per_s),
        duration(function.run_us),
        format!("{:.2}", function.tau),
        function.limit.to_string(),
        function.restarts.to_string(),
        pids.join(" "),
    ]
}

/// As a person reads it.
pub(super) fn duration(us: f64) -> String {
    match us {
        us if us < 1000.0 => format!("{us:.1}us"),
        us if us < 1_000_000.0 => format!("{:.1}ms", us / 1000.0),
        us => format!("{:.1}s", us / 1_000_000.0),
    }
}
