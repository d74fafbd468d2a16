//! The programs that `prepare.sh` has built.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, ensure};

use crate::run::settings::Settings;

/// Returns the command of a program. If the program could not be built here, prints a message and
/// returns `None`.
pub fn command(settings: &Settings, folder: &str, name: &str) -> Result<Option<Vec<String>>> {
    let path = settings.work_dir.join(folder).join(format!("{name}.command"));
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            eprintln!("skipped: {name}, as bench/prepare.sh has not built it");
            return Ok(None);
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let words: Vec<String> = text.lines().map(str::to_owned).collect();
    ensure!(!words.is_empty(), "{} names no command", path.display());
    Ok(Some(words))
}
