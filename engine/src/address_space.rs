//! The limit on the address space of a process.

/// Whether the address space of a process has no limit (`ulimit -v`). False if the limit cannot be
/// read.
pub fn is_unlimited(pid: i32) -> bool {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits"));
    limits.is_ok_and(|limits| soft_limit(&limits) == Some("unlimited"))
}

/// Returns the soft limit: the first figure of the line about the address space.
fn soft_limit(limits: &str) -> Option<&str> {
    limits
        .lines()
        .find_map(|line| line.strip_prefix("Max address space"))?
        .split_whitespace()
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_limit_is_seen() {
        let sleeps = |limit: &str| {
            let command = format!("ulimit -v {limit} && echo ready && exec cat");
            let mut shell = Command::new("sh");
            shell.args(["-c", &command]).stdin(Stdio::piped()).stdout(Stdio::piped());
            shell.spawn().unwrap()
        };
        for (limit, expected) in [("unlimited", true), ("1000000", false)] {
            let mut process = sleeps(limit);
            let mut ready = [0; 6];
            std::io::Read::read_exact(process.stdout.as_mut().unwrap(), &mut ready).unwrap();
            assert_eq!(is_unlimited(process.id().cast_signed()), expected, "{limit}");
            drop(process.stdin.take());
            process.wait().unwrap();
        }
        assert!(!is_unlimited(1 << 22), "the kernel gives out no number as high");
    }
}
