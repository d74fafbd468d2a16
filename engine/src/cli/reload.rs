//! `nightcore reload`

use super::arguments::{Engine, check_name};
use super::engine_client::{ask, ask_status};
use super::exit::{EXIT_BAD_INPUT, EXIT_CALL_FAILED, EXIT_NO_ENGINE, Exit};
use super::http::PageRequest;
use super::output::print;
use crate::engine_log::indented;
use crate::reload::{Changes, Forced};
use hyper::Method;
use hyper::header::HeaderMap;
use nightcore_runtime::stderr::write_stderr;
use std::time::Duration;

/// The time between two checks whether the new processes serve.
const PAUSE: Duration = Duration::from_millis(10);

#[derive(clap::Args)]
pub struct Reload {
    #[command(flatten)]
    engine: Engine,
    /// Functions to restart in any case; other functions are restarted if their table, or a file
    /// that their command names, has changed
    #[arg(value_name = "FUNCTION")]
    functions: Vec<String>,
    /// Restart all functions
    #[arg(long)]
    all: bool,
    /// Do not wait until the new processes serve
    #[arg(long)]
    no_wait: bool,
}

impl Reload {
    pub fn run(self) -> Result<(), Exit> {
        for name in &self.functions {
            check_name(name)?;
        }
        let forced = Forced { all: self.all, functions: self.functions };
        let forced = serde_json::to_vec(&forced).map_err(Exit::bad_input)?;
        let asked = PageRequest {
            method: Method::POST,
            page: "/reload".to_owned(),
            headers: HeaderMap::new(),
            body: forced,
        };
        let page = ask(&self.engine, asked)?;
        let changes: Result<Changes, String> =
            serde_json::from_slice(page.body()).map_err(|error| {
                Exit::new(EXIT_NO_ENGINE, format!("the engine is of another version: {error}"))
            })?;
        let changes = changes.map_err(|error| Exit::new(EXIT_BAD_INPUT, format!("\n{error}")))?;
        for warning in &changes.warnings {
            write_stderr(format_args!("nightcore: {warning}"));
        }
        let printed = print(format!("{changes}\n"));
        if !self.no_wait {
            wait(&self.engine, &changes)?;
        }
        printed
    }
}

/// Waits until every function that was started serves, or has failed to start.
fn wait(engine: &Engine, changes: &Changes) -> Result<(), Exit> {
    let mut left: Vec<&String> = changes.added.iter().chain(&changes.restarted).collect();
    let mut failed = Vec::new();
    loop {
        let status = ask_status(engine)?;
        left.retain(|name| {
            let Some(function) = status.functions.iter().find(|function| function.name == **name)
            else {
                return false; // Another reload has removed it.
            };
            if let Some(reason) = function.failing.as_ref().or(function.unavailable.as_ref()) {
                let others = if function.serving < function.generation {
                    "; the processes that it had serve on"
                } else if function.containers.ready > 0 {
                    "; its other processes serve"
                } else {
                    ""
                };
                failed.push(format!("{name}: {}{others}", indented(reason)));
                return false;
            }
            function.serving < function.generation || function.containers.ready == 0
        });
        if left.is_empty() {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    if failed.is_empty() { Ok(()) } else { Err(Exit::new(EXIT_CALL_FAILED, failed.join("\n"))) }
}
