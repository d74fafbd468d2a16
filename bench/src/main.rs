//! `make bench`: measures Nightcore, and the floors of the machine that it runs on. See README.md
//! beside this crate.

mod app;
mod app_bars;
mod background;
mod beside;
mod calls;
mod cancel;
mod channel;
mod chart;
mod check;
mod compile;
mod cpu;
mod crowd;
mod engine;
mod external;
mod floors;
mod fresh;
mod functions;
mod html;
mod http;
mod internal;
mod interrupt;
mod languages;
mod load;
mod load_rounds;
mod machine;
mod memory;
mod nginx;
mod overload;
mod page;
mod pairs;
mod peers;
mod prepared;
mod processes;
mod report;
mod segments;
mod settings;
mod steady;
mod ticks;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::channel::Channel;
use crate::floors::Floors;
use crate::report::Report;
use crate::settings::{Effort, Settings};

/// The system libraries that a static library written in Rust needs.
const SYSTEM_LIBRARIES: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

/// The parts of a run that need the functions.
const PARTS: [&str; 12] = [
    "internal", "beside", "external", "nginx", "lang", "peer", "app", "cancel", "overload",
    "memory", "idle", "crowd",
];

/// Measures Nightcore and the floors of this machine.
#[derive(Debug, Parser)]
struct Args {
    /// Only measure figures whose names begin with this, such as `internal.fifo.one_core`
    #[arg(long, value_name = "PREFIX")]
    only: Option<String>,
    /// Rough figures in little time, to see that everything works
    #[arg(long)]
    quick: bool,
    /// Also crowds of functions, workers and connections, and ten million calls: ten minutes
    #[arg(long)]
    long: bool,
    /// Only tell whether internal calls are far slower than this machine's floors, in half a minute
    #[arg(long, conflicts_with_all = ["only", "quick", "long", "out"])]
    check: bool,
    /// The file for the figures; the page has the same name and the ending html [default:
    /// target/bench/report.json]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The engine [default: `nightcore` beside this program]
    #[arg(long, value_name = "FILE")]
    engine: Option<PathBuf>,
    /// The C library that the functions are linked with [default: `libnightcore.a` beside this
    /// program]
    #[arg(long, value_name = "FILE")]
    library: Option<PathBuf>,
    /// The folder of nightcore.h [default: include/ of the repository]
    #[arg(long, value_name = "DIR")]
    include: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if args.check {
        return match settings(&args).and_then(|(settings, _)| check::run(&settings)) {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("bench: {error:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut report = Report::default();
    let mut failures = Vec::new();
    let outcome = settings(&args).and_then(|(settings, out)| {
        interrupt::install(settings.effort.run)?;
        processes::adopt_orphans().context("cannot adopt orphans")?;
        let ticks = ticks::Ticks::now();
        let mut machine = machine::describe(&mut report)?;
        println!("{}", machine.join("\n"));
        let described = report.len();
        failures = measure(&settings, &mut report);
        if failures.is_empty() && report.len() == described {
            bail!(
                "no figure that can be measured here begins with {:?}",
                settings.only.unwrap_or_default()
            );
        }
        let note = ticks.and_then(|ticks| machine::describe_host(ticks, &mut report));
        print!("\n{}", report.table());
        if let Some(note) = note {
            println!("\n{note}");
            machine.push(note);
        }
        report.write(&out)?;
        let page = out.with_extension("html");
        page::write(&report, &machine, &page)?;
        println!("\nwritten to {} and {}", out.display(), page.display());
        Ok(())
    });
    failures.extend(outcome.err());
    for failure in &failures {
        eprintln!("bench: {failure:#}");
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn settings(args: &Args) -> Result<(Settings, PathBuf)> {
    let bench_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let repository = bench_dir.parent().context("this crate is in no workspace")?;
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let beside = |name: &str| program.with_file_name(name);
    let work_dir = repository.join("target").join("bench");
    fs::create_dir_all(&work_dir).with_context(|| format!("cannot make {}", work_dir.display()))?;
    let library = args.library.clone().unwrap_or_else(|| beside("libnightcore.a"));
    let mut link = vec![library.into_os_string()];
    link.extend(SYSTEM_LIBRARIES.map(OsString::from));
    let out = args.out.clone().unwrap_or_else(|| work_dir.join("report.json"));
    let settings = Settings {
        only: args.only.clone(),
        effort: effort(args),
        bench_dir: bench_dir.to_owned(),
        work_dir,
        engine: args.engine.clone().unwrap_or_else(|| beside("nightcore")),
        include_dir: args.include.clone().unwrap_or_else(|| repository.join("include")),
        link,
        cpus: settings::allowed_cpus()?,
    };
    Ok((settings, out))
}

fn effort(args: &Args) -> Effort {
    match (args.quick, args.long) {
        (false, false) => Effort::FULL,
        (false, true) => Effort::LONG,
        (true, false) => Effort::QUICK,
        (true, true) => Effort::QUICK_LONG,
    }
}

/// Runs every part that was asked for.
fn measure(settings: &Settings, report: &mut Report) -> Vec<anyhow::Error> {
    let mut run = Run { settings, report, failures: Vec::new() };
    if let Err(error) = run.all() {
        run.failures.push(error);
    }
    run.failures
}

/// One run, and its failures.
struct Run<'a> {
    settings: &'a Settings,
    report: &'a mut Report,
    failures: Vec<anyhow::Error>,
}

impl Run<'_> {
    fn all(&mut self) -> Result<()> {
        let settings = self.settings;
        let floors = Floors::build(settings)?;
        self.part(&["floor"], |report| floors.measure(settings, report));
        if !PARTS.iter().any(|part| settings.wants(part)) || self.told_to_end() {
            return Ok(());
        }
        let functions = functions::build(settings)?;
        for placement in settings.placements() {
            let names = Channel::KINDS.map(|channel| internal::key_of(channel, placement));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            self.part(&names, |report| {
                internal::measure(settings, &floors, &functions, placement, report)
            });
        }
        for placement in settings.placements() {
            self.part(&[fresh::key_of(placement).as_str()], |report| {
                fresh::measure(settings, &floors, &functions, placement, report)
            });
        }
        self.part(&["beside"], |report| beside::measure(settings, &floors, &functions, report));
        self.part(&["external", "nginx"], |report| external::measure(settings, &functions, report));
        self.part(&["lang", "peer"], |report| languages::measure(settings, &functions, report));
        self.part(&["app"], |report| app::measure(settings, &functions, report));
        self.part(&["cancel"], |report| cancel::measure(settings, &functions, report));
        self.part(&["overload"], |report| overload::measure(settings, &floors, &functions, report));
        self.part(&["memory", "idle"], |report| steady::measure(settings, &functions, report));
        if settings.effort.crowds {
            self.part(&["crowd"], |report| crowd::measure(settings, &functions, report));
        }
        Ok(())
    }

    /// Runs a part. Its failure is reported at the end, and the other parts continue, unless the
    /// run was told to end.
    fn part(&mut self, names: &[&str], measure: impl FnOnce(&mut Report) -> Result<()>) {
        let wanted: Vec<&str> =
            names.iter().copied().filter(|name| self.settings.wants(name)).collect();
        if wanted.is_empty() || self.told_to_end() {
            return;
        }
        let name = wanted.join(", ");
        eprintln!("measuring {name} …");
        if let Err(error) = measure(self.report) {
            self.failures.push(error.context(format!("{name} could not be measured")));
        }
    }

    /// Returns whether a part was interrupted. If none was, the next part checks for itself.
    fn told_to_end(&self) -> bool {
        interrupt::pending() && !self.failures.is_empty()
    }
}
