//! Runs a command to its end, with a time limit.

use crate::wait::{LONG, wait_for};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code; `None` if a signal ended the command.
    pub code: Option<i32>,
    /// The bytes of its standard output.
    pub stdout: Vec<u8>,
    /// The text of its standard error.
    pub stderr: String,
}

impl Finished {
    /// Returns its standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Kills the command when a test fails before the command has ended.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a command with this standard input. Panics if the command does not end.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Finished {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let shown = format!("{command:?}");
    let mut running = Running(command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}")));
    let child = &mut running.0;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let mut stdin = child.stdin.take().expect("it was asked for");
    let input = input.to_vec();
    // A command that does not read its input may close it.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let status = wait_for(&format!("the end of {shown} (at most {LONG:?})"), || {
        running.0.try_wait().expect("a child can be waited for")
    });
    let join = "a reader does not panic";
    writer.join().expect(join);
    let stderr = String::from_utf8_lossy(&stderr.join().expect(join)).into_owned();
    Finished { code: status.code(), stdout: stdout.join().expect(join), stderr }
}

fn drain<R: Read + Send + 'static>(from: Option<R>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.expect("it was asked for").read_to_end(&mut bytes);
        bytes
    })
}
