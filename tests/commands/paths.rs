//! Tests that paths are resolved as the user wrote them: those of programs, and that of the
//! configuration file by which commands find the running engine.

use harness::process::signal;
use harness::workers::c;
use harness::{Finished, Setup, nightcore, run, wait_for};
use nix::sys::signal::Signal;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

const RUNTIME_VARIABLE: &str = "XDG_RUNTIME_DIR";
/// The id of a user that owns nothing.
const NOBODY: u32 = 65_534;

/// A folder for configuration files and runtime directories.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Place {
        let folder = tempfile::Builder::new().prefix("nc").tempdir_in("/tmp").unwrap();
        let place = Place { folder };
        place.runtime("run");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Creates a runtime directory.
    fn runtime(&self, name: &str) -> PathBuf {
        fs::create_dir(self.path(name)).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o700)).unwrap();
        self.path(name)
    }

    /// Writes a configuration file with these functions.
    fn config(&self, file: &str, functions: &[&str]) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, Setup::new().functions(functions, &c()).toml()).unwrap();
    }

    /// Returns a `nightcore` command in this folder, with the runtime directory `run`.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(nightcore());
        command.args(arguments).current_dir(self.folder.path());
        command.env(RUNTIME_VARIABLE, self.path("run"));
        command
    }

    #[track_caller]
    fn run(&self, arguments: &[&str]) -> Finished {
        run(&mut self.command(arguments), b"")
    }

    #[track_caller]
    fn up(&self, config: &str) -> Running {
        Running::start(self.command(&["up", "-c", config]))
    }

    /// Returns the id of the engine that a command finds by this file.
    #[track_caller]
    fn engine_of(&self, config: &str) -> u32 {
        engine_pid(&mut self.command(&["ps", "--json", "-c", config]))
    }
}

#[test]
fn a_base_that_others_may_change_is_refused() {
    let place = Place::new();
    place.config("nightcore.toml", &["Echo"]);
    // Other users could replace the engine's directory by their own.
    let base = place.runtime("run/nightcore");
    fs::set_permissions(&base, fs::Permissions::from_mode(0o777)).unwrap();
    let up = place.run(&["up"]);
    assert_eq!(up.code, Some(2));
    assert!(up.stderr.contains(&format!("directory {}", base.display())), "{}", up.stderr);
}

/// Returns the process id of the engine that `ps` shows.
#[track_caller]
fn engine_pid(ps: &mut Command) -> u32 {
    let shown = run(ps, b"");
    assert_eq!(shown.code, Some(0), "{ps:?}: {}", shown.stderr);
    let status: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    status["pid"].as_u64().unwrap().try_into().unwrap()
}

/// An engine that was started without `--dir`.
struct Running(Child);

impl Running {
    #[track_caller]
    fn start(mut up: Command) -> Running {
        up.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).process_group(0);
        let mut running = Running(up.spawn().unwrap());
        let mut said = BufReader::new(running.0.stderr.take().unwrap()).lines();
        let mut seen = String::new();
        loop {
            let line = said.next().unwrap_or_else(|| panic!("{up:?} ended:\n{seen}")).unwrap();
            seen += &(line.clone() + "\n");
            if line.contains("ready: ") {
                break;
            }
        }
        std::thread::spawn(move || said.count());
        running
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    #[track_caller]
    fn stop(mut self) {
        signal(self.pid() as i32, Signal::SIGTERM);
        let ended = wait_for("the engine's end", || self.0.try_wait().unwrap());
        assert_eq!(ended.code(), Some(0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_program_is_told_its_absolute_path_whatever_its_folder() {
    let prints = "echo argv0 $0 in $PWD; exit 1";
    let home = Setup::new().command("Foo", &["bin/sh", "-c", prints], "cwd = \"web\"").home();
    for folder in ["bin", "web"] {
        fs::create_dir(home.path().join(folder)).unwrap();
    }
    // A virtual environment has such a link to its interpreter, which uses the path of the link to
    // find the environment.
    let link = home.path().join("bin/sh");
    symlink("/bin/sh", &link).unwrap();
    let engine = home.start_some();
    let web = home.path().join("web");
    engine.wait_for_log("Foo", &format!("argv0 {} in {}", link.display(), web.display()));
    engine.stop();
}

#[test]
fn a_switched_link_leads_to_the_same_engine() {
    let place = Place::new();
    place.config("releases/1/nightcore.toml", &["Echo"]);
    place.config("releases/2/nightcore.toml", &["Echo", "Upper"]);
    let current = place.path("current");
    symlink("releases/1", &current).unwrap();
    let engine = place.up("current/nightcore.toml");
    assert_eq!(place.engine_of("releases/1/nightcore.toml"), engine.pid(), "the same file");

    fs::remove_file(&current).unwrap();
    symlink("releases/2", &current).unwrap();
    let absolute = place.path("current/nightcore.toml");
    for config in ["current/nightcore.toml", "./current/nightcore.toml", absolute.to_str().unwrap()]
    {
        assert_eq!(place.engine_of(config), engine.pid(), "{config}");
    }
    let reloaded = place.run(&["reload", "-c", "current/nightcore.toml"]);
    assert_eq!(reloaded.code, Some(0), "{}", reloaded.stderr);
    assert!(reloaded.text().contains("added: Upper"), "{}", reloaded.text());
    let called = place.run(&["invoke", "-c", "current/nightcore.toml", "Upper", "-d", "x"]);
    assert_eq!(called.text(), "X", "{}", called.stderr);

    let other = place.run(&["ps", "-c", "releases/1/nightcore.toml"]);
    assert_eq!(other.code, Some(3), "{}", other.stderr);
    let named = format!("{} (pid {})", absolute.display(), engine.pid());
    assert!(other.stderr.contains(&named), "{}", other.stderr);

    fs::remove_dir_all(place.path("releases/2")).unwrap();
    assert_eq!(place.engine_of("current/nightcore.toml"), engine.pid(), "its file is gone");
    engine.stop();
}

#[test]
fn a_file_has_one_engine_however_it_is_written() {
    let place = Place::new();
    place.config("app/nightcore.toml", &["Echo"]);
    symlink("app/nightcore.toml", place.path("linked.toml")).unwrap();
    fs::hard_link(place.path("app/nightcore.toml"), place.path("hard.toml")).unwrap();
    let engine = place.up("app/nightcore.toml");
    for config in ["linked.toml", "hard.toml", "app/../app/nightcore.toml", "app//./nightcore.toml"]
    {
        assert_eq!(place.engine_of(config), engine.pid(), "{config}");
        let second = place.run(&["up", "-c", config]);
        assert_eq!(second.code, Some(2), "{config}");
        assert!(
            second.stderr.contains("runs already")
                && second.stderr.contains(&format!("pid {}", engine.pid())),
            "{config}: {}",
            second.stderr
        );
    }
    engine.stop();
    let mut up = place.command(&["up", "-c", "app/nightcore.toml", "--dir", "named"]);
    let named = Running::start({
        up.env_remove(RUNTIME_VARIABLE);
        up
    });
    assert_eq!(place.engine_of("app/nightcore.toml"), named.pid(), "without its directory");
    let engine = place.up("app/nightcore.toml");
    assert_eq!(place.engine_of("app/nightcore.toml"), engine.pid(), "named engines do not count");
    let several = place.run(&["ps", "-c", "linked.toml"]);
    assert_eq!(several.code, Some(0), "its own comes first: {}", several.stderr);
    engine.stop();
    named.stop();
}

#[test]
fn an_engine_is_found_whatever_the_runtime_directory() {
    let place = Place::new();
    place.config("nightcore.toml", &["Echo"]);
    let other = place.runtime("other");
    let engine = place.up("nightcore.toml");
    let finds = |place: &Place, runtime: Option<&Path>| {
        let mut ps = place.command(&["ps", "--json"]);
        match runtime {
            Some(runtime) => ps.env(RUNTIME_VARIABLE, runtime),
            None => ps.env_remove(RUNTIME_VARIABLE),
        };
        engine_pid(&mut ps)
    };
    let relative = Path::new("run");
    let absent = place.path("absent");
    for runtime in [None, Some(relative), Some(&other), Some(&absent), Some(Path::new(""))] {
        assert_eq!(finds(&place, runtime), engine.pid(), "{runtime:?}");
    }
    let logs = run(place.command(&["logs"]).env_remove(RUNTIME_VARIABLE), b"");
    assert_eq!((logs.code, logs.stderr.as_str()), (Some(0), ""));
    let second = run(place.command(&["up"]).env(RUNTIME_VARIABLE, &other), b"");
    assert_eq!(second.code, Some(2));
    assert!(second.stderr.contains("runs already"), "{}", second.stderr);
    engine.stop();

    // A new engine does not use a path that cannot be a runtime directory.
    let mut up = place.command(&["up"]);
    up.env(RUNTIME_VARIABLE, "run");
    let engine = Running::start(up);
    assert_eq!(fs::read_dir(place.path("run")).unwrap().count(), 1, "only what was there");
    assert_eq!(finds(&place, Some(relative)), engine.pid());
    assert_eq!(finds(&place, None), engine.pid());
    engine.stop();
}

#[test]
fn without_an_engine_the_message_names_the_cause() {
    let place = Place::new();
    place.config("app/nightcore.toml", &["Echo"]);
    place.config("other/nightcore.toml", &["Echo"]);
    let none = place.run(&["ps", "-c", "app/nightcore.toml"]);
    let file = place.path("app/nightcore.toml");
    assert_eq!(none.code, Some(3));
    let said = format!("no engine runs for {}; start it with `nightcore up`", file.display());
    assert!(none.stderr.contains(&said), "{}", none.stderr);

    let engine = place.up("app/nightcore.toml");
    let running = format!("{} (pid {})", file.display(), engine.pid());
    let wrong_folder = place.run(&["ps"]);
    assert_eq!(wrong_folder.code, Some(2));
    let said = format!("there is no nightcore.toml in {}", place.folder.path().display());
    assert!(
        wrong_folder.stderr.contains(&said) && wrong_folder.stderr.contains(&running),
        "{}",
        wrong_folder.stderr
    );
    let wrong_file = place.run(&["invoke", "Echo", "-d", "", "-c", "other/nightcore.toml"]);
    assert_eq!(wrong_file.code, Some(3));
    assert!(wrong_file.stderr.contains(&running), "{}", wrong_file.stderr);

    drop(engine);
    let dead = place.run(&["ps", "-c", "app/nightcore.toml"]);
    assert_eq!(dead.code, Some(3));
    assert!(dead.stderr.contains("has died"), "{}", dead.stderr);
}

#[test]
fn an_engine_of_another_user_is_named_and_not_believed() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("skipped: engines of other users, as this user cannot become another one");
        return;
    }
    let place = Place::new();
    place.config("nightcore.toml", &["Echo"]);
    for name in ["nightcore", "worker"] {
        let from = if name == "worker" { c() } else { nightcore() };
        fs::copy(from, place.path(name)).unwrap();
    }
    fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let by_nobody = |arguments: &[&str]| {
        let mut command = Command::new(place.path("nightcore"));
        command.args(arguments).current_dir(place.folder.path()).uid(NOBODY).gid(NOBODY);
        command.env_remove(RUNTIME_VARIABLE);
        command
    };
    let engine = place.up("nightcore.toml");
    // This is what `sudo -u` and `su` do when they keep the variable.
    let kept = run(by_nobody(&["ps"]).env(RUNTIME_VARIABLE, place.path("run")), b"");
    let asked = run(&mut by_nobody(&["ps"]), b"");
    for refused in [kept, asked] {
        assert_eq!(refused.code, Some(3), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("is of user root (0)")
                && refused.stderr.contains("sudo -u root")
                && refused.stderr.contains(&place.path("run").display().to_string()),
            "{}",
            refused.stderr
        );
    }
    engine.stop();

    let toml = Setup::new().functions(&["Echo"], &place.path("worker")).toml();
    fs::write(place.path("nightcore.toml"), toml).unwrap();
    let mut up = by_nobody(&["up"]);
    up.env(RUNTIME_VARIABLE, place.path("run"));
    let engine = Running::start(up);
    // Root has access, but the other user may have made the directory for root to find.
    let refused = place.run(&["invoke", "Echo", "-d", "secret"]);
    assert_eq!(refused.code, Some(3), "{}", refused.text());
    assert!(refused.stderr.contains("is of user nobody"), "{}", refused.stderr);
    engine.stop();
}
