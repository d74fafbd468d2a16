//! Measures an overloaded function: how many calls it still answers in time, and how much the calls
//! of another function beside it are slowed down.
//!
//! The load is that of `nightcore bench`: calls are due at a rate, whatever happens to earlier
//! ones.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::report::figures::Report;
use crate::run::background::Background;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::floors::Floors;
use crate::run::functions::Function;
use crate::run::settings::{Placement, Settings};

/// The offered rates, in per cent of the capacity.
pub const OFFERED: [u32; 5] = [50, 100, 150, 200, 300];
/// The offered rate at which the bars apply.
const BAR_OFFERED: u32 = 200;
/// The bar: the share of the capacity that must be answered in time at that rate.
const GOODPUT_BAR: f64 = 0.9;
/// The timeout of the overloaded function.
const TIMEOUT_MS: u32 = 100;
/// The number of clients. It is above twice the capacity times the timeout, so that no call ever
/// waits for a client.
const CONNECTIONS: u32 = 600;
/// The bar: beside a flood, calls of another function take at most this multiple of the time that
/// they take without the flood.
const BESIDE_BAR: f64 = 2.0;
/// The calls per second of that other function.
const BESIDE_RATE: u32 = 500;
const BESIDE_CONNECTIONS: u32 = 8;
/// The duration of the unmeasured calls that precede the measured ones. A flood begins at the end
/// of this time.
const WARM_UP: Duration = Duration::from_millis(250);
/// The duration of the first moments of a flood.
const FIRST: Duration = Duration::from_secs(1);
/// The maximum duration of a flood. The bench ends every flood earlier.
const FLOOD_TIME: &str = "60s";
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// Returns the key of the goodput at an offered rate.
pub fn goodput_key(offered: u32) -> String {
    format!("overload.goodput.{offered}_percent.rps")
}

/// A function that is called more often than it can answer.
struct Flood {
    name: &'static str,
    function: &'static str,
    /// The arguments of `nightcore bench` that set the pace.
    pace: &'static [&'static str],
    body_bytes: usize,
    /// The time for which the flood runs before calls are measured beside it. By then the engine
    /// has found the function's concurrency limit.
    before: Duration,
}

const FLOODS: [Flood; 4] = [
    // This flood makes twice as many calls as the function can answer. The handlers mostly wait.
    Flood {
        name: "sleeps",
        function: "Sleeps",
        pace: &["--rate", "4000", "--connections", "600"],
        body_bytes: 1,
        before: Duration::from_secs(1),
    },
    // This flood has the same rate, but its handlers use all processor time that they get.
    Flood {
        name: "computes",
        function: "Computes",
        pace: &["--rate", "4000", "--connections", "600"],
        body_bytes: 1,
        before: Duration::from_secs(4),
    },
    // The engine refuses nearly all calls of this flood.
    Flood {
        name: "refused",
        function: "Full",
        pace: &["--closed", "--connections", "64"],
        body_bytes: 1,
        before: Duration::from_secs(1),
    },
    // This flood makes the engine copy many bytes.
    Flood {
        name: "large",
        function: "Echo",
        pace: &["--closed", "--connections", "8"],
        body_bytes: LARGE_BODY_BYTES,
        before: Duration::from_secs(1),
    },
];

/// Starts an engine with the function whose calls are measured, and the functions that are
/// overloaded.
fn start(settings: &Settings, functions: &[Function]) -> Result<Engine> {
    let Some(Function { command: program, .. }) = functions.first() else {
        bail!("there is no C program")
    };
    let function =
        |name: &str, lines: String| Function { lines, ..Function::new(name, program.clone()) };
    let timeout = format!("timeout = \"{TIMEOUT_MS}ms\"\n");
    let functions = [
        function("Empty", String::new()),
        function("Echo", String::new()),
        function("Sleeps", format!("{timeout}workers = {{ max = 2 }}\n")),
        function("Computes", timeout.clone()),
        function("Full", "workers = { max = 1 }\nqueue = { calls = 4 }\n".to_owned()),
    ];
    Engine::start(settings, &functions, Placement::Unpinned, Channel::Default)
}

/// Measures `overload.*`, unpinned.
pub fn measure(
    settings: &Settings,
    floors: &Floors,
    functions: &[Function],
    report: &mut Report,
) -> Result<()> {
    let engine = start(settings, functions)?;
    if settings.wants("overload.goodput") {
        curve(settings, &engine, report)?;
    }
    if settings.wants("overload.beside") {
        beside_busy(settings, floors, &engine, report)?;
        for flood in
            FLOODS.iter().filter(|flood| settings.wants(&format!("overload.beside.{}", flood.name)))
        {
            beside(settings, &engine, flood, report)?;
        }
    }
    engine.stop()
}

fn curve(settings: &Settings, engine: &Engine, report: &mut Report) -> Result<()> {
    let time = settings.effort.overload;
    let closed = load(engine, "Sleeps", time, &["--closed", "--connections", "8"])?;
    let capacity = number(&closed, "/answered_per_s")?;
    report.add("overload.capacity.rps", capacity);
    for offered in OFFERED {
        let rate = (capacity * f64::from(offered) / 100.0).round().to_string();
        let connections = CONNECTIONS.to_string();
        let result =
            load(engine, "Sleeps", time, &["--rate", &rate, "--connections", &connections])?;
        let (key, goodput) = (goodput_key(offered), number(&result, "/answered_per_s")?);
        let p99_us = number(&result, "/latency/p99_us")?;
        let p99_key = format!("overload.goodput.{offered}_percent.p99_us");
        if offered == BAR_OFFERED {
            report.add_with_least(&key, goodput, GOODPUT_BAR * capacity);
            report.add_with_bar(&p99_key, p99_us, f64::from(TIMEOUT_MS) * 1000.0);
        } else {
            report.add(&key, goodput);
            report.add(&p99_key, p99_us);
        }
    }
    Ok(())
}

/// Returns the command that calls the measured function for `time`, after a warm-up that is not
/// measured.
fn beside_load(engine: &Engine, time: Duration, warm_up: Duration) -> Command {
    let mut command = command(engine, "Empty", warm_up);
    let (rate, connections) = (BESIDE_RATE.to_string(), BESIDE_CONNECTIONS.to_string());
    command.args(["--rate", &rate, "--connections", &connections]);
    command.args(["--data", "", "--duration", &format!("{}ms", time.as_millis())]);
    command
}

/// Returns a quantile of calls that were made beside the load that `beside` names. Fails if any of
/// these calls failed.
fn quantile_us(result: &Value, beside: &str, pointer: &str) -> Result<f64> {
    ensure!(number(result, "/calls/failed")? == 0.0, "calls beside {beside} failed: {result}");
    number(result, pointer)
}

fn p99_us(settings: &Settings, engine: &Engine, beside: &str) -> Result<f64> {
    let time = settings.effort.overload_beside;
    let result = output("Empty", beside_load(engine, time, time / 2))?;
    quantile_us(&result, beside, "/latency/p99_us")
}

/// Measures calls while all cores are busy with programs that the kernel runs only when no other
/// thread wants a core. The result shows the slowdown that the machine itself causes.
fn beside_busy(
    settings: &Settings,
    floors: &Floors,
    engine: &Engine,
    report: &mut Report,
) -> Result<()> {
    let start = |cpu: &usize| {
        let (program, arguments) = floors.busy_command(*cpu);
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        // SAFETY: the closure makes one system call, which is allowed between fork and exec.
        unsafe { command.pre_exec(run_last) };
        Background::start(&mut command)
    };
    let mut busy = settings.cpus.iter().map(start).collect::<Result<Vec<Background>>>()?;
    let busy_us = p99_us(settings, engine, "busy cores")?;
    for program in &mut busy {
        ensure!(program.ended()?.is_none(), "the program that keeps a core busy ended");
        program.end()?;
    }
    report.add("overload.beside.busy.p99_us", busy_us);
    Ok(())
}

/// Makes the calling thread run only when no other thread wants its core.
fn run_last() -> std::io::Result<()> {
    let none = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel only reads the parameters, and `none` is valid for the whole call.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const none) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

impl Flood {
    fn start(&self, settings: &Settings, engine: &Engine) -> Result<Background> {
        let body = settings.work_dir.join("flood-body");
        fs::write(&body, vec![b'x'; self.body_bytes])?;
        let mut command = command(engine, self.function, Duration::ZERO);
        command.args(self.pace).args(["--duration", FLOOD_TIME]).stdin(File::open(&body)?);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Background::start(&mut command)
    }
}

/// Starts a flood while calls of another function are being made, and measures these calls during
/// the first moments of the flood.
fn first_moments(
    settings: &Settings,
    engine: &Engine,
    flood: &Flood,
    time: Duration,
) -> Result<(Background, Value)> {
    let mut load = beside_load(engine, time, WARM_UP);
    let child = load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child: Child = child.context("cannot run `nightcore bench`")?;
    // After this time, the clients of the calls have connected, and their measurement begins soon.
    std::thread::sleep(WARM_UP);
    let flood = flood.start(settings, engine)?;
    let result = parse("Empty", &child.wait_with_output()?)?;
    Ok((flood, result))
}

fn beside(settings: &Settings, engine: &Engine, flood: &Flood, report: &mut Report) -> Result<()> {
    let name = flood.name;
    let quiet_us = p99_us(settings, engine, "nothing")?;
    let (mut running, first) = first_moments(settings, engine, flood, FIRST)?;
    let first_us = quantile_us(&first, name, "/latency/p99_us")?;
    std::thread::sleep(flood.before);
    let flooded_us = p99_us(settings, engine, name)?;
    ensure!(running.ended()?.is_none(), "the flood {name} ended early");
    running.end()?;
    report.add(&format!("overload.beside.{name}.quiet.p99_us"), quiet_us);
    for (part, us) in [("", flooded_us), ("first_second.", first_us)] {
        let key = format!("overload.beside.{name}.{part}");
        report.add(&format!("{key}p99_us"), us);
        report.add_with_bar(&format!("{key}ratio"), us / quiet_us, BESIDE_BAR);
    }
    if let Some(busy_us) = report.get("overload.beside.busy.p99_us") {
        report.add(&format!("overload.beside.{name}.over_busy"), flooded_us / busy_us);
    }
    Ok(())
}

/// The slowdown of calls beside a function that is called twice as often as it can compute.
pub struct BesideComputing {
    /// The p90 in the first moments of that load, divided by the p90 without it.
    pub first_p90: f64,
    /// The p50 later on, divided by the p50 without the load.
    pub p50: f64,
}

/// Measures the slowdown beside a function that computes, with a fresh engine. Calls are measured
/// for `time` before the load, in its first moments, and later on.
pub fn beside_computing(
    settings: &Settings,
    functions: &[Function],
    time: Duration,
) -> Result<BesideComputing> {
    let engine = start(settings, functions)?;
    let calls = || output("Empty", beside_load(&engine, time, WARM_UP));
    let quiet = calls()?;
    let flood = FLOODS.iter().find(|flood| flood.name == "computes").context("no such flood")?;
    let (mut flood, first) = first_moments(settings, &engine, flood, time)?;
    let later = calls()?;
    flood.end()?;
    engine.stop()?;
    let over_quiet = |result: &Value, pointer: &str| -> Result<f64> {
        Ok(quantile_us(result, "a flood", pointer)? / number(&quiet, pointer)?)
    };
    Ok(BesideComputing {
        first_p90: over_quiet(&first, "/latency/p90_us")?,
        p50: over_quiet(&later, "/latency/p50_us")?,
    })
}

fn command(engine: &Engine, function: &str, warm_up: Duration) -> Command {
    let mut command = engine.command("bench");
    command.args([function, "--json", "--warm-up", &format!("{}ms", warm_up.as_millis())]);
    command
}

/// Runs `nightcore bench` and returns its report. Failed calls in the report are not an error here.
fn load(engine: &Engine, function: &str, time: Duration, arguments: &[&str]) -> Result<Value> {
    let mut command = command(engine, function, time / 2);
    command.args(["--data", "", "--duration", &format!("{}ms", time.as_millis())]).args(arguments);
    output(function, command)
}

fn output(function: &str, mut command: Command) -> Result<Value> {
    let result = command.stdin(Stdio::null()).output().context("cannot run `nightcore bench`")?;
    parse(function, &result)
}

fn parse(function: &str, result: &Output) -> Result<Value> {
    let complaint = String::from_utf8_lossy(&result.stderr);
    serde_json::from_slice(&result.stdout).with_context(|| {
        format!("`nightcore bench {function}` printed no JSON: {}", complaint.trim())
    })
}

fn number(result: &Value, pointer: &str) -> Result<f64> {
    let value = result.pointer(pointer).and_then(Value::as_f64);
    value.with_context(|| format!("there is no {pointer} in {result}"))
}
