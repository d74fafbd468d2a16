//! An application: a frontend over HTTP that makes five internal calls over two levels, in every
//! language, beside the same application over gRPC.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::calls::http;
use crate::calls::load::Load;
use crate::calls::load_rounds::{Figures, LoadRounds};
use crate::measure::app_bars::{self, Compared};
use crate::measure::external::MAX_CALLS;
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::functions::{self, Function};
use crate::run::peers::Peer;
use crate::run::prepared;
use crate::run::settings::{Placement, Settings};

/// The six functions or services, each with the targets that it calls in sequence. Every target is
/// listed before its callers.
const SERVICES: [(&str, &[&str]); 6] = [
    ("Geo", &[]),
    ("Rate", &[]),
    ("User", &[]),
    ("Profile", &[]),
    ("Search", &["Geo", "Rate"]),
    (FRONTEND, &["User", "Search", "Profile"]),
];
/// The service that clients call.
const FRONTEND: &str = "Frontend";
/// The body of every request and answer.
const BODY: &[u8] = &[b'x'; 200];
/// The numbers of client connections.
pub const CONNECTIONS: [usize; 4] = [1, 4, 16, 64];
const WARM_UP_CONNECTIONS: usize = 16;

/// The languages in which the whole application exists as functions. The keys are also those of the
/// bench's workers.
const LANGUAGES: [&str; 6] = [C, "tokio", "go", "node", "python", "asyncio"];
const C: &str = "c";
/// The application with each function in another language, in the order of [`SERVICES`].
const MIXED: &str = "mixed";
const MIXED_LANGUAGES: [&str; 6] = ["rust", "python", C, "asyncio", "node", "go"];
/// The application as services over gRPC.
const GRPC: [&str; 3] = ["grpc_go", "grpc_node", "grpc_python"];

/// The plain echo in C, which the engine of the application in C also serves.
const ECHO: &str = "Echo";
const ECHO_PATH: &str = "/function/Echo";
const EXTERNAL: &str = "external";
/// The numbers of connections at which the plain echo is measured too.
const EXTERNAL_CONNECTIONS: [usize; 2] = [16, 64];
/// The time limit for the first answer. An application that takes longer counts as hanging.
const FIRST_ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// A running application.
enum RunningApp {
    Engine(Engine),
    /// One process for each of [`SERVICES`], in that order.
    Services(Vec<Peer>),
}

impl RunningApp {
    /// Starts one engine with six functions, whose commands begin with those of their languages.
    fn of_functions(
        settings: &Settings,
        commands: &[Vec<String>],
        more: &[Function],
    ) -> Result<RunningApp> {
        let own = SERVICES.iter().zip(commands).map(|((name, targets), command)| {
            let arguments = std::iter::once(name).chain(*targets).map(|word| (*word).to_owned());
            Function::new(name, command.iter().cloned().chain(arguments).collect())
        });
        let functions: Vec<Function> = own.chain(more.iter().cloned()).collect();
        let engine = Engine::start(settings, &functions, Placement::Unpinned, Channel::Default)?;
        Ok(RunningApp::Engine(engine))
    }

    /// Starts six processes that serve gRPC. The frontend serves HTTP.
    fn of_services(settings: &Settings, key: &str, command: &[String]) -> Result<RunningApp> {
        let mut services: Vec<Peer> = Vec::new();
        for (name, targets) in SERVICES {
            let kind = if name == FRONTEND { "http" } else { "grpc" };
            let mut command = [command, &[kind.to_owned()]].concat();
            for target in targets {
                let index = SERVICES.iter().position(|(service, _)| service == target);
                let target = index.and_then(|index| services.get(index));
                command.push(
                    target
                        .context("a target comes before those that call it")?
                        .address()
                        .to_string(),
                );
            }
            services.push(Peer::start(settings, &format!("{key}_{name}"), &command)?);
        }
        Ok(RunningApp::Services(services))
    }

    fn address(&self) -> Result<SocketAddr> {
        match self {
            RunningApp::Engine(engine) => Ok(engine.address()),
            RunningApp::Services(services) => {
                Ok(services.last().context("there is a frontend")?.address())
            }
        }
    }

    fn path(&self) -> String {
        match self {
            RunningApp::Engine(_) => format!("/function/{FRONTEND}"),
            RunningApp::Services(_) => "/".to_owned(),
        }
    }

    /// Returns the root processes. They and their descendants do all work of the application.
    fn roots(&self) -> Vec<i32> {
        match self {
            RunningApp::Engine(engine) => vec![engine.id()],
            RunningApp::Services(services) => services.iter().map(Peer::pid).collect(),
        }
    }

    fn stop(self) -> Result<()> {
        match self {
            RunningApp::Engine(engine) => engine.stop(),
            RunningApp::Services(services) => services.into_iter().try_for_each(Peer::stop),
        }
    }
}

/// A running application, and its address.
struct App {
    key: &'static str,
    server: RunningApp,
    path: String,
}

impl App {
    /// Calls the application once to check that it works, and then warms it up.
    fn new(settings: &Settings, key: &'static str, server: RunningApp) -> Result<App> {
        let path = server.path();
        let app = App { key, server, path };
        let address = app.server.address()?;
        let answer = http::call_once(address, &app.path, BODY, FIRST_ANSWER_WITHIN)
            .with_context(|| format!("the application {key} does not answer"))?;
        ensure!(answer == BODY, "the application {key} does not return the body that it was sent");
        // After the warm-up, just-in-time compilers have compiled the handlers.
        app.run(settings, &app.path, WARM_UP_CONNECTIONS, &mut LoadRounds::default())?;
        Ok(app)
    }

    /// Runs one round of requests to this path.
    fn run(
        &self,
        settings: &Settings,
        path: &str,
        connections: usize,
        rounds: &mut LoadRounds,
    ) -> Result<()> {
        let load = Load {
            address: self.server.address()?,
            path,
            body: BODY,
            connections,
            max_calls: MAX_CALLS,
            max_time: settings.effort.app_round,
        };
        rounds.run(&load, &self.server.roots()).with_context(|| self.key.to_owned())
    }
}

/// Starts all applications that are wanted, or that a wanted one is compared with, and that are
/// available here.
fn start(settings: &Settings, functions: &[Function]) -> Result<Vec<App>> {
    let is_wanted = |key: &str| settings.wants(&format!("app.{key}."));
    let is_needed = |key: &str| {
        let mut others = LANGUAGES.iter().filter(|language| is_wanted(language));
        is_wanted(key) || others.any(|language| app_bars::is_compared_with(language, key))
    };
    let c = vec![functions::build_app(settings)?];
    let command_of = |language: &str| match language {
        C => Ok(Some(c.clone())),
        _ => prepared::command(settings, "workers", language),
    };
    let mut apps = Vec::new();
    for language in LANGUAGES {
        if is_needed(language)
            && let Some(command) = command_of(language)?
        {
            let echo = functions.iter().filter(|function| language == C && function.name == ECHO);
            let more: Vec<Function> = echo.cloned().collect();
            let commands = SERVICES.map(|_| command.clone());
            apps.push(App::new(
                settings,
                language,
                RunningApp::of_functions(settings, &commands, &more)?,
            )?);
        }
    }
    if is_needed(MIXED) {
        let mut commands = Vec::new();
        for language in MIXED_LANGUAGES {
            commands.extend(command_of(language)?);
        }
        if commands.len() == SERVICES.len() {
            apps.push(App::new(
                settings,
                MIXED,
                RunningApp::of_functions(settings, &commands, &[])?,
            )?);
        } else {
            eprintln!("skipped: {MIXED}, as it needs all languages");
        }
    }
    for key in GRPC {
        if is_needed(key)
            && let Some(command) = prepared::command(settings, "peers", key)?
        {
            apps.push(App::new(settings, key, RunningApp::of_services(settings, key, &command)?)?);
        }
    }
    Ok(apps)
}

/// Measures `app.*`, unpinned. Each of several rounds runs all applications in turn.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let apps = start(settings, functions)?;
    for connections in CONNECTIONS {
        let is_wanted = |app: &App| settings.wants(&format!("app.{}.c{connections}.", app.key));
        if apps.iter().any(is_wanted) {
            let (app_rounds, external) = rounds(settings, &apps, connections)?;
            for (app, own) in apps.iter().zip(&app_rounds).filter(|(app, _)| is_wanted(app)) {
                let key = format!("app.{}.c{connections}", app.key);
                tell(report, &key, own.figures());
                let rounds_of = |other: &str| {
                    apps.iter().zip(&app_rounds).find(|(app, _)| app.key == other).map(|(_, r)| r)
                };
                let compared =
                    Compared { language: app.key, connections, own, external: external.as_ref() };
                compared.tell(report, &key, rounds_of);
            }
            if let Some(external) = external {
                report.add(&format!("app.{EXTERNAL}.c{connections}.rps"), external.figures().rps);
            }
        }
    }
    apps.into_iter().try_for_each(|app| app.server.stop())
}

/// Returns the rounds of each application, and those of the plain echo if it is measured at this
/// number of connections.
fn rounds(
    settings: &Settings,
    apps: &[App],
    connections: usize,
) -> Result<(Vec<LoadRounds>, Option<LoadRounds>)> {
    let echo = apps.iter().find(|app| app.key == C && EXTERNAL_CONNECTIONS.contains(&connections));
    let mut of_apps: Vec<LoadRounds> = apps.iter().map(|_| LoadRounds::default()).collect();
    let mut of_echo = LoadRounds::default();
    for _ in 0..settings.effort.app_rounds {
        if let Some(app) = echo {
            app.run(settings, ECHO_PATH, connections, &mut of_echo)?;
        }
        for (app, rounds) in apps.iter().zip(&mut of_apps) {
            app.run(settings, &app.path, connections, rounds)?;
        }
    }
    Ok((of_apps, echo.map(|_| of_echo)))
}

fn tell(report: &mut Report, key: &str, figures: Figures) {
    report.add(&format!("{key}.rps"), figures.rps);
    report.add(&format!("{key}.p50_us"), figures.p50_us);
    report.add(&format!("{key}.p99_us"), figures.p99_us);
    report.add(&format!("{key}.cpu_us"), figures.cpu_us());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_makes_five_calls_and_each_target_comes_before_its_callers() {
        let targets: Vec<&str> =
            SERVICES.iter().flat_map(|(_, targets)| *targets).copied().collect();
        assert_eq!(targets.len(), 5);
        for (index, (_, targets)) in SERVICES.iter().enumerate() {
            for target in *targets {
                assert!(SERVICES[..index].iter().any(|(name, _)| name == target), "{target}");
            }
        }
    }
}
