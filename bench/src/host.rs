//! What the host of a virtual machine took from its cores while they had something to run.

use std::fs;

use crate::report::Report;

/// From here on figures are of the host as well: threads that look for a message are stopped in the
/// middle of it, and those that wait for them wait for the host.
const STOLEN_PERCENT: f64 = 2.0;

/// Ticks of all cores since the boot.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticks {
    stolen: u64,
    all: u64,
}

impl Ticks {
    /// Those of now; `None` if `/proc/stat` cannot be read.
    pub fn now() -> Option<Ticks> {
        parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// Adds the share that was taken since to the report, and says so if it was much.
    pub fn tell(self, report: &mut Report) -> Option<String> {
        let percent = percent_between(self, Ticks::now()?);
        report.add("machine.stolen_percent", percent);
        (percent > STOLEN_PERCENT).then(|| {
            format!(
                "NOTE: the host took {percent:.0} % of the cores' time during this run; \
                 trust no figure of it, and measure again"
            )
        })
    }
}

fn parse(text: &str) -> Option<Ticks> {
    let line = text.lines().next()?.strip_prefix("cpu ")?;
    // user nice system idle iowait irq softirq steal; guest times are in user already.
    let ticks: Vec<u64> =
        line.split_whitespace().take(8).map(|word| word.parse().unwrap_or(0)).collect();
    Some(Ticks { stolen: *ticks.get(7)?, all: ticks.iter().sum() })
}

fn percent_between(before: Ticks, after: Ticks) -> f64 {
    let all = after.all.saturating_sub(before.all) as f64;
    let stolen = after.stolen.saturating_sub(before.stolen) as f64;
    if all == 0.0 { 0.0 } else { 100.0 * stolen / all }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_eighth_number_is_what_the_host_took() {
        let before = parse("cpu  10 0 10 60 10 0 0 10 5 5\ncpu0 …").unwrap();
        let after = parse("cpu  20 0 15 120 10 0 0 35 5 5\n").unwrap();
        assert_eq!((before.all, after.all), (100, 200));
        assert_eq!(percent_between(before, after), 25.0);
        assert_eq!(percent_between(after, after), 0.0);
    }
}
