//! A process that greets the engine in a version of the protocol of its own, which is its argument. It prints
//! what the engine says, and ends as a refused worker does.

use nightcore_runtime::ipc::socket;
use nightcore_runtime::protocol::control::{Control, ControlKind, SOCKET_VARIABLE, TOKEN_VARIABLE};
use std::error::Error;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::ExitCode;

fn greet(version: u16) -> Result<String, Box<dyn Error>> {
    let hex = std::env::var(TOKEN_VARIABLE)?;
    let byte = |at: usize| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16);
    let mut token = [0; 16];
    for (at, to) in token.iter_mut().enumerate() {
        *to = byte(at)?;
    }
    let connection = socket::connect_to(Path::new(&std::env::var(SOCKET_VARIABLE)?))?;
    let hello = Control { version, oldest_version: version, token, ..Control::new(ControlKind::Hello) };
    socket::send(connection.as_fd(), hello, "raw\nEcho", &[])?;
    let answer = socket::receive(connection.as_fd())?.ok_or("the engine closed the connection")?;
    Ok(format!("{:?}: {}", answer.kind, answer.text))
}

fn main() -> ExitCode {
    let version = std::env::args().nth(1).and_then(|version| version.parse().ok()).unwrap_or_default();
    match greet(version) {
        Ok(answer) => eprintln!("{answer}"),
        Err(error) => eprintln!("{error}"),
    }
    ExitCode::from(2)
}
