//! Compiles the C programs with `$CC`, or `cc`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

const FLAGS: [&str; 5] = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror"];

/// Compiles one program from the sources. `more` follows the sources on the compiler's command
/// line, so it may name libraries.
pub fn compile(sources: &[PathBuf], output: &Path, more: &[OsString]) -> Result<()> {
    let compiler =
        std::env::var("CC").ok().filter(|cc| !cc.trim().is_empty()).unwrap_or_else(|| "cc".into());
    // CC may be a command with arguments, such as "ccache gcc".
    let mut words = compiler.split_whitespace();
    let program = words.next().unwrap_or("cc");
    let result = Command::new(program)
        .args(words)
        .args(FLAGS)
        .arg("-o")
        .arg(output)
        .args(sources)
        .args(more)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run the C compiler `{compiler}`"))?;
    if !result.status.success() {
        let messages = String::from_utf8_lossy(&result.stderr);
        let first =
            messages.lines().find(|line| line.contains("error") || line.contains("undefined"));
        bail!(
            "`{compiler}` cannot build {}: {}",
            output.file_name().unwrap_or_default().display(),
            first.or_else(|| messages.lines().next()).unwrap_or("it said nothing")
        );
    }
    Ok(())
}
