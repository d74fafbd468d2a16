//! Measures small calls beside an idle crowd: other functions, workers or connections. Idle
//! functions, workers and connections must cost nothing.
//!
//! All processes, including the clients, run on one core, because the kernel's placement of
//! processes would make a larger difference than a crowd.

use std::net::TcpStream;

use anyhow::{Context, Result};
use nightcore_load::http;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::calls::load::Load;
use crate::calls::load_rounds::LoadRounds;
use crate::calls::pairs::median_ratio;
use crate::calls::self_timed::{Calls, Rounds};
use crate::measure::external::{BODY, EMPTY_PATH, MAX_CALLS};
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::functions::{self, Function};
use crate::run::settings::{Pinned, Settings};

/// The sizes of a crowd. Only the ratio for the last size has a bar.
pub const SIZES: [usize; 2] = [100, 1000];
/// All kinds of crowd.
pub const KINDS: [Kind; 3] = [Kind::Functions, Kind::Workers, Kind::Connections];
/// All calls that are measured beside the crowds.
pub const CASES: [Case; 3] =
    [Case::Internal(Channel::Fifo), Case::Internal(Channel::Ring), Case::External];
/// The bar: beside a crowd, a call takes at most this multiple of the time that it takes alone.
const RATIO_BAR: f64 = 1.2;
const INTERNAL_BYTES: usize = 16;

/// The members of a crowd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Other functions, each with its own process.
    Functions,
    /// Idle workers of one other function.
    Workers,
    /// Connections of clients that send no requests.
    Connections,
}

impl Kind {
    /// Returns the name for the keys of the report.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Functions => "functions",
            Kind::Workers => "workers",
            Kind::Connections => "connections",
        }
    }

    /// Returns the functions that the engine runs besides the measured ones.
    fn functions(self, program: &str, size: usize) -> Vec<Function> {
        let member = |name: &str| Function::new(name, vec![program.to_owned(), name.to_owned()]);
        match self {
            Kind::Functions => (0..size).map(|index| member(&format!("Crowd{index}"))).collect(),
            Kind::Workers => {
                let lines = format!("workers = {{ min = {size}, max = {size} }}\n");
                vec![Function { lines, ..member("Crowd") }]
            }
            Kind::Connections => Vec::new(),
        }
    }

    /// Opens the connections of the crowd, if it consists of connections. Each round opens new
    /// connections, because the gateway closes idle ones.
    fn connect(self, engine: &Engine, size: usize) -> Result<Vec<TcpStream>> {
        match self {
            Kind::Connections => (0..size).map(|_| http::connect(engine.address())).collect(),
            Kind::Functions | Kind::Workers => Ok(Vec::new()),
        }
    }
}

/// The calls that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// An internal call from C to C, with 16 bytes.
    Internal(Channel),
    /// An external call, over one connection.
    External,
}

impl Case {
    /// Returns the name for the keys of the report.
    pub fn name(self) -> &'static str {
        match self {
            Case::Internal(Channel::Fifo) => "internal.fifo",
            Case::Internal(Channel::Ring) => "internal.ring",
            Case::Internal(Channel::Default) => "internal.default",
            Case::External => "external",
        }
    }
}

/// Returns the key for the time of a call beside a crowd of that size, as a multiple of its time
/// alone.
pub fn ratio_key(kind: Kind, case: Case, size: usize) -> String {
    let (kind, case) = (kind.name(), case.name());
    match size {
        size if Some(&size) == SIZES.last() => format!("crowd.{kind}.{case}.ratio"),
        size => format!("crowd.{kind}.{case}.at_{size}.ratio"),
    }
}

/// Measures `crowd.*`.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)
        .context("cannot raise the limit of open files")?;
    let program = functions::build_crowd(settings)?;
    for kind in KINDS {
        if !settings.wants(&format!("crowd.{}", kind.name())) {
            continue;
        }
        let mut worst_internal = f64::NAN;
        for (case, size) in CASES.iter().flat_map(|case| SIZES.map(|size| (*case, size))) {
            let key = ratio_key(kind, case, size);
            if !settings.wants(&key) {
                continue;
            }
            let crowd = kind.functions(&program, size);
            let ratio = beside(settings, functions, kind, crowd, case, size)?;
            match case {
                _ if Some(&size) != SIZES.last() => report.add_detail(&key, ratio),
                Case::External => report.add_with_bar(&key, ratio, RATIO_BAR),
                Case::Internal(_) => {
                    worst_internal = worst_internal.max(ratio);
                    report.add(&key, ratio);
                }
            }
        }
        if !worst_internal.is_nan() {
            report.add_with_bar(
                &format!("crowd.{}.internal.ratio", kind.name()),
                worst_internal,
                RATIO_BAR,
            );
        }
    }
    Ok(())
}

/// Measures an engine without a crowd and an engine with the crowd in turn. Returns the median of
/// the ratios of their p50 values.
fn beside(
    settings: &Settings,
    functions: &[Function],
    kind: Kind,
    crowd: Vec<Function>,
    case: Case,
    size: usize,
) -> Result<f64> {
    let placement = settings.one_core();
    let channel = match case {
        Case::Internal(channel) => channel,
        Case::External => Channel::Default,
    };
    let alone = Engine::start(settings, functions, placement, channel)?;
    let crowded = Engine::start(settings, &[functions, &crowd].concat(), placement, channel)?;
    let time = settings.effort.crowd_round;
    let pinned = Pinned::to(placement)?;
    let ratio = match case {
        Case::Internal(_) => {
            let mut of_alone = Rounds::new(Calls::in_c(&alone, INTERNAL_BYTES), time)?;
            let mut of_crowded = Rounds::new(Calls::in_c(&crowded, INTERNAL_BYTES), time)?;
            for _ in 0..settings.effort.crowd_rounds {
                of_alone.run()?;
                let _connections = kind.connect(&crowded, size)?;
                of_crowded.run()?;
            }
            median_ratio(&of_crowded.p50_us, &of_alone.p50_us)
        }
        Case::External => {
            let load = |engine: &Engine| Load {
                address: engine.address(),
                path: EMPTY_PATH,
                body: BODY,
                connections: 1,
                max_calls: MAX_CALLS,
                max_time: time,
            };
            let (mut of_alone, mut of_crowded) = (LoadRounds::default(), LoadRounds::default());
            for _ in 0..settings.effort.crowd_rounds {
                of_alone.run(&load(&alone), &[])?;
                let _connections = kind.connect(&crowded, size)?;
                of_crowded.run(&load(&crowded), &[])?;
            }
            median_ratio(&of_crowded.p50_us, &of_alone.p50_us)
        }
    };
    drop(pinned);
    crowded.stop()?;
    alone.stop()?;
    Ok(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_size_has_the_plain_key() {
        let case = Case::Internal(Channel::Ring);
        assert_eq!(ratio_key(Kind::Workers, case, 1000), "crowd.workers.internal.ring.ratio");
        assert_eq!(
            ratio_key(Kind::Functions, Case::External, 100),
            "crowd.functions.external.at_100.ratio"
        );
    }
}
