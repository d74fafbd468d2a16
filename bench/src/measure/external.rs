//! Measures external calls: HTTP clients call an empty function, a function that makes three
//! internal calls, and nginx for comparison.

use std::net::SocketAddr;

use anyhow::Result;

use crate::calls::load::Load;
use crate::calls::load_rounds::{Figures, LoadRounds};
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::functions::Function;
use crate::run::nginx::Nginx;
use crate::run::settings::{Placement, Settings};

/// The numbers of connections in the page's chart. The largest exceeds the number of workers.
pub const CONNECTIONS: [usize; 5] = [1, 4, 16, 64, 256];
/// The numbers of connections that are measured in all rounds, and over named pipes too. The other
/// numbers appear only in the chart, for which one round is enough.
const MAIN_CONNECTIONS: [usize; 3] = [1, 16, 64];
/// The number of connections for the function that makes three internal calls.
const THREE_CONNECTIONS: usize = 16;
/// The bar: the rate of the function that makes three internal calls is at least this share of the
/// empty function's rate.
const THREE_SHARE: f64 = 0.5;
/// The maximum number of calls in a round. A round always reaches its time limit first.
pub const MAX_CALLS: u64 = 5_000_000;
/// The body of each request. It is small, like that of a client that calls an empty function.
pub const BODY: &[u8] = b"ping";
/// The function that answers with an empty body.
pub const EMPTY_PATH: &str = "/function/Empty";
/// Named pipes are measured only once in this many rounds, because their figures need not be exact.
const FIFO_EVERY: usize = 2;

/// One server under one load.
struct Server {
    /// The key of the server's figures, without the number of connections.
    name: &'static str,
    address: SocketAddr,
    path: &'static str,
    roots: Vec<i32>,
    rounds: LoadRounds,
}

impl Server {
    fn of_engine(name: &'static str, engine: &Engine, path: &'static str) -> Server {
        let (address, roots) = (engine.address(), vec![engine.id()]);
        Server { name, address, path, roots, rounds: LoadRounds::default() }
    }
}

/// Measures `external.*`, `external_fifo.*`, `external_three.*` and `nginx.*`, unpinned.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let engine = Engine::start(settings, functions, Placement::Unpinned, Channel::Default)?;
    let fifo = match settings.wants("external_fifo.") {
        true => Some(Engine::start(settings, functions, Placement::Unpinned, Channel::Fifo)?),
        false => None,
    };
    // nginx is started even if only Nightcore's figures are wanted, because their bars depend on
    // nginx's figures.
    let nginx = Nginx::start(settings)?;
    for connections in CONNECTIONS {
        let is_main = MAIN_CONNECTIONS.contains(&connections);
        let is_wanted = |name: &str| settings.wants(&format!("{name}.c{connections}."));
        let mut servers = Vec::new();
        if let Some(nginx) = &nginx
            && (is_wanted("nginx") || is_wanted("external"))
        {
            let (address, roots) = (nginx.address(), nginx.roots().to_vec());
            servers.push(Server {
                name: "nginx",
                address,
                path: EMPTY_PATH,
                roots,
                rounds: LoadRounds::default(),
            });
        }
        if is_wanted("external") {
            servers.push(Server::of_engine("external", &engine, EMPTY_PATH));
        }
        if connections == THREE_CONNECTIONS && is_wanted("external_three") {
            servers.push(Server::of_engine("external_three", &engine, "/function/Three"));
        }
        if let Some(fifo) = &fifo
            && is_main
            && is_wanted("external_fifo")
        {
            servers.push(Server::of_engine("external_fifo", fifo, EMPTY_PATH));
        }
        let rounds = if is_main { settings.effort.external_rounds } else { 1 };
        for round in 0..rounds {
            for server in &mut servers {
                if server.name == "external_fifo" && round % FIFO_EVERY != 0 {
                    continue;
                }
                let load = Load {
                    address: server.address,
                    path: server.path,
                    body: BODY,
                    connections,
                    max_calls: MAX_CALLS,
                    max_time: settings.effort.external_round,
                };
                server.rounds.run(&load, &server.roots)?;
            }
        }
        tell(report, &servers, connections);
    }
    if let Some(nginx) = nginx {
        nginx.stop()?;
    }
    if let Some(fifo) = fifo {
        fifo.stop()?;
    }
    engine.stop()
}

fn tell(report: &mut Report, servers: &[Server], connections: usize) {
    let figures_of = |name: &str| {
        servers.iter().find(|server| server.name == name).map(|server| server.rounds.figures())
    };
    let (nginx, own) = (figures_of("nginx"), figures_of("external"));
    for server in servers {
        let figures = server.rounds.figures();
        let key = format!("{}.c{connections}", server.name);
        match server.name {
            "external" => tell_own(report, &key, connections, figures, nginx),
            "external_three" => {
                let key = format!("{key}.rps");
                match own {
                    Some(own) => report.add_with_least(&key, figures.rps, THREE_SHARE * own.rps),
                    None => report.add(&key, figures.rps),
                }
            }
            _ => figures.tell(report, &key),
        }
    }
}

/// Adds Nightcore's figures with their bars. The rate at 16 and 64 connections must be at least
/// that of nginx. The p50 at one connection and the CPU time at 16 must be at most those of nginx.
fn tell_own(
    report: &mut Report,
    key: &str,
    connections: usize,
    own: Figures,
    nginx: Option<Figures>,
) {
    let (rps, p50_us) = (format!("{key}.rps"), format!("{key}.p50_us"));
    let (p99_us, cpu_s) = (format!("{key}.p99_us"), format!("{key}.cpu_s_per_100k"));
    match nginx {
        Some(nginx) if matches!(connections, 16 | 64) => {
            report.add_with_least(&rps, own.rps, nginx.rps)
        }
        _ => report.add(&rps, own.rps),
    }
    match nginx {
        Some(nginx) if connections == 1 => report.add_with_bar(&p50_us, own.p50_us, nginx.p50_us),
        _ => report.add(&p50_us, own.p50_us),
    }
    report.add(&p99_us, own.p99_us);
    match nginx {
        Some(nginx) if connections == 16 => {
            report.add_with_bar(&cpu_s, own.cpu_s_per_100k, nginx.cpu_s_per_100k);
        }
        _ => report.add(&cpu_s, own.cpu_s_per_100k),
    }
}
