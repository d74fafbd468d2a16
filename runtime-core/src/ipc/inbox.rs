//! Reads messages from a pipe. A read may return several messages and a part of one; the part is
//! kept until the rest arrives.

use crate::protocol::limits::MAX_MESSAGE_BYTES;
use crate::protocol::{Broken, Message};
use std::io;
use std::os::fd::BorrowedFd;

/// The bytes that a read asks for: as many as a pipe usually holds, so that one read empties it.
const READ_BYTES: usize = 8 * MAX_MESSAGE_BYTES;

/// The bytes that were read and have not been taken yet.
pub struct Inbox {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

/// The result of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Bytes came.
    Bytes {
        /// Whether fewer bytes came than were asked for, so that the pipe was empty afterwards.
        drained: bool,
    },
    /// The other side has closed its end.
    End,
}

impl Default for Inbox {
    fn default() -> Self {
        Inbox { bytes: vec![0; READ_BYTES].into_boxed_slice(), start: 0, end: 0 }
    }
}

impl Inbox {
    /// Reads once, behind the bytes that are there.
    pub fn fill(&mut self, fd: BorrowedFd<'_>) -> io::Result<Filled> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.bytes.len() - self.end < MAX_MESSAGE_BYTES {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            let room = &mut self.bytes[self.end..];
            let asked = room.len();
            match nix::unistd::read(fd, room) {
                Ok(0) => return Ok(Filled::End),
                Ok(read) => {
                    self.end += read;
                    return Ok(Filled::Bytes { drained: read < asked });
                }
                Err(nix::Error::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes the next complete message, if there is one.
    pub fn take(&mut self) -> Result<Option<Message<'_>>, Broken> {
        let Some((message, len)) = Message::parse(&self.bytes[self.start..self.end])? else {
            return Ok(None);
        };
        self.start += len;
        Ok(Some(message))
    }

    /// Whether all bytes were taken, so that not even a part of a message is left.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::to_worker::AnswerComplete;
    use crate::protocol::{InlinePayload, InvokeNumber, ToWorker, WirePayload};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::io::Write;
    use std::os::fd::AsFd;

    fn content<'a>(message: &Message<'a>) -> (u64, &'a [u8]) {
        match ToWorker::read(message) {
            Ok(ToWorker::AnswerComplete(AnswerComplete {
                call,
                payload: WirePayload::Inline(inline),
                ..
            })) => (call.0, inline.body),
            other => panic!("{other:?}"),
        }
    }

    proptest! {
        #[test]
        fn messages_survive_any_cuts(
            sizes in vec(0usize..960, 1..60),
            cuts in vec(1usize..3000, 1..100),
        ) {
            let mut stream = Vec::new();
            for (i, size) in sizes.iter().enumerate() {
                let body = vec![i as u8; *size];
                let payload = InlinePayload { metadata: b"", body: &body };
                let (call, payload) = (InvokeNumber(i as u64), WirePayload::Inline(payload));
                let answer = AnswerComplete { call, function: None, sent_at: 1, payload };
                stream.extend_from_slice(answer.write().as_bytes());
            }
            let (reader, mut writer) = std::io::pipe().unwrap();
            let (mut inbox, mut cut) = (Inbox::default(), cuts.iter().cycle());
            let (mut seen, mut sent) = (0, 0);
            while sent < stream.len() {
                let next = (sent + cut.next().unwrap()).min(stream.len());
                writer.write_all(&stream[sent..next]).unwrap();
                sent = next;
                inbox.fill(reader.as_fd()).unwrap();
                while let Some(message) = inbox.take().unwrap() {
                    let body = vec![seen as u8; sizes[seen]];
                    prop_assert_eq!(content(&message), (seen as u64, &body[..]));
                    seen += 1;
                }
            }
            drop(writer);
            while let Filled::Bytes { .. } = inbox.fill(reader.as_fd()).unwrap() {
                while let Some(message) = inbox.take().unwrap() {
                    prop_assert_eq!(content(&message).0, seen as u64);
                    seen += 1;
                }
            }
            prop_assert_eq!(seen, sizes.len());
            prop_assert!(inbox.is_empty());
        }
    }
}
