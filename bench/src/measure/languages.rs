//! Measures every language: internal calls to and from C, and external calls, beside common
//! servers.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::calls::load::Load;
use crate::calls::load_rounds::LoadRounds;
use crate::calls::pairs::{median, median_ratio};
use crate::calls::self_timed::{Calls, Rounds};
use crate::measure::external::MAX_CALLS;
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::functions::Function;
use crate::run::peers::Peer;
use crate::run::prepared;
use crate::run::settings::{Placement, Settings};

/// A language: its key, the name of its functions, and the bars of its internal calls as ratios to
/// those of C.
struct Language {
    key: &'static str,
    name: &'static str,
    ratio_bar: Option<f64>,
    /// The peers' keys, each with the multiple of the peer's rate that the language's external rate
    /// should reach.
    peers: &'static [(&'static str, f64)],
}

const LANGUAGES: [Language; 7] = [
    Language { key: "cpp", name: "Cpp", ratio_bar: None, peers: &[] },
    Language { key: "rust", name: "Rust", ratio_bar: None, peers: &[] },
    Language { key: "tokio", name: "Tokio", ratio_bar: None, peers: &[] },
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
/// The directions of calls between a language and C.
const TO_C: &str = "to_c";
const DIRECTIONS: [&str; 2] = [TO_C, "from_c"];
/// The bar for languages whose calls have to pass an event loop or an interpreter's lock: rings
/// take at most this share of the time of named pipes.
const RING_OVER_FIFO_BAR: f64 = 0.5;

/// Measures `lang.*` and `peer.*`, unpinned, for the languages and peers that could be built here.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let mut functions = functions.to_vec();
    let mut languages = Vec::new();
    for language in LANGUAGES {
        let Some(command) = prepared::command(settings, "workers", language.key)? else { continue };
        for role in ["Echo", "Caller"] {
            let name = format!("{role}{}", language.name);
            functions.push(Function::new(&name, [command.clone(), vec![name.clone()]].concat()));
        }
        languages.push(language);
    }
    let start = |channel| Engine::start(settings, &functions, Placement::Unpinned, channel);
    let is_wanted = |language: &Language| {
        let mut keys = DIRECTIONS.iter().flat_map(|direction| keys_of(language, direction));
        keys.any(|key| settings.wants(&key))
    };
    if languages.iter().any(is_wanted) {
        let (fifo, ring) = (start(Channel::Fifo)?, start(Channel::Ring)?);
        for language in &languages {
            for direction in DIRECTIONS {
                if keys_of(language, direction).iter().any(|key| settings.wants(key)) {
                    internal(settings, [&fifo, &ring], language, direction, report)?;
                }
            }
        }
        fifo.stop()?;
        ring.stop()?;
    }
    let engine = start(Channel::Default)?;
    external(settings, &engine, &languages, report)?;
    engine.stop()
}

/// Returns the keys of the figure over named pipes, of the figure over rings, and of their ratio.
fn keys_of(language: &Language, direction: &str) -> [String; 3] {
    let of_channel =
        |channel: Channel| format!("lang.{}.{direction}.{}.16B", language.key, channel.name());
    [
        of_channel(Channel::Fifo),
        of_channel(Channel::Ring),
        format!("lang.{}.ring_over_fifo.{direction}", language.key),
    ]
}

/// Measures calls from C to C and calls in one direction of the language. Each round measures both,
/// first over named pipes and then over rings.
fn internal(
    settings: &Settings,
    engines: [&Engine; 2],
    language: &Language,
    direction: &str,
    report: &mut Report,
) -> Result<()> {
    let time = settings.effort.half_language_pair;
    let (caller, target) = (format!("Caller{}", language.name), format!("Echo{}", language.name));
    // The order is: C and then the language over named pipes, C and then the language over rings.
    let mut rounds = Vec::new();
    for engine in engines {
        let base = Calls::in_c(engine, BYTES);
        let calls = match direction {
            TO_C => Calls { caller: &caller, ..base },
            _ => Calls { target: &target, ..base },
        };
        rounds.push([Rounds::new(base, time)?, Rounds::new(calls, time)?]);
    }
    for _ in 0..settings.effort.language_pairs {
        rounds.iter_mut().flatten().try_for_each(Rounds::run)?;
    }
    let [fifo_key, ring_key, over_key] = keys_of(language, direction);
    let p50s: Vec<&[f64]> = rounds.iter().map(|[_, own]| own.p50_us.as_slice()).collect();
    let ring_over_fifo = match p50s[..] {
        [fifo, ring] => median_ratio(ring, fifo),
        _ => bail!("there are two kinds of channel"),
    };
    for (channel, (key, [base, own])) in
        Channel::KINDS.into_iter().zip([fifo_key, ring_key].iter().zip(rounds))
    {
        let ratio = median_ratio(&own.p50_us, &base.p50_us);
        report.add(&format!("{key}.p50_us"), own.samples().quantile_us(50));
        match language.ratio_bar {
            Some(bar) if channel == Channel::Fifo => {
                report.add_with_bar(&format!("{key}.ratio_to_c"), ratio, bar);
            }
            _ => report.add(&format!("{key}.ratio_to_c"), ratio),
        }
    }
    match language.ratio_bar {
        Some(_) => report.add_with_bar(&over_key, ring_over_fifo, RING_OVER_FIFO_BAR),
        None => report.add(&over_key, ring_over_fifo),
    }
    Ok(())
}

/// Measures all servers in turn, in several rounds. A ratio is the median of the rounds' ratios.
fn external(
    settings: &Settings,
    engine: &Engine,
    languages: &[Language],
    report: &mut Report,
) -> Result<()> {
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
            peers.push((Peer::start(settings, name, &command)?, LoadRounds::default()));
        }
    }
    let mut of_languages: Vec<LoadRounds> =
        languages.iter().map(|_| LoadRounds::default()).collect();
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
            rounds.run(&Load { address: peer.address(), ..load }, &[peer.pid()])?;
        }
        for (language, rounds) in languages.iter().zip(&mut of_languages) {
            let path = format!("/function/Echo{}", language.name);
            rounds.run(&Load { path: &path, ..load }, &[engine.id()])?;
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
            let Some((_, peer)) = peers.iter().find(|(peer, _)| peer.name() == *name) else {
                continue;
            };
            let ratios: Vec<f64> =
                rounds.rps.iter().zip(&peer.rps).map(|(own, peer)| own / peer).collect();
            report.add_with_least(&format!("{key}.rps_over_{name}"), median(&ratios), *bar);
        }
    }
    peers.into_iter().try_for_each(|(peer, _)| peer.stop())
}
