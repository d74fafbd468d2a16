//! A worker's end of a ring channel. It is written from the layout and does not use the runtime, so
//! it can do anything that a process with the file can do.

use crate::raw::{self, Kind, RawHeader, RawMessage};
use nightcore_runtime::ipc::channel::set_blocking;
use nightcore_runtime::protocol::Message;
use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// The number of bytes in a line.
pub const LINE: usize = 64;
/// The number of lines in a ring.
pub const LINES: u32 = 128;
const WORDS_BYTES: usize = 4096;
const RING_BYTES: usize = LINES as usize * LINE;

/// The offsets of the words in the file. These are the words of the ring to the worker.
const TO_WRITTEN: usize = 0;
const TO_READ: usize = 64;
const TO_READER_WAITS: usize = 128;
const TO_WRITER_WAITS: usize = 192;
/// These are the words of the ring from the worker.
const FROM_WRITTEN: usize = 256;
const FROM_READ: usize = 320;
const FROM_READER_WAITS: usize = 384;
const FROM_WRITER_WAITS: usize = 448;

/// The memory of both rings.
#[derive(Clone, Copy)]
pub struct Map(NonNull<u8>);

// SAFETY: the shared memory is never unmapped. It is accessed only by atomics and by copying bytes;
// the tests are about the races there.
unsafe impl Send for Map {}
// SAFETY: as above.
unsafe impl Sync for Map {}

impl Map {
    fn word(&self, offset: usize) -> &AtomicU32 {
        // SAFETY: the constants above are aligned offsets inside the map, and the map is never
        // unmapped.
        unsafe { self.0.add(offset).cast().as_ref() }
    }

    /// The number of lines that the worker says it has written.
    pub fn announced(&self) -> &AtomicU32 {
        self.word(FROM_WRITTEN)
    }

    /// The number of lines that the engine says it has read.
    pub fn taken(&self) -> &AtomicU32 {
        self.word(FROM_READ)
    }

    /// The number of lines that the worker says it has read.
    pub fn given_back(&self) -> &AtomicU32 {
        self.word(TO_READ)
    }

    /// The flag that says whether the engine sleeps and needs the bell.
    pub fn engine_sleeps(&self) -> &AtomicU32 {
        self.word(FROM_READER_WAITS)
    }

    /// All flags that say that a side waits for a message or for room.
    pub fn flags(&self) -> [&AtomicU32; 4] {
        [TO_READER_WAITS, TO_WRITER_WAITS, FROM_READER_WAITS, FROM_WRITER_WAITS]
            .map(|offset| self.word(offset))
    }

    /// Returns a part of a line of the ring from the worker.
    pub fn part(&self, position: u32, part: u32) -> &AtomicU32 {
        self.word(
            WORDS_BYTES
                + RING_BYTES
                + (position % LINES) as usize * LINE
                + part as usize % (LINE / 4) * 4,
        )
    }

    /// Returns a line of a ring.
    fn line(&self, of: usize, position: u32) -> *mut u8 {
        // SAFETY: the line belongs to a ring, so it is inside the map.
        unsafe {
            self.0.add(WORDS_BYTES + of * RING_BYTES + (position % LINES) as usize * LINE).as_ptr()
        }
    }
}

/// A channel with its two rings.
pub struct Ring {
    pub map: Map,
    hears: OwnedFd,
    /// The engine's bell; `None` after it was closed.
    pub bell: Option<OwnedFd>,
    pub written: u32,
    pub read: u32,
}

impl Ring {
    /// Creates the channel from the descriptors of CREATE_WORKER.
    pub fn new(descriptors: Vec<OwnedFd>) -> crate::Result<Ring> {
        let [hears, bell, file] =
            <[OwnedFd; 3]>::try_from(descriptors).map_err(|_| "no ring came")?;
        set_blocking(&hears)?;
        let length = NonZeroUsize::new(WORDS_BYTES + 2 * RING_BYTES).ok_or("no length")?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: this is a new mapping of a file that cannot shrink, and no other value is at its
        // addresses.
        // addresses.
        let map = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0)? };
        Ok(Ring { map: Map(map.cast()), hears, bell: Some(bell), written: 0, read: 0 })
    }

    /// Writes whole lines, the last one padded, without announcing them.
    pub fn put(&mut self, bytes: &[u8]) {
        for line in bytes.chunks(LINE) {
            // SAFETY: at most one line is copied, and the line is inside the map.
            unsafe {
                std::ptr::copy_nonoverlapping(
                    line.as_ptr(),
                    self.map.line(1, self.written),
                    line.len(),
                )
            };
            self.written = self.written.wrapping_add(1);
        }
    }

    /// Announces the written lines. Returns whether the engine needs the bell.
    pub fn announce(&self) -> bool {
        self.map.announced().store(self.written, Ordering::Release);
        fence(Ordering::SeqCst);
        self.map.engine_sleeps().swap(0, Ordering::AcqRel) != 0
    }

    /// Rings the engine's bell.
    pub fn ring(&self) {
        if let Some(bell) = &self.bell {
            let _ = nix::unistd::write(bell, &[0]);
        }
    }

    /// Sends a message by the rules. Waits until there is room for it.
    pub fn send(&mut self, message: &[u8]) {
        let lines = message.len().div_ceil(LINE) as u32;
        let room = |ring: &Ring| {
            LINES - ring.written.wrapping_sub(ring.map.taken().load(Ordering::Acquire))
        };
        while room(self) < lines {
            std::thread::yield_now();
        }
        self.put(message);
        if self.announce() {
            self.ring();
        }
    }

    pub fn send_header(&mut self, header: RawHeader) {
        self.send(RawMessage::new(header, b"", &[]).as_bytes());
    }

    /// Returns whether a message has arrived.
    fn has_message(&self) -> bool {
        self.map.word(TO_WRITTEN).load(Ordering::Acquire) != self.read
    }

    /// Waits for the next message, as a worker should. Returns its kind, header and payload.
    pub fn receive(&mut self) -> crate::Result<(Kind, RawHeader, Vec<u8>)> {
        let waits = self.map.word(TO_READER_WAITS);
        while !self.has_message() {
            waits.swap(1, Ordering::AcqRel);
            fence(Ordering::SeqCst);
            if !self.has_message() && nix::unistd::read(&self.hears, &mut [0; 64])? == 0 {
                return Err("the engine closed the channel".into());
            }
            waits.swap(0, Ordering::AcqRel);
        }
        self.take()
    }

    /// Does the same as [`Ring::receive`], but polls instead of waiting for the bell.
    pub fn look(&mut self) -> crate::Result<(Kind, RawHeader, Vec<u8>)> {
        while !self.has_message() {
            std::thread::yield_now();
        }
        self.take()
    }

    /// Takes the next message, which must have arrived.
    fn take(&mut self) -> crate::Result<(Kind, RawHeader, Vec<u8>)> {
        let there = self.map.word(TO_WRITTEN).load(Ordering::Acquire).wrapping_sub(self.read);
        let mut bytes = Vec::new();
        for position in 0..there.min(LINES) {
            let line = self.map.line(0, self.read.wrapping_add(position));
            // SAFETY: this is a line of the first ring, which the engine does not write to before
            // the worker gives it back.
            bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(line, LINE) });
        }
        let (message, len) = Message::parse(&bytes)?.ok_or("a part of a message")?;
        let message = raw::read(message.as_bytes());
        let received = (
            message.kind,
            message.header,
            message.inline[message.header.metadata_len as usize..].to_vec(),
        );
        self.read = self.read.wrapping_add(len.div_ceil(LINE) as u32);
        Ok(received)
    }

    /// Tells the engine that the taken lines have been read.
    pub fn give_back(&self) {
        self.map.given_back().store(self.read, Ordering::Release);
        fence(Ordering::SeqCst);
        if self.map.word(TO_WRITER_WAITS).swap(0, Ordering::AcqRel) != 0 {
            self.ring();
        }
    }
}
