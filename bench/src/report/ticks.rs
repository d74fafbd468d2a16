//! Reads from `/proc/stat` how much time all cores were busy, idle, or taken by the host.

use std::fs;

/// The clock ticks of all cores since the machine booted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticks {
    /// Busy ticks, including those that the host of a virtual machine took.
    pub busy: u64,
    idle: u64,
    stolen: u64,
}

impl Ticks {
    /// Returns the ticks until now, or `None` if `/proc/stat` cannot be read.
    pub fn now() -> Option<Ticks> {
        Ticks::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(text: &str) -> Option<Ticks> {
        let line = text.lines().next()?.strip_prefix("cpu ")?;
        // The fields are: user nice system idle iowait irq softirq steal. The user time already
        // includes the guest times.
        let ticks: Vec<u64> =
            line.split_whitespace().take(8).map(|word| word.parse().unwrap_or(0)).collect();
        let idle = ticks.get(3)? + ticks.get(4)?;
        Some(Ticks { busy: ticks.iter().sum::<u64>() - idle, idle, stolen: *ticks.get(7)? })
    }

    /// Returns the share of the time since `before` in which cores were busy, in per cent.
    pub fn busy_percent_since(self, before: Ticks) -> f64 {
        self.percent_since(before, self.busy.saturating_sub(before.busy))
    }

    /// Returns the share of the time since `before` that the host of a virtual machine took from
    /// cores that had something to run, in per cent.
    pub fn stolen_percent_since(self, before: Ticks) -> f64 {
        self.percent_since(before, self.stolen.saturating_sub(before.stolen))
    }

    fn percent_since(self, before: Ticks, part: u64) -> f64 {
        let all = (self.busy + self.idle).saturating_sub(before.busy + before.idle) as f64;
        if all == 0.0 { 0.0 } else { 100.0 * part as f64 / all }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_idle_and_the_eighth_number_is_stolen() {
        let before = Ticks::parse("cpu  10 0 10 100 20 0 0 0 0 0\ncpu0 …").unwrap();
        let after = Ticks::parse("cpu  20 0 10 130 25 0 0 5 0 0\n").unwrap();
        assert_eq!((before.busy, before.idle, after.busy, after.idle), (20, 120, 35, 155));
        assert_eq!(after.busy_percent_since(before), 30.0);
        assert_eq!(after.stolen_percent_since(before), 10.0);
        assert_eq!(after.stolen_percent_since(after), 0.0);
    }
}
