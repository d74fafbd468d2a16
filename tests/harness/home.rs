//! A folder with a nightcore.toml and the engine's directory beside it.

use crate::build::nightcore;
use crate::command::{Finished, run};
use crate::engine::Engine;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// A variable that is set for every process of an engine. Its value is the home and the engine's
/// number there. It identifies the processes, whatever their parents are.
pub(crate) const MARK: &str = "NIGHTCORE_TEST_HOME";
/// The variables of sanitizers, with which `make test-deep` builds libnightcore, as TOML.
const SANITIZERS: &str = r#""ASAN_OPTIONS", "TSAN_OPTIONS""#;
/// The argument that lets other processes of this user trace the engine.
const TRACE: &str = "--trace";
/// The maximum length of the base folder: an engine's directory of more than 90 bytes is refused.
const MAX_BASE_BYTES: usize = 60;

/// A place for one engine at a time.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    starts: AtomicU32,
}

impl Home {
    /// Creates a new folder with this nightcore.toml.
    pub fn new(toml: &str) -> Arc<Home> {
        let base = Some(std::env::temp_dir()).filter(|dir| dir.as_os_str().len() <= MAX_BASE_BYTES);
        let base = base.unwrap_or_else(|| "/tmp".into());
        let folder =
            tempfile::Builder::new().prefix("nc").tempdir_in(base).expect("a temporary folder");
        let home = Home { folder, starts: AtomicU32::new(0) };
        fs::write(home.config(), toml).expect("the folder is writable");
        Arc::new(home)
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the path of the configuration.
    pub fn config(&self) -> PathBuf {
        self.path().join("nightcore.toml")
    }

    /// Returns the engine's directory.
    pub fn directory(&self) -> PathBuf {
        self.path().join("engine")
    }

    /// Returns the command `nightcore` with this subcommand, for the engine of this home.
    pub fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(nightcore());
        command
            .arg(subcommand)
            .arg("--config")
            .arg(self.config())
            .arg("--dir")
            .arg(self.directory());
        command.current_dir(self.path());
        // Tests look at the engine through /proc, which otherwise only root can.
        if matches!(subcommand, "up" | "dev") && !nix::unistd::geteuid().is_root() {
            command.arg(TRACE);
        }
        command
    }

    /// Runs a subcommand to its end.
    #[track_caller]
    pub fn nightcore(&self, subcommand: &str, arguments: &[&str]) -> Finished {
        run(self.command(subcommand).args(arguments), b"")
    }

    /// Runs `nightcore up`, which is expected to end by itself.
    #[track_caller]
    pub fn up_in_vain(&self) -> Finished {
        self.nightcore("up", &[])
    }

    /// Starts an engine. Panics unless all its functions become ready.
    #[track_caller]
    pub fn start(self: &Arc<Self>) -> Engine {
        let engine = self.start_some();
        assert!(
            !engine.ready_line().contains("failed"),
            "{}\n{}",
            engine.ready_line(),
            engine.stderr()
        );
        engine
    }

    /// Starts an engine, some of whose functions may fail.
    #[track_caller]
    pub fn start_some(self: &Arc<Self>) -> Engine {
        self.start_by(self.command("up"))
    }

    /// Starts an engine with `nightcore dev`.
    #[track_caller]
    pub fn start_dev(self: &Arc<Self>) -> Engine {
        self.start_by(self.command("dev"))
    }

    /// Starts an engine with `nightcore dev`, with these variables in its environment.
    #[track_caller]
    pub fn start_dev_with(self: &Arc<Self>, variables: &[(&str, &str)]) -> Engine {
        let mut command = self.command("dev");
        command.envs(variables.iter().copied());
        self.start_by(command)
    }

    /// Starts an engine with this subcommand, with its standard output and standard error
    /// redirected.
    #[track_caller]
    pub fn start_to(
        self: &Arc<Self>,
        subcommand: &str,
        stdout: impl Into<Stdio>,
        stderr: impl Into<Stdio>,
    ) -> Engine {
        self.start_with(self.command(subcommand), Some((stdout.into(), stderr.into())))
    }

    /// Starts an engine under another program, such as strace.
    #[track_caller]
    pub fn start_under(self: &Arc<Self>, program: &str, arguments: &[impl AsRef<OsStr>]) -> Engine {
        let up = self.command("up");
        let mut command = Command::new(program);
        command.args(arguments).arg(up.get_program()).args(up.get_args());
        command.current_dir(self.path());
        self.start_by(command)
    }

    /// Starts an engine under another program. Only root can trace the engine.
    #[track_caller]
    pub fn start_untraced(self: &Arc<Self>, program: &str, arguments: &[&str]) -> Engine {
        let up = self.command("up");
        let mut command = Command::new(program);
        command.args(arguments).arg(up.get_program());
        command.args(up.get_args().filter(|argument| *argument != TRACE));
        command.current_dir(self.path());
        self.start_by(command)
    }

    #[track_caller]
    fn start_by(self: &Arc<Self>, command: Command) -> Engine {
        self.start_with(command, None)
    }

    #[track_caller]
    fn start_with(
        self: &Arc<Self>,
        mut command: Command,
        outputs: Option<(Stdio, Stdio)>,
    ) -> Engine {
        let mark =
            format!("{}#{}", self.path().display(), self.starts.fetch_add(1, Ordering::Relaxed));
        command.env(MARK, &mark);
        let inherited = format!("defaults.env_inherit=[{MARK:?}, {SANITIZERS}]");
        command.arg("--set").arg(inherited);
        Engine::start(self.clone(), mark, command, outputs)
    }
}
