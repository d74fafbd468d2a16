//! Tests that the output of functions and other text from outside cannot control the terminal.

use harness::process::signal;
use harness::workers::c;
use harness::{Engine, Setup, wait_for, wait_until};
use nix::sys::signal::Signal;
use std::fs::File;
use std::io::Read;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};

/// On a terminal this text looks like a line of another function: it returns to the left edge, or
/// moves up, and overwrites text.
const FORGED: &str = "\rGood | forged\x1b[2K\x1b[1A\u{9b}2J\u{202e}\x07\x1b]0;title\x07";
const SHOWN: &str = "^MGood | forged^[[2K^[[1A<U+009B>2J<U+202E>^G^[]0;title^G";
const RED: &str = "\x1b[31mred";

/// A terminal, and the text that was shown on it.
struct Terminal {
    end: OwnedFd,
    shown: Arc<Mutex<Vec<u8>>>,
}

/// Opens a terminal. Returns the side of its user, and the side of programs.
fn open_terminal() -> (File, OwnedFd) {
    let (mut master, mut end) = (0, 0);
    // SAFETY: openpty writes two integers, and takes null for the name, the settings and the size.
    let made = unsafe { libc::openpty(&mut master, &mut end, null_mut(), null_mut(), null_mut()) };
    assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: both descriptors were opened just now, and nothing else owns them.
    unsafe { (File::from_raw_fd(master), OwnedFd::from_raw_fd(end)) }
}

impl Terminal {
    fn new() -> Terminal {
        let (mut master, end) = open_terminal();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let seen = shown.clone();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(got @ 1..) = master.read(&mut bytes) {
                seen.lock().unwrap().extend_from_slice(&bytes[..got]);
            }
        });
        Terminal { end, shown }
    }

    fn stdio(&self) -> Stdio {
        self.end.try_clone().unwrap().into()
    }

    /// Returns the text that was shown, with the line ends that programs print.
    fn text(&self) -> String {
        let shown = self.shown.lock().unwrap();
        String::from_utf8_lossy(&shown).replace("\r\n", "\n")
    }

    /// Waits until a line with this end is shown, and returns it.
    #[track_caller]
    fn line(&self, end: &str) -> String {
        wait_for(&format!("a line that ends with {end:?}"), || {
            self.text().split('\n').find(|line| line.ends_with(end)).map(str::to_owned)
        })
    }

    /// Runs a command on the terminal to its end. Returns its exit code.
    #[track_caller]
    fn run(&self, command: &mut Command) -> Option<i32> {
        command.stdin(Stdio::null()).stdout(self.stdio()).stderr(self.stdio());
        let mut child = command.spawn().unwrap();
        let status = wait_for("the end of the command", || child.try_wait().unwrap());
        // The output comes in order, so all of it was shown once the mark is shown.
        self.run_mark();
        status.code()
    }

    #[track_caller]
    fn run_mark(&self) {
        nix::unistd::write(&self.end, b"end of the command\n").unwrap();
        wait_until("all of it to be shown", || self.text().ends_with("end of the command\n"));
    }
}

/// Checks that a text has no control characters except those of colours.
#[track_caller]
fn is_harmless(shown: &str) {
    // Lines of HTTP end with these two characters.
    let plain = shown.replace("\r\n", "\n").replace("\x1b[31m", "").replace("\x1b[0m", "");
    let control = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert!(!plain.contains(control), "{shown:?}");
}

fn printed(engine: &Engine) {
    engine.answer("Print", format!("{FORGED}\n{RED}\nplain\n"));
    engine.wait_for_log("Print", "plain");
}

#[test]
fn an_engine_shows_what_functions_print_and_no_commands() {
    let home = Setup::new().functions(&["Print"], &c()).home();
    let terminal = Terminal::new();
    let engine = home.start_to("up", Stdio::null(), terminal.stdio());
    printed(&engine);
    assert_eq!(terminal.line(SHOWN), format!("Print | {SHOWN}"));
    assert_eq!(terminal.line("red\x1b[0m"), format!("Print | {RED}\x1b[0m"));
    terminal.line("plain");
    is_harmless(&terminal.text());
    engine.stop();
}

#[test]
fn a_terminal_that_nobody_reads_holds_nobody_up() {
    let home = Setup::new().functions(&["Print", "Echo"], &c()).home();
    let (master, end) = open_terminal();
    let engine = home.start_to("up", Stdio::null(), end);
    // The lines are short, because a terminal takes the beginning of the last line that it has room
    // for.
    engine.answer("Print", "ab\n".repeat(100_000) + "after\n");
    // The launcher has read all of it and still starts and reaps processes, and the engine goes on.
    engine.wait_for_log("Print", "after");
    let killed = engine.container("Echo");
    signal(killed, Signal::SIGKILL);
    wait_until("another process to serve", || {
        let echo = engine.function("Echo");
        echo.workers > 0 && echo.processes.iter().all(|process| process.pid != killed)
    });
    assert_eq!(engine.text("Echo", "x"), "x");
    engine.stop();
    drop(master);
}

#[test]
fn dev_shows_what_functions_print_and_no_commands() {
    let home = Setup::new().functions(&["Print"], &c()).home();
    let terminal = Terminal::new();
    let engine = home.start_to("dev", Stdio::null(), terminal.stdio());
    printed(&engine);
    let line = terminal.line(&format!("{SHOWN}\x1b[0m"));
    assert!(line.contains("Print"), "{line:?}");
    let left = terminal.text().replace('\x1b', "");
    assert!(!left.contains(|c: char| c.is_control() && c != '\n'), "{left:?}");
    assert!(!terminal.text().contains("\x1b[2K"));
    engine.stop();
}

#[test]
fn commands_show_no_commands_to_the_terminal() {
    let broken = "printf '\\rGood | forged\\033[2K\\n'; exit 1";
    let home = Setup::new()
        .functions(&["Print", "Echo", "Fail"], &c())
        .command("Broken", &["sh", "-c", broken], "")
        .home();
    let engine = home.start_some();
    printed(&engine);
    let shown = |subcommand: &str, arguments: &[&str]| {
        let terminal = Terminal::new();
        let code = terminal.run(home.command(subcommand).args(arguments));
        let text = terminal.text();
        is_harmless(&text);
        (code, text)
    };
    for arguments in [&["Print"][..], &[], &["Print", "-n", "3"]] {
        let (code, logs) = shown("logs", arguments);
        assert_eq!(code, Some(0));
        assert!(logs.contains(SHOWN) && logs.contains(RED), "{logs:?}");
    }
    let (_, json) = shown("logs", &["--json", "Print"]);
    assert!(json.contains("\\u001b[2K\\u001b[1A\\u009b2J\\u202e"), "{json:?}");
    let (_, ps) = shown("ps", &[]);
    assert!(ps.contains("Broken | ") && ps.contains("^MGood | forged^[[2K"), "{ps:?}");
    shown("ps", &["--json"]);
    let (code, answer) = shown("invoke", &["Echo", "-d", &format!("{FORGED}\n{RED}\n")]);
    assert_eq!((code, answer.contains(SHOWN)), (Some(0), true), "{answer:?}");
    shown("invoke", &["Echo", "-i", "-d", FORGED]);
    let forged = format!("{FORGED}\nnightcore: no engine runs");
    let (code, failed) = shown("invoke", &["Fail", "-d", &forged]);
    assert_eq!(code, Some(1));
    let indented = format!("Fail: FUNCTION_FAILED: {SHOWN}\n  nightcore: no engine runs\n");
    assert!(failed.contains(&indented), "{failed:?}");
    engine.stop();
}

#[test]
fn pipes_and_files_get_the_bytes_as_they_were_printed() {
    let engine = Setup::new().functions(&["Print", "Echo"], &c()).start();
    printed(&engine);
    assert!(engine.nightcore("logs", &["Print"]).text().contains(FORGED));
    assert!(engine.stderr().contains(&format!("Print | {FORGED}\n")));
    assert_eq!(engine.nightcore("invoke", &["Echo", "-d", FORGED]).text(), FORGED);
    engine.stop();
}
