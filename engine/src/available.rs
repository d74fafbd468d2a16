//! Determines the memory that is available to this process: that of the machine, or less if its
//! control groups or its own limits allow less.

use nix::sys::resource::{Resource, getrlimit};
use std::fs;
use std::path::Path;

/// Returns the memory that is available to this process, in bytes; `None` if it cannot be
/// determined.
pub fn available_memory() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = limit_of_groups(&groups, Path::new("/sys/fs/cgroup"));
    let own = [Resource::RLIMIT_AS, Resource::RLIMIT_DATA];
    let own = own.into_iter().filter_map(|resource| Some(getrlimit(resource).ok()?.0));
    machine.into_iter().chain(groups).chain(own).min()
}

/// Reads the machine's memory, in bytes, from the text of `/proc/meminfo`.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_ascii_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns the least limit of the control groups that a process is in, by the text of its
/// `/proc/PID/cgroup`. Control groups are mounted at `mounted`. A process in a container may not
/// see the groups above the container's own, and its path may not exist below `mounted`. In that
/// case only the groups that exist count.
fn limit_of_groups(groups: &str, mounted: &Path) -> Option<u64> {
    let limits = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => (mounted.to_owned(), "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (mounted.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let group = root.join(path.trim_start_matches('/'));
        // A limit also applies to all groups below.
        let above = group.ancestors().take_while(|folder| folder.starts_with(&root));
        // "max" stands for no limit, and does not parse as a number.
        let limits = above.filter_map(|folder| {
            fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok()
        });
        limits.min()
    });
    limits.min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_least_limit_above_counts_in_either_version() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "a/memory.max", "3000\n");
        write(root, "a/b/memory.max", "max\n");
        write(root, "memory/memory.limit_in_bytes", "9223372036854771712\n");
        write(root, "memory/c/memory.limit_in_bytes", "2000\n");
        for (groups, expected) in [
            ("0::/a/b\n", Some(3000)),
            ("0::/a\n", Some(3000)),
            ("0::/\n", None),
            ("0::/not/there\n", None),
            ("5:cpu,memory:/c\n0::/a/b\n", Some(2000)),
            ("5:memory:/elsewhere\n", Some(9_223_372_036_854_771_712)),
            ("5:cpu:/c\n", None),
            ("", None),
        ] {
            assert_eq!(limit_of_groups(groups, root), expected, "{groups:?}");
        }
    }

    #[test]
    fn the_machine_s_memory_is_known() {
        assert_eq!(total("MemTotal:       24689172 kB\nMemFree: 1 kB\n"), Some(24_689_172 << 10));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!(available_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
