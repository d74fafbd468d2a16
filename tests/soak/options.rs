//! The command line.

use std::time::Duration;

const USAGE: &str = "usage: nightcore-soak [--calls N] [--seed N] [--seconds N]

  --calls N    ends after so many calls; 1000000
  --seed N     which faults are done and which calls are made; the time of the day
  --seconds N  ends after so many seconds instead";

/// The default number of calls.
const DEFAULT_CALLS: u64 = 1_000_000;

/// The options of a run.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub calls: u64,
    pub seed: u64,
    /// Ends the run after this time, even if not all calls were made.
    pub time: Option<Duration>,
}

impl Options {
    /// Parses the command line. The error is a message for the user.
    pub fn read(words: impl Iterator<Item = String>) -> Result<Options, String> {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = now.map_or(1, |now| u64::from(now.subsec_nanos()));
        let mut options = Options { calls: DEFAULT_CALLS, seed, time: None };
        let mut words = words;
        while let Some(word) = words.next() {
            let number = words.next().and_then(|number| number.parse::<u64>().ok());
            let number = number.ok_or_else(|| format!("{word}: a number is missing\n{USAGE}"))?;
            match word.as_str() {
                "--calls" => options.calls = number,
                "--seed" => options.seed = number,
                "--seconds" => {
                    options.time = Some(Duration::from_secs(number));
                    options.calls = u64::MAX;
                }
                _ => return Err(USAGE.into()),
            }
        }
        Ok(options)
    }
}
