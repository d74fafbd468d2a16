//! Tests that no command panics when standard output or standard error fails.

use harness::workers::c;
use harness::{Engine, Setup, nightcore, wait_for, wait_until};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, PipeWriter, Read};
use std::process::{Child, Command, Stdio};

/// Returns a pipe that nobody reads.
fn closed_pipe() -> PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

/// Returns a file on a full disk.
fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").unwrap()
}

/// Runs a command to its end. Returns its exit code, and its standard error unless that was
/// redirected.
#[track_caller]
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut said = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        said.iter_mut().for_each(|said| drop(said.read_to_string(&mut text)));
        text
    });
    let status = wait_for("the end of the command", || child.try_wait().unwrap());
    (status.code(), reader.join().unwrap())
}

/// Returns every command that prints to standard output.
fn printing(engine: &Engine) -> Vec<Command> {
    let home = engine.home();
    let of = |subcommand: &str, arguments: &[&str]| {
        let mut command = home.command(subcommand);
        command.args(arguments);
        command
    };
    let alone = |arguments: &[&str]| {
        let mut command = Command::new(nightcore());
        command.args(arguments).current_dir(home.path());
        command
    };
    let brief = ["Echo", "-d", "x", "--rate", "100", "--duration", "20ms", "--warm-up", "0ms"];
    vec![
        alone(&["check"]),
        alone(&["check", "--print"]),
        of("ps", &[]),
        of("ps", &["--json"]),
        of("logs", &[]),
        of("logs", &["Print"]),
        of("logs", &["--json"]),
        of("logs", &["-f"]),
        of("invoke", &["Echo", "-d", "x"]),
        of("bench", &brief),
        of("bench", &[&brief[..], &["--json"]].concat()),
        of("reload", &[]),
        of("reload", &["--all", "--no-wait"]),
        alone(&["--version"]),
        alone(&["--help"]),
        alone(&["help"]),
        alone(&["help", "up"]),
        alone(&["ps", "--help"]),
    ]
}

fn engine_with_output() -> Engine {
    let engine = Setup::new().functions(&["Echo", "Print"], &c()).start();
    engine.answer("Print", "printed\n");
    engine.wait_for_log("Print", "printed");
    engine
}

#[test]
fn a_reader_that_has_left_is_no_error() {
    let engine = engine_with_output();
    for mut command in printing(&engine) {
        let (code, said) = ended(command.stdout(closed_pipe()).stderr(Stdio::piped()));
        assert_eq!((code, said.as_str()), (Some(0), ""), "{command:?}");
    }
    engine.stop();
}

#[test]
fn a_full_disk_is_one_error() {
    let engine = engine_with_output();
    for mut command in printing(&engine) {
        let (code, said) = ended(command.stdout(full()).stderr(Stdio::piped()));
        assert_eq!(code, Some(4), "{command:?}: {said}");
        let cause = said.strip_prefix("nightcore: cannot write to standard output: ");
        assert!(
            cause.is_some_and(|cause| cause.contains("No space") && cause.lines().count() == 1),
            "{command:?}: {said}"
        );
    }
    engine.stop();
}

#[test]
fn an_error_that_nobody_can_be_told_has_its_exit_code() {
    let engine = Setup::new().functions(&["Echo"], &c()).start();
    let failing: [(&str, &[&str], i32); 4] = [
        ("invoke", &["Nobody", "-d", ""], 1),
        ("invoke", &["not/a/name", "-d", ""], 2),
        ("logs", &["Nobody"], 2),
        ("ps", &["--no-such-option"], 2),
    ];
    for (subcommand, arguments, code) in failing {
        let said_to = [Stdio::from(closed_pipe()), full().into()];
        for stderr in said_to {
            let mut command = engine.home().command(subcommand);
            let (ended, _) = ended(command.args(arguments).stdout(Stdio::null()).stderr(stderr));
            assert_eq!(ended, Some(code), "{command:?}");
        }
    }
    engine.stop();
}

#[test]
fn logs_that_follow_end_with_their_reader() {
    let engine = engine_with_output();
    let mut logs = engine.home().command("logs");
    let mut logs: Child = logs.arg("-f").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(logs.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().ends_with("printed"));
    drop(lines);
    let status = wait_for("the end of the command", || logs.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    engine.stop();
}

#[test]
fn an_engine_serves_on_when_nobody_can_be_told() {
    let home = Setup::new().functions(&["Print", "Pid"], &c()).home();
    for subcommand in ["up", "dev"] {
        for is_full in [false, true] {
            let out = || if is_full { Stdio::from(full()) } else { closed_pipe().into() };
            let engine = home.start_to(subcommand, out(), out());
            engine.answer("Print", "printed\n");
            engine.wait_for_log("Print", "printed");
            // A launcher that ended because of the failure would be replaced, together with all
            // functions.
            let (launcher, pid) = (engine.launcher(), engine.text("Pid", ""));
            engine.answer("Print", "printed again\n");
            engine.wait_for_log("Print", "printed again");
            assert_eq!(engine.nightcore("reload", &[]).code, Some(0));
            assert_eq!((engine.launcher(), engine.text("Pid", "")), (launcher, pid));
            engine.stop();
        }
    }
}

#[test]
fn an_engine_whose_line_cannot_be_taken_does_not_wait_for_that() {
    use std::os::fd::AsRawFd;

    let home = Setup::new().functions(&["Echo"], &c()).home();
    let (reader, writer) = std::io::pipe().unwrap();
    // SAFETY: the descriptor is open, and F_SETFL takes a number.
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    while nix::unistd::write(&writer, &[0; 4096]).is_ok() {}
    let engine = home.start_to("up", Stdio::null(), writer);
    wait_until("the function to be called", || engine.text("Echo", "x") == "x");
    engine.stop();
    drop(reader);
}
