//! One engine, from its start to its end.

use crate::command::Finished;
use crate::home::{Home, MARK};
use crate::http::{Connection, Response};
use crate::metrics::Metrics;
use crate::process::{self, Process};
use crate::status::{FunctionStatus, Status};
use crate::wait::{LONG, find_within, wait_for, wait_until, wait_until_within};
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The time after an engine's end within which all processes and files that it left behind must be
/// gone. Such processes are the rest of a process group that was killed.
const LEFT_WITHIN: Duration = Duration::from_secs(2);
/// The time limit for the last status. An engine that does not answer by then cannot help to
/// explain why a test failed.
const LAST_LOOK: Duration = Duration::from_secs(2);

/// A running engine.
#[derive(Debug)]
pub struct Engine {
    home: Arc<Home>,
    /// The value of [`MARK`] that all its processes have in their environment.
    mark: String,
    child: Child,
    /// The engine's process id. It is not the child's if the child is a program that the engine
    /// runs under.
    pid: i32,
    address: SocketAddr,
    ready_line: String,
    log: std::path::PathBuf,
}

impl Engine {
    #[track_caller]
    pub(crate) fn start(
        home: Arc<Home>,
        mark: String,
        mut command: Command,
        outputs: Option<(Stdio, Stdio)>,
    ) -> Engine {
        let log =
            home.path().join(format!("stderr-{}", mark.rsplit('#').next().unwrap_or_default()));
        let log_file = File::create(&log).expect("the folder is writable");
        let (ready, ready_end) = io::pipe().expect("a pipe");
        let fd = ready_end.as_raw_fd();
        command.args(["--ready-fd", &fd.to_string()]);
        let (stdout, stderr) = outputs.unwrap_or_else(|| {
            (log_file.try_clone().expect("a descriptor").into(), log_file.into())
        });
        command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
        // The engine has a process group of its own, so that Ctrl-C ends only the test. The engine
        // ends with the test.
        command.process_group(0);
        // SAFETY: the closure makes only system calls, which is allowed between fork and exec.
        unsafe {
            command.pre_exec(move || {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
                match libc::fcntl(fd, libc::F_SETFD, 0) {
                    0 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        // This process must close its copy, or it would not see the engine's end.
        drop(ready_end);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut engine =
            Engine { home, mark, child, pid: 0, address, ready_line: String::new(), log };
        engine.ready_line = engine.wait_until_ready(ready);
        let line = &engine.ready_line;
        let address = line
            .split_once("http://")
            .map(|(_, rest)| rest.split_once(',').unwrap_or((rest, "")).0);
        let address = address.and_then(|address| address.trim().parse().ok());
        engine.address = address.unwrap_or_else(|| panic!("no address in the ready line {line:?}"));
        engine.pid = engine.status().pid;
        engine
    }

    /// Reads the ready line on a thread of its own, so that a read that never ends does not block
    /// the test.
    #[track_caller]
    fn wait_until_ready(&mut self, ready: io::PipeReader) -> String {
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            let _ = BufReader::new(ready).read_line(&mut line);
            line
        });
        wait_until("the engine to be ready", || reader.is_finished());
        let line = reader.join().expect("a reader does not panic");
        assert!(line.ends_with('\n'), "the engine ended before it was ready:\n{}", self.stderr());
        line.trim().to_owned()
    }

    /// Returns the address at which it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of client connections that it has accepted and not closed.
    pub fn connections(&self) -> usize {
        const ESTABLISHED: &str = "01";
        let port = format!(":{:04X}", self.address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux shows its sockets");
        let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<&str>>());
        // Sockets without an inode are not accepted yet.
        rows.filter(|row| row[1].ends_with(&port) && row[3] == ESTABLISHED && row[9] != "0").count()
    }

    /// Returns the line that it wrote when it was ready.
    pub fn ready_line(&self) -> &str {
        &self.ready_line
    }

    /// Returns its process id.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Returns its folder.
    pub fn home(&self) -> &Arc<Home> {
        &self.home
    }

    /// Returns its standard error so far, which includes the output of its functions.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    // Calls.

    /// Opens a connection to its gateway.
    #[track_caller]
    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// Calls a function, over a connection of its own.
    #[track_caller]
    pub fn call(&self, function: &str, body: impl AsRef<[u8]>) -> Response {
        self.connect().call(function, body.as_ref())
    }

    /// Calls a function and returns the body of the answer. Panics if the status is not 200.
    #[track_caller]
    pub fn answer(&self, function: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
        let response = self.call(function, body);
        assert_eq!(response.status, 200, "{function}: {}", response.text());
        response.body
    }

    /// Like [`Engine::answer`], but returns the body as text.
    #[track_caller]
    pub fn text(&self, function: &str, body: impl AsRef<[u8]>) -> String {
        String::from_utf8(self.answer(function, body)).expect("the answer is text")
    }

    // Its state.

    /// Runs a subcommand of `nightcore` for this engine to its end.
    #[track_caller]
    pub fn nightcore(&self, subcommand: &str, arguments: &[&str]) -> Finished {
        self.home.nightcore(subcommand, arguments)
    }

    /// Returns its state as `nightcore ps` shows it.
    #[track_caller]
    pub fn status(&self) -> Status {
        let ps = self.nightcore("ps", &["--json"]);
        assert_eq!(ps.code, Some(0), "{}\n{}", ps.stderr, self.stderr());
        serde_json::from_slice(&ps.stdout).unwrap_or_else(|e| panic!("{e} in {}", ps.text()))
    }

    /// Returns the address of its metrics, which its setup must have configured.
    #[track_caller]
    pub fn admin_address(&self) -> SocketAddr {
        let metrics = self.status().metrics.expect("it has metrics");
        let address =
            metrics.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/metrics"));
        address
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("{metrics} is no address"))
    }

    /// Returns its page of metrics.
    #[track_caller]
    pub fn metrics_page(&self) -> String {
        let page = Connection::open(self.admin_address()).request("GET", "/metrics", &[], b"");
        assert_eq!(page.status, 200, "{}", page.text());
        page.text()
    }

    /// Returns its metrics.
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.metrics_page())
    }

    /// Returns the state of a function as `nightcore ps` shows it.
    #[track_caller]
    pub fn function(&self, name: &str) -> FunctionStatus {
        let found = self.status().functions.into_iter().find(|function| function.name == name);
        found.unwrap_or_else(|| panic!("ps does not show {name}"))
    }

    /// Waits until a process of the function is connected, and returns its id.
    #[track_caller]
    pub fn container(&self, function: &str) -> i32 {
        wait_for(&format!("a process of {function}"), || {
            self.function(function).processes.first().map(|process| process.pid)
        })
    }

    /// Waits until the function's log contains the text.
    #[track_caller]
    pub fn wait_for_log(&self, function: &str, text: &str) {
        wait_until(&format!("{text:?} in the log of {function}"), || {
            self.nightcore("logs", &[function]).text().contains(text)
        });
    }

    // Its processes.

    /// Returns all processes that it started, and the engine itself.
    pub fn processes(&self) -> Vec<Process> {
        process::with_variable(MARK, &self.mark)
    }

    /// Returns the launcher's process id.
    #[track_caller]
    pub fn launcher(&self) -> i32 {
        wait_for("the launcher", || {
            let launcher = self.processes().into_iter().find(|process| {
                process.parent == self.pid
                    && process.arguments.get(1).is_some_and(|word| word == "launcher")
            });
            launcher.map(|launcher| launcher.pid)
        })
    }

    // Its end.

    /// Asks it to shut down.
    pub fn terminate(&self) {
        process::signal(self.pid, Signal::SIGTERM);
    }

    /// Ends it as a user does, and checks the result: exit code 0, and no process and no file left
    /// behind. Returns how long that took.
    #[track_caller]
    pub fn stop(self) -> Duration {
        self.terminate();
        self.wait_for_end()
    }

    /// Waits for the end that was asked for, and returns how long that took.
    #[track_caller]
    pub fn wait_for_end(self) -> Duration {
        let directory = self.home.directory();
        let took = self.wait_for_end_beside_another();
        assert!(!directory.exists(), "the engine left its directory");
        took
    }

    /// Like [`Engine::wait_for_end`], for a directory that belongs to another engine by now.
    #[track_caller]
    pub fn wait_for_end_beside_another(mut self) -> Duration {
        let began = Instant::now();
        let status = self.wait_for_exit();
        let took = began.elapsed();
        assert_eq!(status, Some(0), "the engine ended with {status:?}:\n{}", self.stderr());
        self.wait_until_gone();
        took
    }

    /// Returns the output of `nightcore ps` for a test that has already failed. Must not panic.
    fn last_look(&self) -> String {
        let path = self.home.path().join("ps");
        let Ok(file) = File::create(&path) else { return String::new() };
        if let Ok(mut ps) = self.home.command("ps").arg("--json").stdout(file).spawn()
            && find_within(LAST_LOOK, || ps.try_wait().ok().flatten()).is_none()
        {
            let _ = ps.kill();
            let _ = ps.wait();
        }
        fs::read_to_string(&path).unwrap_or_default()
    }

    #[track_caller]
    fn wait_for_exit(&mut self) -> Option<i32> {
        let status = wait_for(&format!("the engine's end (at most {LONG:?})"), || {
            self.child.try_wait().expect("a child can be waited for")
        });
        status.code()
    }

    /// Kills it, as an out-of-memory killer does. Its processes should then end by themselves.
    /// Returns the time of the kill.
    #[track_caller]
    pub fn kill(&mut self) -> Instant {
        process::signal(self.pid, Signal::SIGKILL);
        let at = Instant::now();
        self.wait_for_exit();
        at
    }

    /// Waits until none of its processes is left.
    #[track_caller]
    pub fn wait_until_gone(&self) {
        let left = || -> Vec<String> { self.processes().iter().map(Process::to_string).collect() };
        wait_until_within(&format!("the end of {:?}", left()), LEFT_WITHIN, || left().is_empty());
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- what the engine said:\n{}\n--- nightcore ps:\n{}---",
                self.stderr(),
                self.last_look()
            );
        }
        // This is done twice, to catch processes that were being started during the first pass.
        for _ in 0..2 {
            for process in self.processes() {
                process::signal(process.pid, Signal::SIGKILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
