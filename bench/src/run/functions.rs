//! Builds the programs with the C functions that are measured.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::run::compile::compile;
use crate::run::settings::Settings;

/// The functions of the program that every engine runs, each in its own container.
const NAMES: [&str; 4] = ["Caller", "Echo", "Empty", "Three"];
const SOURCES: [&str; 6] = ["main.c", "caller.c", "echo.c", "three.c", "cancel.c", "overload.c"];

/// A function of an engine.
#[derive(Clone, Debug)]
pub struct Function {
    /// The function's name.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Further lines of the function's table in the configuration.
    pub lines: String,
}

impl Function {
    /// Creates a function with as many workers as the engine chooses.
    pub fn new(name: &str, command: Vec<String>) -> Function {
        Function { name: name.to_owned(), command, lines: String::new() }
    }
}

/// Compiles the program with the measured functions.
pub fn build(settings: &Settings) -> Result<Vec<Function>> {
    let program = build_program(settings, "functions", &SOURCES)?;
    Ok(NAMES.map(|name| Function::new(name, vec![program.clone()])).into())
}

/// Compiles the program for members of a crowd. Its argument is the name of a member.
pub fn build_crowd(settings: &Settings) -> Result<String> {
    build_program(settings, "crowd", &["crowd.c"])
}

/// Compiles the program for functions of the application. Its arguments are the name of a function
/// and the names of the functions that this function calls.
pub fn build_app(settings: &Settings) -> Result<String> {
    build_program(settings, "app", &["app.c"])
}

/// Compiles a program and links it with the C library, as a user would.
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
