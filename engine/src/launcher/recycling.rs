//! Decides when a container that works well is replaced, by `recycle` of the configuration.

use crate::config::{Recycle, format_duration, format_size};
use std::fmt;
use std::fs;
use std::time::Duration;

/// The resources that a container has used so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// The number of calls that it was given.
    pub calls: u64,
    /// The bytes of memory that it holds and does not share with other processes; `None` if
    /// unknown.
    pub memory_bytes: Option<u64>,
}

/// The bound that a container has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// The number of calls that it has run.
    Calls(u64),
    /// The bytes of memory that it holds.
    Memory(u64),
    /// The time since it became ready.
    Age(Duration),
}

/// Returns the bound that a container of this age has reached, if any.
pub fn reached(recycle: &Recycle, used: Used, age: Duration) -> Option<Reached> {
    let is_over = |bound: Option<u64>, used: u64| bound.is_some_and(|bound| used >= bound);
    if is_over(recycle.calls.map(u64::from), used.calls) {
        return Some(Reached::Calls(used.calls));
    }
    if let Some(bytes) = used.memory_bytes
        && is_over(recycle.memory_bytes, bytes)
    {
        return Some(Reached::Memory(bytes));
    }
    recycle.age.filter(|bound| age >= *bound).map(Reached::Age)
}

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reached::Calls(calls) => write!(f, "it has run {calls} calls"),
            Reached::Memory(bytes) => write!(f, "it holds {}", format_size(bytes & !0xf_ffff)),
            Reached::Age(age) => write!(f, "it is {} old", format_duration(*age)),
        }
    }
}

/// Returns the bytes of memory that a process holds and does not share with other processes; `None`
/// if there is no such process.
pub fn memory_of(pid: i32) -> Option<u64> {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = pages.split(' ').map(|word| word.parse::<u64>().ok());
    // The first three words are the total size, the resident pages, and the shared ones of these:
    // see proc_pid_statm(5).
    let (_, resident, shared) = (pages.next()??, pages.next()??, pages.next()??);
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok().flatten()?;
    Some(resident.saturating_sub(shared) * u64::try_from(page).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_replaced_when_it_has_reached_a_bound() {
        let used = Used { calls: 10, memory_bytes: Some(5 << 20) };
        let age = Duration::from_secs(60);
        let none = Recycle::default();
        assert_eq!(reached(&none, used, age), None);
        let calls = |calls| Recycle { calls: Some(calls), ..none };
        assert_eq!(reached(&calls(11), used, age), None);
        assert_eq!(reached(&calls(10), used, age), Some(Reached::Calls(10)));
        let memory = |bytes| Recycle { memory_bytes: Some(bytes), ..none };
        assert_eq!(reached(&memory(6 << 20), used, age), None);
        assert_eq!(reached(&memory(5 << 20), used, age), Some(Reached::Memory(5 << 20)));
        let old = |seconds| Recycle { age: Some(Duration::from_secs(seconds)), ..none };
        assert_eq!(reached(&old(61), used, age), None);
        assert_eq!(reached(&old(60), used, age), Some(Reached::Age(age)));
    }

    #[test]
    fn the_memory_of_a_process_is_its_own() {
        // Other tests of this process allocate and free memory meanwhile.
        let kept = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(memory_of(std::process::id() as i32) >= Some(64 << 20));
        drop(kept);
        assert_eq!(memory_of(i32::MAX), None);
    }
}
