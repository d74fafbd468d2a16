//! The options of a run.

use crate::cases::{CASES, Case};
use crate::languages::{LANGUAGES, Language};
use crate::pairs::{PAIRS, Pair};
use harness::RINGS_ONLY;

const USAGE: &str = "usage: tests/conformance/run.sh [--languages NAME,...] [--cases NAME,...] \
                     [--channel NAME,...] [--list]
`pairs` among the cases stands for every pair of caller and callee, over the first channel.
Without --channel it runs over ring and fifo";

/// The kinds of channels.
const CHANNELS: [&str; 3] = ["ring", "fifo", RINGS_ONLY];
/// Without `--channel`, the cases run over this many of [`CHANNELS`], from the first.
const USUAL_CHANNELS: usize = 2;

/// The cases to run, and the languages and channels to run them with.
pub struct Options {
    /// The kinds of channels. The cases run over each of them in turn.
    pub channels: Vec<&'static str>,
    pub languages: Vec<&'static Language>,
    pub cases: Vec<&'static Case>,
    pub pairs: Vec<&'static Pair>,
}

impl Options {
    /// Returns the options of the command line. With `--list` it prints the names instead and
    /// returns `None`.
    pub fn read() -> Result<Option<Options>, String> {
        let mut options = Options {
            channels: CHANNELS[..USUAL_CHANNELS].to_vec(),
            languages: LANGUAGES.iter().collect(),
            cases: CASES.iter().collect(),
            pairs: PAIRS.iter().collect(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--languages" => {
                    options.languages =
                        chosen(arguments.next(), &LANGUAGES, |l| l.name, "language")?;
                }
                "--cases" => {
                    let names = arguments.next().ok_or(USAGE)?;
                    let (pairs, cases): (Vec<&str>, Vec<&str>) =
                        names.split(',').partition(|n| *n == "pairs");
                    options.cases = if cases.is_empty() {
                        Vec::new()
                    } else {
                        chosen(Some(cases.join(",")), CASES, |case| case.name, "case")?
                    };
                    if pairs.is_empty() {
                        options.pairs.clear();
                    }
                }
                "--channel" => {
                    let channels = chosen(arguments.next(), &CHANNELS, |name| name, "channel")?;
                    options.channels = channels.into_iter().copied().collect();
                }
                "--list" => {
                    println!("{}", list());
                    return Ok(None);
                }
                _ => return Err(USAGE.into()),
            }
        }
        Ok(Some(options))
    }
}

fn chosen<T>(
    names: Option<String>,
    all: &'static [T],
    name_of: fn(&T) -> &'static str,
    what: &str,
) -> Result<Vec<&'static T>, String> {
    let names = names.ok_or(USAGE)?;
    let find = |name: &str| {
        let found = all.iter().find(|one| name_of(one) == name);
        let known: Vec<&str> = all.iter().map(name_of).collect();
        found.ok_or_else(|| format!("there is no {what} {name:?}; there are: {}", known.join(", ")))
    };
    names.split(',').map(find).collect()
}

fn list() -> String {
    let languages: Vec<&str> = LANGUAGES.iter().map(|language| language.name).collect();
    let cases: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    let pairs: Vec<&str> = PAIRS.iter().map(|pair| pair.name).collect();
    format!(
        "languages: {}\ncases: {}\npairs: {}\nchannels: {}",
        languages.join(", "),
        cases.join(", "),
        pairs.join(", "),
        CHANNELS.join(", ")
    )
}
