//! A ring to whose memory the other side writes anything, between the steps of this side or at the
//! same time. This side is the engine or a worker.

use crate::beside::beside;
use crate::raw::{Kind, RawHeader, RawMessage};
use crate::steps::Steps;
use nightcore_runtime::ipc::ring::{self, RingReader, RingWriter, Sent, Side};
use nightcore_runtime::protocol::limits::{LINE_BYTES, MAX_MESSAGE_BYTES, RING_LINES};
use nix::sys::uio::pwrite;
use std::os::fd::OwnedFd;

/// The size of the page of words. The file consists of this page and two rings.
pub(crate) const WORDS_BYTES: u64 = 4096;
pub(crate) const FILE_BYTES: u64 = WORDS_BYTES + 2 * RING_LINES as u64 * LINE_BYTES as u64;

pub(super) fn target(data: &[u8]) {
    let mut steps = Steps::new(data);
    let file = ring::create_file().expect("shared memory");
    let how = steps.u8();
    let (side, other) =
        if how & 1 == 0 { (Side::Engine, Side::Worker) } else { (Side::Worker, Side::Engine) };
    if how & 2 == 0 {
        use_side(&file, side, &mut steps);
    } else {
        let theirs = steps.text();
        beside(
            || use_side(&file, other, &mut Steps::new(theirs)),
            || use_side(&file, side, &mut steps),
        );
    }
}

fn use_side(file: &OwnedFd, side: Side, steps: &mut Steps<'_>) {
    let (mut writer, mut reader) = ring::open(file, side).expect("a ring");
    while !steps.is_over() {
        match steps.u8() % 8 {
            0 => send(&mut writer, steps),
            1 | 2 => {
                // A broken rule ends the channel.
                if !take(&mut reader) {
                    return;
                }
            }
            3 => {
                reader.begin_wait();
                reader.end_wait();
            }
            4 => {
                if writer.begin_wait() {
                    writer.end_wait();
                }
            }
            5 => change_word(file, steps),
            6 => change_line(file, steps),
            _ => put_message(file, steps),
        }
    }
    while take(&mut reader) && reader.has_message() {}
}

fn send(writer: &mut RingWriter, steps: &mut Steps<'_>) {
    let body = vec![7; usize::from(steps.u16()) % 961];
    let header = RawHeader { body_len: body.len() as u64, ..RawHeader::new(Kind::Complete, 1) };
    let message = RawMessage::new(header, b"", &[&body]);
    if writer.send(message.as_bytes()) == Sent::Full {
        writer.begin_wait();
        writer.end_wait();
    }
}

/// Takes a message. Returns false if a rule was broken.
fn take(reader: &mut RingReader) -> bool {
    match reader.take() {
        Ok(Some(message)) => {
            let len = message.as_bytes().len();
            assert!(len <= MAX_MESSAGE_BYTES);
            reader.give_back();
            true
        }
        Ok(None) => true,
        Err(broken) => {
            assert!(!broken.to_string().is_empty());
            false
        }
    }
}

/// Sets one of the words that both sides use.
pub(crate) fn change_word(file: &OwnedFd, steps: &mut Steps<'_>) {
    let (line, value) = (u64::from(steps.u8() % 8), steps.number() as u32);
    let number = u64::from(line == 0 || line == 4) * u64::from(steps.u8() & 1);
    let offset = line * LINE_BYTES as u64 + number * 4;
    pwrite(file, &value.to_le_bytes(), offset as i64).expect("shared memory takes all");
}

/// Writes any bytes at any offset.
pub(crate) fn change_line(file: &OwnedFd, steps: &mut Steps<'_>) {
    let offset = u64::from(steps.u16()) % FILE_BYTES;
    let bytes = steps.text();
    let bytes = &bytes[..bytes.len().min((FILE_BYTES - offset) as usize)];
    pwrite(file, bytes, offset as i64).expect("shared memory takes all");
}

/// Writes a message with any header at the beginning of a line of either ring.
fn put_message(file: &OwnedFd, steps: &mut Steps<'_>) {
    let line = u64::from(steps.u8());
    let header = RawHeader {
        kind: u16::from(steps.u8() % 9),
        flags: u16::from(steps.u8()) << 8 | u16::from(steps.u8() & 1),
        call: steps.number(),
        metadata_len: steps.number() as u32,
        body_len: steps.number(),
        region: u32::from(steps.u8() % 2),
        ..RawHeader::default()
    };
    pwrite(file, &header.bytes(), (WORDS_BYTES + line * LINE_BYTES as u64) as i64)
        .expect("shared memory takes all");
}
