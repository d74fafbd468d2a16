//! A channel's rings: two queues of messages in one shared memory file, one for each direction.
//!
//! The engine makes the file and seals it. Each ring has one writer and one reader. Positions count
//! lines of 64 bytes and wrap around. A message takes whole lines; the rest of its last line is not
//! used.
//!
//! Each side keeps its own position in private memory. It loads the other side's position once and
//! checks it, and it copies a message before it reads it. So a peer that writes nonsense ends its
//! channel and nothing else.
//!
//! A side that has to wait may spin for a while. Then it parks at the channel's named pipe, see
//! [`super::bell`].

use super::bell::{WAITING, announce, begin_wait, end_wait};
use super::futex;
use crate::protocol::Broken;
use crate::protocol::limits::{HEADER_BYTES, LINE_BYTES, MAX_MESSAGE_BYTES, RING_LINES};
use crate::protocol::message::{Announced, Message};
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The length of the words of both rings: one page. Words that different sides write lie in
/// different cache lines, so that the sides do not invalidate each other's lines needlessly.
const WORDS_BYTES: usize = 4096;
const RING_BYTES: usize = RING_LINES as usize * LINE_BYTES;
/// The length of the file without seats.
const FILE_BYTES: usize = WORDS_BYTES + 2 * RING_BYTES;
/// The offset of the seats of the worker's desk, see [`super::desk`].
pub(super) const SEATS_OFFSET: usize = FILE_BYTES;
/// The length of the seats: one page.
pub(super) const SEATS_BYTES: usize = 4096;

const _: () = {
    assert!(RING_LINES.is_power_of_two());
    assert!(HEADER_BYTES == LINE_BYTES);
};

/// Creates the file of a channel's rings, sealed against any change of its size.
///
/// # Errors
///
/// If shared memory cannot be created, or no descriptor is left.
pub fn create_file() -> io::Result<OwnedFd> {
    create_file_of(FILE_BYTES)
}

/// Creates the file of a channel with seats, for a worker that can make and run direct calls.
///
/// # Errors
///
/// The same as those of [`create_file`].
pub fn create_file_with_seats() -> io::Result<OwnedFd> {
    create_file_of(FILE_BYTES + SEATS_BYTES)
}

fn create_file_of(bytes: usize) -> io::Result<OwnedFd> {
    let fd = memfd_create("nightcore-ring", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    nix::unistd::ftruncate(&fd, bytes as i64)?;
    fcntl(
        &fd,
        FcntlArg::F_ADD_SEALS(
            SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL,
        ),
    )?;
    Ok(fd)
}

/// A side of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The engine's side.
    Engine,
    /// The worker's side.
    Worker,
}

/// The mapped file of a channel's rings. Its first page also holds other words of the channel: see
/// [`super::desk`] and [`super::direct`].
#[derive(Clone, Debug)]
pub struct RingFile {
    map: Arc<MmapRaw>,
}

impl RingFile {
    /// Maps a file of rings.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the file has the wrong length, or could shrink.
    pub fn map(fd: &impl AsFd) -> io::Result<RingFile> {
        let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text);
        let bytes = usize::try_from(nix::sys::stat::fstat(fd)?.st_size).unwrap_or(0);
        if bytes != FILE_BYTES && bytes != FILE_BYTES + SEATS_BYTES {
            return Err(invalid("a ring's file has the wrong size"));
        }
        let seals = SealFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(SealFlag::F_SEAL_SHRINK) {
            return Err(invalid("a ring's file is not sealed"));
        }
        Ok(RingFile { map: Arc::new(MmapOptions::new().len(bytes).map_raw(&fd.as_fd())?) })
    }

    /// Whether the file has the seats of a desk.
    pub(super) fn has_seats(&self) -> bool {
        self.map.len() > SEATS_OFFSET
    }

    /// The ends of one side. Each side must take them only once, as they begin at the start of the
    /// rings.
    pub fn ends(&self, side: Side) -> (RingWriter, RingReader) {
        let to_worker = Ring { map: self.map.clone(), index: 0 };
        let from_worker = Ring { map: self.map.clone(), index: 1 };
        let (outgoing, incoming) = match side {
            Side::Engine => (to_worker, from_worker),
            Side::Worker => (from_worker, to_worker),
        };
        (
            RingWriter { ring: outgoing, written: 0, read: 0 },
            RingReader {
                ring: incoming,
                read: 0,
                written: 0,
                given_back: 0,
                message: Box::new([0; MAX_MESSAGE_BYTES]),
            },
        )
    }

    /// Wakes the reader of a ring, whether its word says that it waits or not.
    pub(super) fn wake_reader(&self, index: usize) {
        self.end_reader_wait(index);
        futex::wake(self.reader_waits(index));
    }

    /// Ends the wait of a ring's reader. Returns whether its bell must be rung.
    pub(super) fn end_reader_wait(&self, index: usize) -> bool {
        !end_wait(self.reader_waits(index))
    }

    fn reader_waits(&self, index: usize) -> &AtomicU32 {
        self.word(reader_waits_offset(index))
    }

    /// The word at this offset, outside of the rings.
    #[inline]
    pub(super) fn word(&self, offset: usize) -> &AtomicU32 {
        assert!(offset + size_of::<AtomicU32>() <= self.map.len() && offset.is_multiple_of(4));
        // SAFETY: the offset is inside the map and aligned to 4, as was just checked. The map lives
        // as long as `self`. All sides access these words as atomics only.
        unsafe { &*self.map.as_mut_ptr().add(offset).cast::<AtomicU32>() }
    }

    /// The long word at this offset, outside of the rings.
    #[inline]
    pub(super) fn long_word(&self, offset: usize) -> &AtomicU64 {
        assert!(offset + size_of::<AtomicU64>() <= self.map.len() && offset.is_multiple_of(8));
        // SAFETY: the same as in `word`, with an alignment of 8.
        unsafe { &*self.map.as_mut_ptr().add(offset).cast::<AtomicU64>() }
    }
}

/// Maps a channel's rings and returns this side's ends.
///
/// # Errors
///
/// The same as those of [`RingFile::map`].
pub fn open(fd: &impl AsFd, side: Side) -> io::Result<(RingWriter, RingReader)> {
    Ok(RingFile::map(fd)?.ends(side))
}

/// The offset of a ring's word that says whether its reader waits.
const fn reader_waits_offset(index: usize) -> usize {
    (index * 4 + 2) * LINE_BYTES
}

/// One of the two rings of a file.
#[derive(Debug)]
struct Ring {
    map: Arc<MmapRaw>,
    index: usize,
}

impl Ring {
    fn word(&self, line: usize, number: usize) -> &AtomicU32 {
        let offset = (self.index * 4 + line) * LINE_BYTES + number * size_of::<AtomicU32>();
        debug_assert!(offset < WORDS_BYTES);
        // SAFETY: the offset is inside the map (two rings of four lines each in the first page) and
        // aligned to 4. The map lives as long as `self`. Both sides access these words as atomics
        // only.
        unsafe { &*self.map.as_mut_ptr().add(offset).cast::<AtomicU32>() }
    }

    /// How many lines were ever written. Only the writer changes it.
    fn written(&self) -> &AtomicU32 {
        self.word(0, 0)
    }

    /// The core on which the writer ran when it last wrote. This is a hint for the reader.
    fn writer_core(&self) -> &AtomicU32 {
        self.word(0, 1)
    }

    /// How many lines were ever read. Only the reader changes it.
    fn read(&self) -> &AtomicU32 {
        self.word(1, 0)
    }

    /// Whether the reader waits for a message.
    fn reader_waits(&self) -> &AtomicU32 {
        self.word(2, 0)
    }

    /// Whether the writer waits for room.
    fn writer_waits(&self) -> &AtomicU32 {
        self.word(3, 0)
    }

    /// A pointer to the lines from `position` on, and how many bytes are contiguous there.
    fn lines(&self, position: u32) -> (*mut u8, usize) {
        let offset = (position % RING_LINES) as usize * LINE_BYTES;
        // SAFETY: the offset is below RING_BYTES, and behind the words the map has that many bytes
        // for each ring.
        let start =
            unsafe { self.map.as_mut_ptr().add(WORDS_BYTES + self.index * RING_BYTES + offset) };
        (start, RING_BYTES - offset)
    }

    fn copy_in(&self, position: u32, bytes: &[u8]) {
        let (start, together) = self.lines(position);
        let first = bytes.len().min(together);
        // SAFETY: `first` bytes are contiguous from `start` on. The rest is shorter than the ring
        // and goes to its beginning. These lines belong to the writer until it announces them. If
        // the other process writes to them all the same, it changes only bytes that it will read
        // itself.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), start, first);
            std::ptr::copy_nonoverlapping(
                bytes[first..].as_ptr(),
                self.lines(0).0,
                bytes.len() - first,
            );
        }
    }

    fn copy_out(&self, position: u32, to: &mut [u8]) {
        let (start, together) = self.lines(position);
        let first = to.len().min(together);
        let (head, tail) = to.split_at_mut(first);
        // SAFETY: the bytes of `head` are contiguous from `start` on, and those of `tail` from the
        // beginning of the ring, which is longer. A concurrent write changes which bytes are
        // copied, and they are checked afterwards.
        unsafe {
            std::ptr::copy_nonoverlapping(start, head.as_mut_ptr(), head.len());
            std::ptr::copy_nonoverlapping(self.lines(0).0, tail.as_mut_ptr(), tail.len());
        }
    }
}

/// The core that this thread runs on now.
#[inline]
pub fn this_core() -> u32 {
    // SAFETY: sched_getcpu has no preconditions. It cannot fail on the kernels that Nightcore
    // supports.
    unsafe { libc::sched_getcpu() as u32 }
}

fn lines_of(bytes: usize) -> u32 {
    bytes.div_ceil(LINE_BYTES) as u32
}

/// The writing end of a ring.
#[derive(Debug)]
pub struct RingWriter {
    ring: Ring,
    written: u32,
    /// The reader's position when it was last loaded.
    read: u32,
}

/// The result of sending a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The message is in the ring, and the reader will see it.
    Seen,
    /// The message is in the ring, and the reader's bell must be rung.
    Ring,
    /// There is no room for the message.
    Full,
}

impl RingWriter {
    /// Puts a message into the ring, if there is room for all of it.
    #[inline]
    pub fn send(&mut self, message: &[u8]) -> Sent {
        let lines = lines_of(message.len());
        if !self.has_room(lines) {
            return Sent::Full;
        }
        self.ring.copy_in(self.written, message);
        self.written = self.written.wrapping_add(lines);
        self.ring.writer_core().store(this_core(), Ordering::Relaxed);
        let ring = announce(self.ring.written(), self.written, self.ring.reader_waits());
        if ring { Sent::Ring } else { Sent::Seen }
    }

    fn has_room(&mut self, lines: u32) -> bool {
        let room = |writer: &RingWriter| {
            // A reader that claims to have read lines which were never written harms only itself.
            RING_LINES.saturating_sub(writer.written.wrapping_sub(writer.read))
        };
        if room(self) < lines {
            self.read = self.ring.read().load(Ordering::Acquire);
        }
        room(self) >= lines
    }

    /// Wakes a reader that is parked in [`RingReader::park`].
    pub fn wake(&self) {
        futex::wake(self.ring.reader_waits());
    }

    /// Announces, after [`Sent::Full`], that this side waits for room. Returns whether it may park.
    /// If it may not, there is room for a message of any size.
    pub fn begin_wait(&mut self) -> bool {
        begin_wait(self.ring.writer_waits(), self.ring.read(), self.read)
            || !self.has_room(lines_of(MAX_MESSAGE_BYTES))
    }

    /// Ends the wait for room. Returns whether the bell was rung.
    pub fn end_wait(&mut self) -> bool {
        end_wait(self.ring.writer_waits())
    }
}

/// The reading end of a ring.
#[derive(Debug)]
pub struct RingReader {
    ring: Ring,
    read: u32,
    /// The writer's position when it was last loaded.
    written: u32,
    /// The position up to which lines were given back to the writer.
    given_back: u32,
    /// The message that was taken last. The writer cannot reach this copy.
    message: Box<[u8; MAX_MESSAGE_BYTES]>,
}

impl RingReader {
    /// Whether there is a message. This costs one load.
    #[inline]
    pub fn has_message(&self) -> bool {
        self.ring.written().load(Ordering::Relaxed) != self.read
    }

    /// The core that the writer ran on when it wrote its last message.
    #[inline]
    pub fn writer_core(&self) -> u32 {
        self.ring.writer_core().load(Ordering::Relaxed)
    }

    /// Takes the next message, if there is one. The caller must then call
    /// [`RingReader::give_back`].
    ///
    /// # Errors
    ///
    /// The rule of the protocol that the writer has broken.
    #[inline]
    pub fn take(&mut self) -> Result<Option<Message<'_>>, Broken> {
        if self.written == self.read {
            self.written = self.ring.written().load(Ordering::Acquire);
            if self.written == self.read {
                return Ok(None);
            }
        }
        let there = self.written.wrapping_sub(self.read);
        if there > RING_LINES {
            return Err(Broken::Ring(there));
        }
        let (header, rest) = self.message.split_at_mut(HEADER_BYTES);
        self.ring.copy_out(self.read, header);
        let announced = Announced::read(header)?.ok_or(Broken::Truncated)?;
        let len = announced.message_len();
        let lines = lines_of(len);
        if lines > there {
            return Err(Broken::Truncated);
        }
        self.ring.copy_out(self.read.wrapping_add(1), &mut rest[..len - HEADER_BYTES]);
        self.read = self.read.wrapping_add(lines);
        Ok(announced.message(&self.message[..len]))
    }

    /// Gives the lines of the messages taken back to the writer, once they are half of the ring.
    /// Returns whether the writer waits for room and its bell must be rung.
    ///
    /// Half of the ring is soon enough: if a writer finds no room for a message of any size, more
    /// than the other half of the ring is unread.
    #[inline]
    pub fn give_back(&mut self) -> bool {
        if self.read.wrapping_sub(self.given_back) < RING_LINES / 2 {
            return false;
        }
        self.given_back = self.read;
        announce(self.ring.read(), self.read, self.ring.writer_waits())
    }

    /// Announces that this side waits for a message. Returns whether it may park. If it may not,
    /// there is a message.
    #[inline]
    pub fn begin_wait(&self) -> bool {
        begin_wait(self.ring.reader_waits(), self.ring.written(), self.read)
    }

    /// Ends the wait for a message. Returns whether the bell was rung, or will be in a moment.
    #[inline]
    pub fn end_wait(&self) -> bool {
        end_wait(self.ring.reader_waits())
    }

    /// Parks this thread, after [`RingReader::begin_wait`], until it is woken by
    /// [`RingWriter::wake`] or until this time, in ns of the monotonic clock. It may also return
    /// spuriously.
    pub fn park(&self, until: Option<u64>) {
        futex::wait(self.ring.reader_waits(), WAITING, until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::to_worker::AnswerComplete;
    use crate::protocol::{InlinePayload, InvokeNumber, MessageBuffer, ToWorker, WirePayload};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use std::time::{Duration, Instant};

    fn both() -> ((RingWriter, RingReader), (RingWriter, RingReader)) {
        let file = create_file().unwrap();
        (open(&file, Side::Engine).unwrap(), open(&file, Side::Worker).unwrap())
    }

    fn message(number: u64, size: usize) -> MessageBuffer {
        let payload = InlinePayload { metadata: b"", body: &vec![number as u8; size] };
        let (call, payload) = (InvokeNumber(number), WirePayload::Inline(payload));
        AnswerComplete { call, function: None, sent_at: 1, payload }.write()
    }

    /// The number and the body of a message that `message` made.
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

    #[test]
    fn the_file_cannot_change_its_size_and_wrong_files_are_refused() {
        let file = create_file().unwrap();
        assert!(nix::unistd::ftruncate(&file, 0).is_err());
        assert!(nix::unistd::ftruncate(&file, 1 << 20).is_err());
        let unsealed =
            memfd_create("x", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        assert!(open(&unsealed, Side::Worker).is_err());
        nix::unistd::ftruncate(&unsealed, FILE_BYTES as i64).unwrap();
        assert!(open(&unsealed, Side::Worker).is_err());
    }

    #[test]
    fn both_directions_are_apart() {
        let ((mut to_worker, mut from_worker), (mut to_engine, mut from_engine)) = both();
        assert_eq!(to_worker.send(message(1, 0).as_bytes()), Sent::Seen);
        assert_eq!(to_engine.send(message(2, 960).as_bytes()), Sent::Seen);
        assert_eq!(content(&from_engine.take().unwrap().unwrap()).0, 1);
        assert_eq!(content(&from_worker.take().unwrap().unwrap()).0, 2);
        assert!(from_engine.take().unwrap().is_none() && !from_worker.has_message());
    }

    #[test]
    fn a_full_ring_takes_more_when_lines_are_given_back() {
        let ((mut writer, _), (_, mut reader)) = both();
        for number in 0..u64::from(RING_LINES / 16) {
            assert_eq!(writer.send(message(number, 960).as_bytes()), Sent::Seen);
        }
        assert_eq!(writer.send(message(99, 0).as_bytes()), Sent::Full);
        assert!(writer.begin_wait(), "there is no room to wait for");
        for _ in 1..RING_LINES / 2 / 16 {
            assert!(reader.take().unwrap().is_some() && !reader.give_back());
        }
        assert!(reader.take().unwrap().is_some());
        assert!(reader.give_back(), "the writer waits");
        assert!(writer.end_wait());
        for _ in 0..RING_LINES / 2 / 16 {
            assert_eq!(writer.send(message(99, 960).as_bytes()), Sent::Seen);
        }
        assert_eq!(writer.send(message(99, 0).as_bytes()), Sent::Full);
    }

    #[test]
    fn a_sleeping_reader_is_woken_once() {
        let ((mut writer, _), (_, mut reader)) = both();
        assert!(reader.begin_wait());
        assert_eq!(writer.send(message(1, 0).as_bytes()), Sent::Ring);
        assert_eq!(writer.send(message(2, 0).as_bytes()), Sent::Seen);
        assert!(reader.end_wait());
        assert!(!reader.begin_wait(), "there are messages");
        assert!(!reader.end_wait());
        assert_eq!(content(&reader.take().unwrap().unwrap()).0, 1);
    }

    #[test]
    fn a_writer_that_lies_about_its_position_is_found_out() {
        for lie in [RING_LINES + 1, u32::MAX, 1 << 31] {
            let ((writer, _), (_, mut reader)) = both();
            writer.ring.written().store(lie, Ordering::Release);
            assert_eq!(reader.take().unwrap_err(), Broken::Ring(lie));
        }
        // A message of two lines, of which one was announced.
        let ((mut writer, _), (_, mut reader)) = both();
        writer.send(message(1, 1).as_bytes());
        writer.ring.written().store(1, Ordering::Release);
        assert_eq!(reader.take().unwrap_err(), Broken::Truncated);
    }

    #[test]
    fn a_reader_that_lies_about_its_position_gets_nothing_more() {
        for lie in [1, 200, u32::MAX - 5] {
            let ((mut writer, _), (_, reader)) = both();
            reader.ring.read().store(lie, Ordering::Release);
            let mut sent = 0;
            while writer.send(message(1, 960).as_bytes()) != Sent::Full {
                sent += 1;
                assert!(sent <= RING_LINES, "it never ends");
            }
        }
    }

    /// Sleeps until the bell is rung, as at the pipe.
    fn sleep() {
        const FOR_GOOD: Duration = Duration::from_secs(20);
        let began = Instant::now();
        std::thread::park_timeout(FOR_GOOD);
        assert!(began.elapsed() < FOR_GOOD, "nobody rang");
    }

    /// A length that is unrelated to the lengths of the messages beside it.
    fn any_size(number: u64) -> usize {
        (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % 961
    }

    #[test]
    fn messages_survive_two_threads_that_sleep_and_wake_each_other() {
        const MESSAGES: u64 = 50_000;
        // So many that the reader is close behind the writer more often than not.
        const CHECKS: u32 = 1000;
        let ((mut writer, _), (_, mut reader)) = both();
        // Both sides use one map, so that a thread sanitizer sees the accesses of both.
        reader.ring.map = writer.ring.map.clone();
        let of_writer = std::thread::current();
        let read = move || {
            let (mut number, mut checks) = (0, 0);
            while number < MESSAGES {
                match reader.take().unwrap() {
                    Some(message) => {
                        checks = 0;
                        let body = vec![number as u8; any_size(number)];
                        assert_eq!(content(&message), (number, &body[..]));
                        number += 1;
                        if reader.give_back() {
                            of_writer.unpark();
                        }
                    }
                    None if checks < CHECKS => checks += 1,
                    None => {
                        if reader.begin_wait() {
                            sleep();
                        }
                        reader.end_wait();
                    }
                }
            }
        };
        let reading = std::thread::spawn(read);
        let mut number = 0;
        while number < MESSAGES {
            match writer.send(message(number, any_size(number)).as_bytes()) {
                Sent::Full => {
                    if writer.begin_wait() {
                        sleep();
                    }
                    writer.end_wait();
                    continue;
                }
                Sent::Ring => reading.thread().unpark(),
                Sent::Seen => {}
            }
            number += 1;
        }
        reading.join().unwrap();
    }

    proptest! {
        #[test]
        fn messages_survive_any_order(
            steps in vec((any::<bool>(), 0usize..=960), 1..400),
            start: u32,
        ) {
            let ((mut writer, _), (_, mut reader)) = both();
            // The positions after any number of messages.
            (writer.written, writer.read) = (start, start);
            (reader.read, reader.written, reader.given_back) = (start, start, start);
            writer.ring.written().store(start, Ordering::Relaxed);
            writer.ring.read().store(start, Ordering::Relaxed);
            let mut under_way = std::collections::VecDeque::new();
            let mut number = 0;
            for (send, size) in steps {
                if send {
                    if writer.send(message(number, size).as_bytes()) != Sent::Full {
                        under_way.push_back((number, size));
                        number += 1;
                    }
                } else {
                    let taken = reader.take().unwrap();
                    let taken = taken.map(|m| (content(&m).0, content(&m).1.to_vec()));
                    let expected = under_way.pop_front().map(|(n, size)| (n, vec![n as u8; size]));
                    prop_assert_eq!(taken, expected);
                    reader.give_back();
                }
            }
        }

        #[test]
        fn any_bytes_in_a_ring_are_messages_or_an_error(
            bytes in vec(any::<u8>(), 0..4096),
            written: u32,
        ) {
            let ((writer, _), (_, mut reader)) = both();
            writer.ring.copy_in(0, &bytes);
            writer.ring.written().store(written % 256, Ordering::Release);
            for _ in 0..300 {
                match reader.take() {
                    Ok(Some(message)) => prop_assert!(message.as_bytes().len() <= 1024),
                    Ok(None) | Err(_) => break,
                }
            }
        }
    }
}
