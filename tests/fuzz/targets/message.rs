//! Messages of a channel and of the control socket, and what a FAILED carries.

use nightcore_runtime::ipc::inbox::{Filled, Inbox};
use nightcore_runtime::protocol::control::Control;
use nightcore_runtime::protocol::limits::{HEADER_BYTES, MAX_MESSAGE_BYTES};
use nightcore_runtime::protocol::{Failure, Kind, Message, Status};
use std::io::Write;
use std::os::fd::AsFd;

pub(super) fn target(data: &[u8]) {
    if let Ok((kind, control, text)) = Control::parse(data) {
        assert_eq!(kind as u16, control.kind);
        assert_eq!(control.encode(text), data);
    }
    let mut rest = data;
    let mut whole = 0;
    while let Ok(Some((message, len))) = Message::parse(rest) {
        assert!(len <= MAX_MESSAGE_BYTES);
        assert_eq!(HEADER_BYTES + message.name.len() + message.inline.len(), len);
        if message.kind == Kind::Failed {
            read_failure(&message);
        }
        rest = &rest[len..];
        whole += 1;
    }
    assert_eq!(read_from_pipe(data, whole), whole);
}

/// A failure that was read can be sent on, and is the same then but for what does not fit.
fn read_failure(message: &Message<'_>) {
    let Some(status) = Status::failure_from_wire(message.header.status) else { return };
    let Some((metadata, body)) =
        message.inline.split_at_checked(message.header.metadata_len as usize)
    else {
        return;
    };
    let read = Failure::decode(status, "F", metadata, body);
    let (metadata, text) = read.encode();
    let again = Failure::decode(status, "F", metadata.as_bytes(), text.as_bytes());
    assert!(read.message.starts_with(&again.message));
    assert!(again.cause.len() <= read.cause.len());
}

/// The same bytes, in pieces, through a pipe: at least as many messages as are whole in it.
fn read_from_pipe(data: &[u8], expected: usize) -> usize {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let (mut inbox, mut seen) = (Inbox::default(), 0);
    let piece = 1 + data.first().map_or(0, |first| usize::from(*first) * 7);
    for part in data.chunks(piece) {
        writer.write_all(part).expect("a pipe has room for a piece");
        inbox.fill(reader.as_fd()).expect("the pipe is open");
        while seen < expected && matches!(inbox.take(), Ok(Some(_))) {
            seen += 1;
        }
        // What follows the last whole message may break a rule, and would stay.
        if seen == expected {
            return seen;
        }
    }
    drop(writer);
    assert_eq!(inbox.fill(reader.as_fd()).expect("the pipe is open"), Filled::End);
    seen
}
