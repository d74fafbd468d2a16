//! Messages of a channel and of the control socket, and the content of a FAILED message.

use nightcore_runtime::ipc::inbox::{Filled, Inbox};
use nightcore_runtime::protocol::control::{FromContainer, FromEngine, ReadControl};
use nightcore_runtime::protocol::limits::MAX_MESSAGE_BYTES;
use nightcore_runtime::protocol::{InlinePayload, Message, ToEngine, ToWorker, WireFailure};
use std::io::Write;
use std::os::fd::AsFd;

pub(super) fn target(data: &[u8]) {
    if let Ok(message) = FromEngine::read(data) {
        // Fields without a meaning for a kind are left out when the message is written again.
        let written = message.write();
        assert_eq!(FromEngine::read(written.as_bytes()).as_ref(), Ok(&message));
    }
    if let Ok(FromContainer::Hello(hello)) = FromContainer::read(data) {
        let written = hello.write();
        assert!(matches!(FromContainer::read(written.as_bytes()), Ok(FromContainer::Hello(_))));
    }
    let mut rest = data;
    let mut whole = 0;
    while let Ok(Some((message, len))) = Message::parse(rest) {
        assert!(len <= MAX_MESSAGE_BYTES);
        assert_eq!(message.as_bytes(), &rest[..len]);
        if let Ok(ToEngine::CallFailed(failed)) = ToEngine::read(&message) {
            read_failure(failed.failure);
        }
        if let Ok(ToWorker::AnswerFailed(failed)) = ToWorker::read(&message) {
            read_failure(failed.failure);
        }
        rest = &rest[len..];
        whole += 1;
    }
    assert_eq!(read_from_pipe(data, whole), whole);
}

/// Checks that a failure that was read can be sent on, and stays the same except for parts that do
/// not fit.
fn read_failure(failure: WireFailure<'_>) {
    let read = failure.decode("F");
    let (metadata, text) = read.encode();
    let payload = InlinePayload { metadata: metadata.as_bytes(), body: text.as_bytes() };
    let again = WireFailure { payload, ..failure }.decode("F");
    assert!(read.message.starts_with(&again.message));
    assert!(again.cause.len() <= read.cause.len());
}

/// Reads the same bytes in pieces through a pipe. Returns the number of messages, which is at least
/// that of the complete messages in the bytes.
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
        // The bytes after the last complete message may break a rule, and would remain.
        if seen == expected {
            return seen;
        }
    }
    drop(writer);
    assert_eq!(inbox.fill(reader.as_fd()).expect("the pipe is open"), Filled::End);
    seen
}
