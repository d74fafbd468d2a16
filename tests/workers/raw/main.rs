//! A process that speaks the protocol without the worker runtime, and breaks its rules. Its
//! argument selects how. With a number it sends a greeting of this version, prints the engine's
//! answer, and exits as a refused worker does. With "garbage" it sends a valid greeting, and
//! answers its first call with bytes that are not a message. With "ring" the name of its function
//! selects a mistake with its ring. With "lies" the name selects a mistake on a channel of either
//! kind or on the control socket; "lies-of-loops" makes the same mistakes as an event loop.

mod channel;
mod lies;
#[path = "../../wire/raw.rs"]
mod raw;
mod ring;
mod wrongs;

use crate::raw::{ControlKind, Kind, RawControl, RawHeader, RawMessage, RawReceived};
use nightcore_runtime::ipc::socket;
use nightcore_runtime::protocol::control::{FUNCTION_VARIABLE, SOCKET_VARIABLE, TOKEN_VARIABLE};
use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Connects and sends a greeting. Returns the connection and the engine's answer.
fn greet(version: u16) -> Result<(OwnedFd, RawReceived)> {
    greet_as(0, version)
}

/// Does the same in the mode of worker threads, 0, or of an event loop, 1.
fn greet_as(mode: u16, version: u16) -> Result<(OwnedFd, RawReceived)> {
    let hex = std::env::var(TOKEN_VARIABLE)?;
    let mut token = [0; 16];
    for (at, byte) in token.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * at..2 * at + 2).ok_or("a short token")?, 16)?;
    }
    let connection = socket::connect_to(Path::new(&std::env::var(SOCKET_VARIABLE)?))?;
    let hello = RawControl {
        mode,
        version,
        oldest_version: version,
        token,
        ..RawControl::new(ControlKind::Hello)
    };
    let function = std::env::var(FUNCTION_VARIABLE)?;
    raw::send(connection.as_fd(), hello, &format!("raw\n{function}"), &[])?;
    let answer = raw::receive(connection.as_fd())?.ok_or("the engine closed the connection")?;
    Ok((connection, answer))
}

fn answer_with_garbage() -> Result<()> {
    // Version 1 of the protocol has named pipes only.
    let (connection, _) = greet(1)?;
    let created = raw::receive(connection.as_fd())?.ok_or("the engine made no worker")?;
    let [reader, writer] =
        <[OwnedFd; 2]>::try_from(created.descriptors).map_err(|_| "no pipes came")?;
    nightcore_runtime::ipc::channel::set_blocking(&reader)?;
    let (mut reader, mut writer) = (File::from(reader), File::from(writer));
    writer.write_all(RawMessage::new(RawHeader::new(Kind::Ready, 0), b"", &[]).as_bytes())?;
    let mut call = [0; 1024];
    let _ = reader.read(&mut call)?;
    writer.write_all(&[0xa5; 200])?;
    // The process does not end by itself, because the engine must end it.
    std::thread::sleep(Duration::from_secs(3600));
    Ok(())
}

/// Exits only when the engine shuts down. If the process breaks a rule, the engine must end it.
fn end_when_told(connection: &OwnedFd) {
    loop {
        match raw::receive(connection.as_fd()) {
            Ok(Some(received)) if received.kind == ControlKind::Shutdown => std::process::exit(0),
            Ok(Some(_)) => {}
            _ => std::thread::sleep(Duration::from_secs(3600)),
        }
    }
}

fn misuse_the_ring() -> Result<()> {
    let (connection, welcome) = greet(2)?;
    let created = raw::receive(connection.as_fd())?.ok_or("the engine made no worker")?;
    std::thread::spawn(move || end_when_told(&connection));
    wrongs::run(&welcome.text, ring::Ring::new(created.descriptors)?)
}

fn lie(mode: u16) -> Result<()> {
    let (connection, welcome) = greet_as(mode, 2)?;
    let created = raw::receive(connection.as_fd())?.ok_or("the engine made no worker")?;
    lies::run(&welcome.text, &connection, channel::Channel::new(created.descriptors)?)
}

fn main() -> ExitCode {
    let how = std::env::args().nth(1).unwrap_or_default();
    let result = match how.parse() {
        Ok(version) => {
            greet(version).map(|(_, answer)| eprintln!("{:?}: {}", answer.kind, answer.text))
        }
        Err(_) if how == "ring" => misuse_the_ring(),
        Err(_) if how == "lies" => lie(0),
        Err(_) if how == "lies-of-loops" => lie(1),
        Err(_) => answer_with_garbage(),
    };
    if let Err(error) = result {
        eprintln!("{error}");
    }
    ExitCode::from(2)
}
