//! Reads the resident memory of one process.

use std::fs;

use anyhow::{Context, Result};

/// Returns the resident set, in MB (10⁶ bytes).
pub fn resident_mb(pid: i32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))
        .with_context(|| format!("cannot read the memory of process {pid}"))?;
    parse_resident_mb(&status).with_context(|| format!("process {pid} has no resident memory"))
}

fn parse_resident_mb(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_found() {
        assert_eq!(
            parse_resident_mb("Name:\tx\nVmRSS:\t    1000 kB\nRssAnon:\t 1 kB\n"),
            Some(1.024)
        );
        assert_eq!(parse_resident_mb("Name:\tx\n"), None);
    }
}
