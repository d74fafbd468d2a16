//! Runs one engine, from its `nightcore.toml` in a temporary directory to its end.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, PipeReader, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::sched_setaffinity;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::run::channel::Channel;
use crate::run::functions::Function;
use crate::run::processes::Kept;
use crate::run::settings::{Placement, Settings};
use crate::run::{cpu, interrupt, memory, processes};

/// The time limit for a start. A start takes milliseconds; the limit allows for a thousand
/// functions, and for a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// The maximum length of the ready line.
const MAX_READY_BYTES: usize = 4 * 1024;
/// The time limit for a stop. It is longer than the time that the engine gives its containers by
/// default.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// The time limit for a stop after a failure, when a quick end matters more than an orderly one.
const DROP_WITHIN: Duration = Duration::from_secs(3);
/// The time within which the processes that an ended engine left behind must be gone.
const LEFT_WITHIN: Duration = Duration::from_secs(2);
const POLL_EVERY: Duration = Duration::from_millis(10);
/// The number of log lines in an error. It is enough for a message about a configuration, which has
/// one line about the problem, and further lines that show its place.
const LAST_LINES: usize = 4;
/// The timeout of `Caller`. It is long, because one call of `Caller` makes many internal calls.
const CALLER_TIMEOUT: &str = "60s";

/// A running engine. Dropping this value ends the engine and all processes below it.
#[derive(Debug)]
pub struct Engine {
    program: PathBuf,
    child: Child,
    _kept: Kept,
    log: PathBuf,
    address: SocketAddr,
    directory: TempDir,
}

impl Engine {
    /// Starts `nightcore up` with the measured functions, and waits for its ready line.
    pub fn start(
        settings: &Settings,
        functions: &[Function],
        placement: Placement,
        channel: Channel,
    ) -> Result<Engine> {
        ensure!(
            settings.engine.is_file(),
            "there is no engine at {}: build it first (cargo build --release)",
            settings.engine.display()
        );
        let directory = tempfile::Builder::new().prefix("nightcore-bench-").tempdir()?;
        let config = directory.path().join("nightcore.toml");
        fs::write(&config, config_text(functions, channel)?)
            .context("cannot write nightcore.toml")?;
        let state = state_of(&directory);
        let log = settings.work_dir.join(format!("engine-{}.log", channel.name()));
        let log_file =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let (ready, ready_end) = io::pipe()?;

        let mut command = Command::new(&settings.engine);
        command.arg("up").arg("--config").arg(&config).arg("--dir").arg(&state);
        command.args(["--ready-fd", &ready_end.as_raw_fd().to_string()]);
        command.stdin(Stdio::null()).stdout(log_file.try_clone()?).stderr(log_file);
        // The engine has its own process group, so Ctrl-C reaches only this process, which then
        // stops the engine gracefully.
        command.process_group(0);
        let cpu_set = placement.cpu_set()?;
        let parent = std::process::id();
        let ready_fd = ready_end.as_raw_fd();
        // SAFETY: the closure only makes system calls, which is allowed between fork and exec.
        unsafe {
            command.pre_exec(move || {
                processes::die_with_parent(parent, libc::SIGTERM)?;
                if let Some(set) = &cpu_set {
                    sched_setaffinity(Pid::from_raw(0), set)?;
                }
                keep_over_exec(ready_fd)
            })
        };
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", settings.engine.display()))?;
        // This process must close its copy of the pipe's write end. Otherwise it would not read an
        // end of file when the engine ends.
        drop(ready_end);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let kept = Kept::new(child.id());
        let mut engine = Engine {
            program: settings.engine.clone(),
            child,
            _kept: kept,
            log,
            address,
            directory,
        };
        engine.address = engine.wait_until_ready(ready)?;
        Ok(engine)
    }

    fn wait_until_ready(&mut self, mut ready: PipeReader) -> Result<SocketAddr> {
        let end = Instant::now() + READY_WITHIN;
        let mut text = Vec::new();
        let mut chunk = [0; 512];
        while !text.contains(&b'\n') {
            interrupt::check()?;
            let left = end.saturating_duration_since(Instant::now());
            ensure!(
                !left.is_zero(),
                "the engine was not ready within {} s{}",
                READY_WITHIN.as_secs(),
                self.last_words()
            );
            ensure!(text.len() < MAX_READY_BYTES, "the engine's ready line is too long");
            let mut watched = [PollFd::new(ready.as_fd(), PollFlags::POLLIN)];
            match poll(&mut watched, PollTimeout::try_from(left.min(interrupt::POLL_EVERY))?) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error).context("cannot wait for the engine"),
            }
            let got = ready.read(&mut chunk)?;
            if got == 0 {
                let ended = self.wait_for_end(LEFT_WITHIN)?;
                let how = ended.map_or("closed its ready descriptor".to_owned(), |status| {
                    format!("ended with {status}")
                });
                bail!("the engine {how} before it was ready{}", self.last_words());
            }
            text.extend_from_slice(&chunk[..got]);
        }
        let line = String::from_utf8_lossy(&text);
        parse_address(&line)
            .with_context(|| format!("no http://IP:PORT in the ready line {:?}", line.trim()))
    }

    /// Returns the address of the engine's gateway.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the engine's process id. The launcher and all containers are below that process.
    pub fn id(&self) -> i32 {
        self.child.id().cast_signed()
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.id())
    }

    /// Returns the CPU time of the whole tree: engine, launcher and containers.
    pub fn cpu_time(&self) -> Duration {
        cpu::of_tree(self.id())
    }

    /// Returns the resident memory of the engine process alone.
    pub fn resident_mb(&self) -> Result<f64> {
        memory::resident_mb(self.id())
    }

    /// Returns a command that runs a subcommand of `nightcore` on this engine.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(subcommand).arg("--dir").arg(state_of(&self.directory));
        command
    }

    /// Returns the engine's state as `nightcore ps --json` shows it.
    pub fn status(&self) -> Result<serde_json::Value> {
        let mut command = self.command("ps");
        command.arg("--json").stdin(Stdio::null());
        let result = command.output().context("cannot run `nightcore ps`")?;
        let complaint = String::from_utf8_lossy(&result.stderr);
        ensure!(
            result.status.success(),
            "`nightcore ps` ended with {}: {}",
            result.status,
            complaint.trim()
        );
        serde_json::from_slice(&result.stdout)
            .context("what `nightcore ps --json` printed is not JSON")
    }

    /// Ends the engine as a user does. Checks that its exit code is 0, and that it leaves no
    /// processes behind.
    pub fn stop(mut self) -> Result<()> {
        kill(self.pid(), Signal::SIGTERM).context("the engine is gone already")?;
        let Some(status) = self.wait_for_end(STOP_WITHIN)? else {
            bail!(
                "the engine did not end within {} s of SIGTERM{}",
                STOP_WITHIN.as_secs(),
                self.last_words()
            );
        };
        ensure!(status.success(), "the engine ended with {status} at SIGTERM{}", self.last_words());
        let end = Instant::now() + LEFT_WITHIN;
        loop {
            let left = processes::orphans();
            if left.is_empty() {
                return Ok(());
            }
            if Instant::now() >= end {
                let names: Vec<String> =
                    left.iter().map(|stat| format!("{} {}", stat.pid, stat.name)).collect();
                bail!("the engine left processes behind: {}", names.join(", "));
            }
            std::thread::sleep(POLL_EVERY);
        }
    }

    /// Waits for the end of the engine. Returns `None` if the engine still runs after `within`.
    fn wait_for_end(&mut self, within: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(POLL_EVERY);
        }
    }

    /// Returns the last lines of the engine's log, for error messages.
    fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        match &lines[lines.len().saturating_sub(LAST_LINES)..] {
            [] => String::new(),
            last => format!("; it said: {}", last.join(" ")),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = kill(self.pid(), Signal::SIGTERM);
            if let Ok(None) = self.wait_for_end(DROP_WITHIN) {
                let _ = self.child.kill();
                let _ = self.child.wait();
            }
        }
        processes::end_orphans();
    }
}

/// Keeps a descriptor open over exec. The child calls this function between fork and exec.
fn keep_over_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: the descriptor was inherited over the fork and is open in the child.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Ok(())
}

/// Returns the directory in which the engine keeps its sockets.
fn state_of(directory: &TempDir) -> PathBuf {
    directory.path().join("engine")
}

fn config_text(functions: &[Function], channel: Channel) -> Result<String> {
    let mut text = format!("[gateway]\nlisten = \"127.0.0.1:0\"\n{}", channel.config_text());
    for Function { name, command, lines } in functions {
        // A JSON array of strings is also an array of strings in TOML.
        write!(text, "\n[functions.{name}]\ncommand = {}\n", serde_json::to_string(command)?)?;
        text.push_str(lines);
        if name.starts_with("Caller") {
            writeln!(text, "timeout = \"{CALLER_TIMEOUT}\"")?;
        }
    }
    Ok(text)
}

/// Finds `http://IP:PORT` anywhere in the line.
fn parse_address(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end =
        rest.find(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c))).unwrap_or(rest.len());
    rest[..end].trim_end_matches(['.', ':']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_the_ready_line() {
        let expected = Some("127.0.0.1:8080".parse().unwrap());
        for line in [
            "http://127.0.0.1:8080\n",
            "ready: 4 functions at http://127.0.0.1:8080, pid 5\n",
            "http://127.0.0.1:8080/",
        ] {
            assert_eq!(parse_address(line), expected);
        }
        assert_eq!(parse_address("http://[::1]:80.").unwrap().port(), 80);
        assert_eq!(parse_address("ready\n"), None);
    }

    #[test]
    fn the_config_names_all_functions() {
        let function = |name: &str| Function::new(name, vec!["/a \"b\"/c".into(), name.into()]);
        let lines = "workers = { min = 7, max = 7 }\n".to_owned();
        let crowd = Function { lines, ..function("Crowd") };
        let text =
            config_text(&[function("Echo"), function("CallerGo"), crowd], Channel::Ring).unwrap();
        assert!(text.contains("[defaults]\nchannel = \"ring\"\n"));
        assert!(text.contains("\nworkers = { min = 7, max = 7 }\n"));
        assert!(text.contains("[functions.Echo]\ncommand = [\"/a \\\"b\\\"/c\",\"Echo\"]\n"));
        assert!(text.contains("[functions.CallerGo]\n") && text.contains("timeout = "));
    }
}
