//! The program with the functions that are measured, in C.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::compile::compile;
use crate::settings::Settings;

/// The functions of it that every engine runs, a container for each.
const NAMES: [&str; 4] = ["Caller", "Echo", "Empty", "Three"];
const SOURCES: [&str; 6] = ["main.c", "caller.c", "echo.c", "three.c", "cancel.c", "overload.c"];

/// A function of an engine.
#[derive(Clone, Debug)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Lines of the configuration that say more about it.
    pub lines: String,
}

impl Function {
    /// With as many workers as the engine finds right.
    pub fn new(name: &str, command: Vec<String>) -> Function {
        Function { name: name.to_owned(), command, lines: String::new() }
    }
}

/// Compiles the program with them.
pub fn build(settings: &Settings) -> Result<Vec<Function>> {
    let program = build_program(settings, "functions", &SOURCES)?;
    Ok(NAMES.map(|name| Function::new(name, vec![program.clone()])).into())
}

/// Compiles the program that becomes one of a crowd, with a name as its argument.
pub fn build_crowd(settings: &Settings) -> Result<String> {
    build_program(settings, "crowd", &["crowd.c"])
}

/// Compiles the program that becomes a function of the app, with its name and those that it calls as
/// its arguments.
pub fn build_app(settings: &Settings) -> Result<String> {
    build_program(settings, "app", &["app.c"])
}

/// Linked with the C library, as a user would.
fn build_program(settings: &Settings, name: &str, sources: &[&str]) -> Result<String> {
    let header = settings.include_dir.join("nightcore.h");
    ensure!(header.is_file(), "there is no {}", header.display());
    let output = settings.work_dir.join(name);
    let sources: Vec<PathBuf> =
        sources.iter().map(|name| settings.bench_dir.join("functions").join(name)).collect();
    let mut more = vec!["-I".into(), settings.include_dir.clone().into_os_string()];
    more.extend(settings.link.iter().cloned());
    compile(&sources, &output, &more)?;
    Ok(output.to_str().context("the path of the functions is not UTF-8")?.to_owned())
}
