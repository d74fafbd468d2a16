//! Every language: internal calls to and from C, and external calls, beside what people use today.

use std::time::Duration;

use anyhow::Result;

use crate::calls::{Calls, Samples};
use crate::engine::Engine;
use crate::functions::Function;
use crate::load::{self, Load};
use crate::pairs::{Pairs, median};
use crate::peers::Peer;
use crate::prepared;
use crate::report::Report;
use crate::settings::{Placement, Settings};

/// A language: its key, the name of its functions, and how its internal calls may compare with those of C.
struct Language {
    key: &'static str,
    name: &'static str,
    ratio_bar: Option<f64>,
    /// How often its external rate should be that of a peer.
    peers: &'static [(&'static str, f64)],
}

const LANGUAGES: [Language; 6] = [
    Language { key: "cpp", name: "Cpp", ratio_bar: None, peers: &[] },
    Language { key: "rust", name: "Rust", ratio_bar: None, peers: &[] },
    Language { key: "go", name: "Go", ratio_bar: Some(1.5), peers: &[("net_http", 0.7)] },
    Language { key: "python", name: "Python", ratio_bar: Some(1.5), peers: PYTHON_PEERS },
    Language { key: "asyncio", name: "Asyncio", ratio_bar: Some(2.5), peers: PYTHON_PEERS },
    Language {
        key: "node",
        name: "Node",
        ratio_bar: Some(2.0),
        peers: &[("express", 2.0), ("node_http", 0.0)],
    },
];
const PYTHON_PEERS: &[(&str, f64)] = &[("fastapi", 1.5), ("starlette", 1.0)];
const PEERS: [&str; 5] = ["fastapi", "starlette", "express", "node_http", "net_http"];

const BYTES: usize = 16;
const BODY: &[u8] = &[b'x'; BYTES];
const CONNECTIONS: usize = 64;
/// Beyond any rate that a machine of this kind reaches in the time of a run.
const MAX_CALLS: u64 = 5_000_000;
/// Each load runs for this share of its time before it is measured.
const WARM_UP_SHARE: u32 = 4;

/// Measures `lang.*` and `peer.*`, unpinned, of those languages and peers that could be built here.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let mut functions = functions.to_vec();
    let mut languages = Vec::new();
    for language in LANGUAGES {
        let Some(command) = prepared::command(settings, "workers", language.key)? else { continue };
        for role in ["Echo", "Caller"] {
            let name = format!("{role}{}", language.name);
            functions.push(Function { command: [command.clone(), vec![name.clone()]].concat(), name });
        }
        languages.push(language);
    }
    let engine = Engine::start(settings, &functions, Placement::Unpinned)?;
    for language in &languages {
        internal(settings, &engine, language, report)?;
    }
    external(settings, &engine, &languages, report)?;
    engine.stop()
}

/// Alternates calls of C by C with those of one direction.
fn internal(settings: &Settings, engine: &Engine, language: &Language, report: &mut Report) -> Result<()> {
    let half = settings.effort.half_language_pair;
    let (caller, target) = (format!("Caller{}", language.name), format!("Echo{}", language.name));
    let base = Calls { engine, caller: "Caller", target: "Echo", bytes: BYTES };
    for (direction, calls) in
        [("to_c", Calls { caller: &caller, ..base }), ("from_c", Calls { target: &target, ..base })]
    {
        let key = format!("lang.{}.{direction}.fifo.16B", language.key);
        if !settings.wants(&key) {
            continue;
        }
        let (base_size, size) = (base.size_for(half)?, calls.size_for(half)?);
        let mut all = Vec::new();
        let pairs = Pairs::alternate(
            settings.effort.language_pairs,
            || Ok(base.run(base_size)?.quantile_us(50)),
            || {
                let samples = calls.run(size)?;
                all.extend_from_slice(&samples.0);
                Ok(samples.quantile_us(50))
            },
        )?;
        report.add(&format!("{key}.p50_us"), Samples::sorted(all).quantile_us(50));
        match language.ratio_bar {
            Some(bar) => report.add_with_bar(&format!("{key}.ratio_to_c"), pairs.ratio(), bar),
            None => report.add(&format!("{key}.ratio_to_c"), pairs.ratio()),
        }
    }
    Ok(())
}

/// What came of the rounds of one server.
#[derive(Default)]
struct Rounds {
    rps: Vec<f64>,
    p50_us: Vec<f64>,
}

impl Rounds {
    fn run(&mut self, load: &Load) -> Result<()> {
        load::run(&Load { max_time: load.max_time / WARM_UP_SHARE, ..*load })?;
        let outcome = load::run(load)?;
        self.rps.push(outcome.per_second());
        self.p50_us.push(outcome.quantile_us(0.50));
        Ok(())
    }
}

/// All in turn, several rounds; a ratio is the median of those of the rounds.
fn external(settings: &Settings, engine: &Engine, languages: &[Language], report: &mut Report) -> Result<()> {
    let wanted = |language: &&Language| settings.wants(&format!("lang.{}.external", language.key));
    let languages: Vec<&Language> = languages.iter().filter(wanted).collect();
    let is_needed = |name: &str| {
        let compared = |language: &&Language| language.peers.iter().any(|(peer, _)| *peer == name);
        settings.wants(&format!("peer.{name}.")) || languages.iter().any(compared)
    };
    let mut peers = Vec::new();
    for name in PEERS {
        if is_needed(name)
            && let Some(command) = prepared::command(settings, "peers", name)?
        {
            peers.push((Peer::start(settings, name, &command)?, Rounds::default()));
        }
    }
    let mut of_languages: Vec<Rounds> = languages.iter().map(|_| Rounds::default()).collect();
    for _ in 0..settings.effort.language_rounds {
        let max_time: Duration = settings.effort.language_round;
        let load = Load {
            address: engine.address(),
            path: "/",
            body: BODY,
            connections: CONNECTIONS,
            max_calls: MAX_CALLS,
            max_time,
        };
        for (peer, rounds) in &mut peers {
            rounds.run(&Load { address: peer.address(), ..load })?;
        }
        for (language, rounds) in languages.iter().zip(&mut of_languages) {
            rounds.run(&Load { path: &format!("/function/Echo{}", language.name), ..load })?;
        }
    }
    for (peer, rounds) in &peers {
        report.add(&format!("peer.{}.c{CONNECTIONS}.rps", peer.name()), median(&rounds.rps));
    }
    for (language, rounds) in languages.iter().zip(&of_languages) {
        let key = format!("lang.{}.external.c{CONNECTIONS}", language.key);
        report.add(&format!("{key}.rps"), median(&rounds.rps));
        report.add(&format!("{key}.p50_us"), median(&rounds.p50_us));
        for (name, bar) in language.peers {
            let Some((_, peer)) = peers.iter().find(|(peer, _)| peer.name() == *name) else { continue };
            let ratios: Vec<f64> = rounds.rps.iter().zip(&peer.rps).map(|(own, peer)| own / peer).collect();
            report.add_with_least(&format!("{key}.rps_over_{name}"), median(&ratios), *bar);
        }
    }
    peers.into_iter().try_for_each(|(peer, _)| peer.stop())
}
