//! Measures how soon the last of five functions in five languages notices that the client of the
//! first has left.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nightcore_load::{http, now_ns};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::calls::self_timed::Samples;
use crate::report::figures::Report;
use crate::run::channel::Channel;
use crate::run::engine::Engine;
use crate::run::functions::Function;
use crate::run::settings::{Placement, Settings};
use crate::run::{interrupt, prepared};

const KEY: &str = "cancel.five_hops";
/// The bar, in µs: after this time, a client that left costs nothing any more.
const BAR_US: f64 = 5000.0;
/// The functions between the first and the last, in other languages: the key of each function's
/// worker, and the function's name.
const RELAYS: [(&str, &str); 3] =
    [("go", "RelayGo"), ("asyncio", "RelayAsyncio"), ("node", "RelayNode")];
/// The first and the last function, in C.
const FIRST: &str = "Relay";
const LAST: &str = "Notice";
/// The time limit for a number from `Notice`. If none has arrived by then, none will.
const WITHIN: Duration = Duration::from_secs(10);

/// Measures `cancel.five_hops.*`, unpinned, if the workers of all its languages could be built.
pub fn measure(settings: &Settings, functions: &[Function], report: &mut Report) -> Result<()> {
    let Some(Function { command: program, .. }) = functions.first() else {
        bail!("there is no C program")
    };
    let mut functions = [FIRST, LAST].map(|name| Function::new(name, program.clone())).to_vec();
    for (language, name) in RELAYS {
        let Some(command) = prepared::command(settings, "workers", language)? else {
            return Ok(());
        };
        functions.push(Function::new(name, [command, vec![name.to_owned()]].concat()));
    }
    let engine = Engine::start(settings, &functions, Placement::Unpinned, Channel::Default)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("noticed");
    mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR)
        .with_context(|| format!("cannot make {}", path.display()))?;
    // This process also holds a write end of the pipe, so that a read does not return end of file
    // when a handler closes its own write end.
    let mut words = OpenOptions::new().read(true).write(true).open(&path)?;
    let way: Vec<&str> = RELAYS.iter().map(|(_, name)| *name).chain([LAST]).collect();
    let body = format!("{} {}", way.join(" "), path.to_str().context("the path is not UTF-8")?);
    let samples: Result<Vec<u64>> = (0..settings.effort.clients_that_leave)
        .map(|_| leave(&engine, &body, &mut words))
        .collect();
    let samples = Samples::sorted(samples?);
    report.add(&format!("{KEY}.p50_us"), samples.quantile_us(50));
    report.add_with_bar(&format!("{KEY}.p99_us"), samples.quantile_us(99), BAR_US);
    engine.stop()
}

/// Makes a client leave while the last function waits. Returns the time from when the client left
/// until that function noticed, in ns.
fn leave(engine: &Engine, body: &str, words: &mut File) -> Result<u64> {
    let address = engine.address();
    let mut client = http::connect(address)?;
    client.write_all(&http::post(address, &format!("/function/{FIRST}"), body.as_bytes()))?;
    ensure!(word(words)? == 0, "{LAST} says that it has noticed, and nobody has left");
    let left_at = now_ns();
    drop(client);
    word(words)?
        .checked_sub(left_at)
        .with_context(|| format!("{LAST} noticed before the client had left"))
}

/// Reads the next number that `Notice` writes to the pipe: 0 when it begins to wait, and then the
/// time at which it noticed, in ns of the monotonic clock.
fn word(from: &mut File) -> Result<u64> {
    let end = Instant::now() + WITHIN;
    loop {
        interrupt::check()?;
        let left = end.saturating_duration_since(Instant::now());
        ensure!(!left.is_zero(), "{LAST} said nothing within {} s", WITHIN.as_secs());
        let mut watched = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        match poll(&mut watched, PollTimeout::try_from(left.min(interrupt::POLL_EVERY))?) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => {
                // A write of 8 bytes to a pipe is atomic, so all of them are there.
                let mut bytes = [0; 8];
                from.read_exact(&mut bytes)?;
                return Ok(u64::from_ne_bytes(bytes));
            }
            Err(error) => bail!("cannot wait for {LAST}: {error}"),
        }
    }
}
