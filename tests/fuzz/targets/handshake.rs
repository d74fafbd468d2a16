//! The control socket before a process has identified itself: greetings in any form and order, on
//! several connections.

use crate::engine::{self, Engine, HOSTILE, hello, receive};
use crate::raw::{self, ControlKind, RawControl};
use crate::steps::Steps;
use nightcore_runtime::protocol::control::{ChannelKind, Mode};
use nightcore_runtime::protocol::limits::TOKEN_BYTES;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

const MAX_CONNECTIONS: usize = 8;
const VERSION: u16 = nightcore_runtime::protocol::VERSION;

pub(super) fn target(data: &[u8]) {
    engine::run(ChannelKind::Fifo, async |engine| {
        let mut steps = Steps::new(data);
        let tokens = [engine.token(), engine.token()];
        let mut connections: Vec<OwnedFd> = Vec::new();
        while !steps.is_over() {
            step(engine, &tokens, &mut connections, &mut steps).await;
        }
        engine.turn().await;
        drop(connections);
        // The next process with a valid token must be admitted.
        let connection = engine.connect();
        let hello = hello(engine.token(), VERSION, Mode::Threads);
        raw::send(connection.as_fd(), hello, &format!("library\n{HOSTILE}"), &[])
            .expect("the engine listens");
        assert_eq!(receive(&connection).await.kind, ControlKind::Welcome);
    });
}

async fn step(
    engine: &mut Engine,
    tokens: &[[u8; TOKEN_BYTES]; 2],
    connections: &mut Vec<OwnedFd>,
    steps: &mut Steps<'_>,
) {
    let (what, which) = (steps.u8() % 6, usize::from(steps.u8()));
    if what == 0 {
        if connections.len() < MAX_CONNECTIONS {
            connections.push(engine.connect());
        }
        return;
    }
    if what == 1 {
        return engine.turn().await;
    }
    if connections.is_empty() {
        return;
    }
    let which = which % connections.len();
    match what {
        2 => drop(connections.swap_remove(which)),
        3 | 4 => {
            let bytes = greeting(tokens, steps);
            send(&connections[which], &bytes, usize::from(steps.u8() % 16));
        }
        _ => send(&connections[which], steps.text(), usize::from(steps.u8() % 16)),
    }
}

/// Returns bytes similar to a greeting.
fn greeting(tokens: &[[u8; TOKEN_BYTES]; 2], steps: &mut Steps<'_>) -> Vec<u8> {
    let mut token = [0; TOKEN_BYTES];
    match steps.u8() % 4 {
        which @ 0..=2 => token = tokens[usize::from(which) % 2],
        _ => token[0] = steps.u8(),
    }
    let kind = ControlKind::from_number(u16::from(steps.u8() % 12)).unwrap_or(ControlKind::Hello);
    let control = RawControl {
        token,
        version: u16::from(steps.u8() % 4),
        oldest_version: u16::from(steps.u8() % 4),
        mode: u16::from(steps.u8() % 3),
        id: steps.number(),
        size: steps.number(),
        reserved: u32::from(steps.u8() == 1),
        ..RawControl::new(if steps.u8() & 3 == 0 { kind } else { ControlKind::Hello })
    };
    let names = match steps.u8() % 4 {
        0 | 1 => format!("library\n{HOSTILE}"),
        2 => String::from_utf8_lossy(steps.text()).into_owned(),
        _ => "x\n".repeat(usize::from(steps.u16())),
    };
    control.encode(&names)
}

/// Sends a datagram with this many descriptors. The engine may refuse it.
fn send(connection: &OwnedFd, bytes: &[u8], descriptors: usize) {
    let raw = vec![connection.as_raw_fd(); descriptors];
    let rights = [ControlMessage::ScmRights(&raw)];
    let ancillary = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    let _ = sendmsg::<()>(
        connection.as_raw_fd(),
        &[IoSlice::new(bytes)],
        ancillary,
        MsgFlags::MSG_NOSIGNAL,
        None,
    );
}
