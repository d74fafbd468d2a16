//! `make bench`: measures Nightcore, and the floors of the machine that it runs on. See README.md
//! beside this crate.

mod calls;
mod measure;
mod report;
mod run;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::measure::{check, parts};
use crate::report::figures::Report;
use crate::report::ticks::Ticks;
use crate::report::{machine, page};
use crate::run::settings::{self, Effort, Settings};
use crate::run::{interrupt, processes};

/// The system libraries that a static library written in Rust needs.
const SYSTEM_LIBRARIES: [&str; 6] = ["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"];

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
        let ticks = Ticks::now();
        let mut machine = machine::describe(&mut report)?;
        println!("{}", machine.join("\n"));
        let described = report.len();
        failures = parts::measure(&settings, &mut report);
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
