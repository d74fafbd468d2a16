//! The program with the functions that are measured.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::compile::compile;
use crate::settings::Settings;

/// The functions that it registers; the engine runs one container for each.
pub const NAMES: [&str; 4] = ["Caller", "Echo", "Empty", "Three"];
const SOURCES: [&str; 4] = ["main.c", "caller.c", "echo.c", "three.c"];

/// Compiles it, linked with the C library, as a user would.
pub fn build(settings: &Settings) -> Result<PathBuf> {
    let header = settings.include_dir.join("nightcore.h");
    ensure!(header.is_file(), "there is no {}", header.display());
    let output = settings.work_dir.join("functions");
    let sources = SOURCES.map(|name| settings.bench_dir.join("functions").join(name));
    let mut more = vec!["-I".into(), settings.include_dir.clone().into_os_string()];
    more.extend(settings.link.iter().cloned());
    compile(&sources, &output, &more)?;
    Ok(output)
}
