//! A function that is asked for more than it can do: how many calls it still answers in time, and what the calls of another
//! function beside it notice of that.
//!
//! The load is that of `nightcore bench`: calls are due at a rate, whatever becomes of those before.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::background::Background;
use crate::channel::Channel;
use crate::engine::Engine;
use crate::functions::Function;
use crate::report::Report;
use crate::settings::{Placement, Settings};

/// What is offered, in per cent of the capacity.
pub const OFFERED: [u32; 5] = [50, 100, 150, 200, 300];
/// The offer at which the bars hold.
const BAR_OFFERED: u32 = 200;
/// Of the capacity so much is to be answered in time then.
const GOODPUT_BAR: f64 = 0.9;
/// Of the function that is asked for too much.
const TIMEOUT_MS: u32 = 100;
/// So many clients that it does not wait for them: twice the capacity times the timeout, and some.
const CONNECTIONS: u32 = 600;
/// Beside a flood, calls of another function may take so many times what they take without.
const BESIDE_BAR: f64 = 2.0;
/// The calls of that one, in a second.
const BESIDE_RATE: u32 = 500;
const BESIDE_CONNECTIONS: u32 = 8;
/// The flood lasts until it is ended.
const FLOOD_TIME: &str = "60s";
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// The key of the goodput at an offer.
pub fn goodput_key(offered: u32) -> String {
    format!("overload.goodput.{offered}_percent.rps")
}

/// A function that is called more often than it can bear.
struct Flood {
    name: &'static str,
    function: &'static str,
    /// How `nightcore bench` is to call it.
    pace: &'static [&'static str],
    body_bytes: usize,
    /// How long it is there before anything is measured beside it: until its function's limit is found.
    before: Duration,
}

const FLOODS: [Flood; 4] = [
    // Twice what it can do, and most of it waits.
    Flood {
        name: "sleeps",
        function: "Sleeps",
        pace: &["--rate", "4000", "--connections", "600"],
        body_bytes: 1,
        before: Duration::from_secs(1),
    },
    // The same, and it takes all the time there is.
    Flood {
        name: "computes",
        function: "Computes",
        pace: &["--rate", "4000", "--connections", "600"],
        body_bytes: 1,
        before: Duration::from_secs(4),
    },
    // Nearly all is refused.
    Flood {
        name: "refused",
        function: "Full",
        pace: &["--closed", "--connections", "64"],
        body_bytes: 1,
        before: Duration::from_secs(1),
    },
    // Much is copied.
    Flood {
        name: "large",
        function: "Echo",
        pace: &["--closed", "--connections", "8"],
        body_bytes: LARGE_BODY_BYTES,
        before: Duration::from_secs(1),
    },
];

/// Measures `overload.*`, unpinned.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
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
    let engine = Engine::start(settings, &functions, Placement::Unpinned, Channel::Default)?;
    if settings.wants("overload.goodput") {
        curve(settings, &engine, report)?;
    }
    if settings.wants("overload.beside") {
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

fn beside(settings: &Settings, engine: &Engine, flood: &Flood, report: &mut Report) -> Result<()> {
    let Flood { name, function, pace, body_bytes, before } = *flood;
    let (rate, connections) = (BESIDE_RATE.to_string(), BESIDE_CONNECTIONS.to_string());
    let p99_us = || {
        let arguments = ["--rate", &rate, "--connections", &connections];
        let result = load(engine, "Empty", settings.effort.overload_beside, &arguments)?;
        ensure!(
            number(&result, "/calls/failed")? == 0.0,
            "calls beside the flood {name} failed: {result}"
        );
        number(&result, "/latency/p99_us")
    };
    let quiet_us = p99_us()?;
    let body = settings.work_dir.join("flood-body");
    fs::write(&body, vec![b'x'; body_bytes])?;
    let mut command = command(engine, function, Duration::ZERO);
    command.args(pace).args(["--duration", FLOOD_TIME]).stdin(File::open(&body)?);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut flood = Background::start(&mut command)?;
    std::thread::sleep(before);
    let flooded_us = p99_us()?;
    ensure!(flood.ended()?.is_none(), "the flood {name} ended early");
    flood.end()?;
    report.add(&format!("overload.beside.{name}.quiet.p99_us"), quiet_us);
    report.add(&format!("overload.beside.{name}.p99_us"), flooded_us);
    report.add_with_bar(
        &format!("overload.beside.{name}.ratio"),
        flooded_us / quiet_us,
        BESIDE_BAR,
    );
    Ok(())
}

fn command(engine: &Engine, function: &str, warm_up: Duration) -> Command {
    let mut command = engine.command("bench");
    command.args([function, "--json", "--warm-up", &format!("{}ms", warm_up.as_millis())]);
    command
}

/// What `nightcore bench` says. That some of its calls failed is no error here.
fn load(engine: &Engine, function: &str, time: Duration, arguments: &[&str]) -> Result<Value> {
    let mut command = command(engine, function, time / 2);
    command.args(["--data", "", "--duration", &format!("{}ms", time.as_millis())]).args(arguments);
    let result = command.stdin(Stdio::null()).output().context("cannot run `nightcore bench`")?;
    let complaint = String::from_utf8_lossy(&result.stderr);
    serde_json::from_slice(&result.stdout).with_context(|| {
        format!("`nightcore bench {function}` printed no JSON: {}", complaint.trim())
    })
}

fn number(result: &Value, pointer: &str) -> Result<f64> {
    let value = result.pointer(pointer).and_then(Value::as_f64);
    value.with_context(|| format!("there is no {pointer} in {result}"))
}
