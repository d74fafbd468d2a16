//! The program with the functions that are measured, in C.

use anyhow::{Context, Result, ensure};

use crate::compile::compile;
use crate::settings::Settings;

/// The functions that it registers; the engine runs one container for each.
const NAMES: [&str; 4] = ["Caller", "Echo", "Empty", "Three"];
const SOURCES: [&str; 4] = ["main.c", "caller.c", "echo.c", "three.c"];

/// A function of an engine.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// So many workers from the start to the end, if not as many as the engine finds right.
    pub workers: Option<usize>,
}

impl Function {
    /// With as many workers as the engine finds right.
    pub fn new(name: &str, command: Vec<String>) -> Function {
        Function { name: name.to_owned(), command, workers: None }
    }
}

/// Compiles the program, linked with the C library, as a user would.
pub fn build(settings: &Settings) -> Result<Vec<Function>> {
    let header = settings.include_dir.join("nightcore.h");
    ensure!(header.is_file(), "there is no {}", header.display());
    let output = settings.work_dir.join("functions");
    let sources = SOURCES.map(|name| settings.bench_dir.join("functions").join(name));
    let mut more = vec!["-I".into(), settings.include_dir.clone().into_os_string()];
    more.extend(settings.link.iter().cloned());
    compile(&sources, &output, &more)?;
    let program = output.to_str().context("the path of the functions is not UTF-8")?;
    Ok(NAMES.map(|name| Function::new(name, vec![program.into()])).into())
}
