//! The other side of a direct channel, which need not follow the rules.

use crate::ledger::{Ledger, by_peer, token_of};
use crate::raw::{RawHeader, RawMessage};
use crate::steps::Steps;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::channel::{self, Pipe};
use nightcore_runtime::ipc::direct::DirectFile;
use nightcore_runtime::ipc::region;
use nightcore_runtime::ipc::ring::{self, RingReader, RingWriter, Sent};
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::direct::{DirectAnswer, DirectCall};
use nightcore_runtime::protocol::limits::{BASE_UNITS, BLOCK_UNIT_BYTES, MAX_INLINE_BYTES};
use nightcore_runtime::protocol::{Broken, CallNumber, CancelReason, Message, WirePayload};
use nix::sys::uio::{pread, pwrite};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The size of a direct channel's file: the page of words, and two rings of 128 lines of 64 bytes.
const FILE_BYTES: u64 = 4096 + 2 * 128 * 64;
/// The offsets of the words that matter most: positions and flags of both rings, the home, the
/// state, the hint and the maker.
const WORDS: [u64; 12] = [0, 4, 64, 128, 192, 256, 320, 384, 960, 1024, 1028, 1032];
/// The offset at which units begin in a region of [`BASE_UNITS`].
const DATA_OFFSET: u64 = 8192 + 4 * BASE_UNITS as u64;
/// The offset of the words by which blocks are given back.
const GIVE_BACK_OFFSET: u64 = 8192;
const HOUR_NS: u64 = 3_600_000_000_000;
const KIND_COMPLETE: u16 = 5;
const KIND_FAILED: u16 = 6;
const KIND_DIRECT_CALL: u16 = 14;

/// The calls that a peer has sent with one number, and the number of answers that have come.
#[derive(Default)]
struct SentCalls {
    bodies: Vec<[u8; 8]>,
    answers: usize,
}

/// A peer that calls or is called.
pub(crate) struct Peer {
    pub(crate) lease: CallNumber,
    pub(crate) calls: bool,
    pub(crate) file: DirectFile,
    /// Set when it has overwritten parts of its channel, so that nothing is known of messages on
    /// it.
    pub(crate) scribbled: bool,
    files: Vec<OwnedFd>,
    writer: RingWriter,
    reader: RingReader,
    /// The bell of the honest side, and the peer's own.
    rings: Option<OwnedFd>,
    bell: Option<OwnedFd>,
    /// The calls that it has sent as the caller, by number.
    sent: HashMap<u64, SentCalls>,
    last_sent: u64,
    /// The calls that it has received as the callee.
    come: Vec<u64>,
    next_block: u32,
}

impl Peer {
    /// Creates a peer, and the descriptors of the honest side.
    pub(crate) fn create(
        (lease, calls): (CallNumber, bool),
        (own, honest): (Mode, Mode),
    ) -> (Peer, Vec<OwnedFd>) {
        let files = vec![
            ring::create_file().expect("shared memory"),
            region::create_file(BASE_UNITS).expect("shared memory"),
            region::create_file(BASE_UNITS).expect("shared memory"),
        ];
        let file = DirectFile::map(&files[0]).expect("a direct channel");
        let (writer, reader) = if calls { file.caller_ends() } else { file.callee_ends() };
        let again = files.iter().map(|file| file.try_clone().expect("a descriptor"));
        let mut theirs: Vec<OwnedFd> = again.collect();
        let bell_of = |mode| match mode {
            Mode::Threads => None,
            Mode::EventLoop => Some(Pipe::without_name().expect("a pipe")),
        };
        let mut rings = None;
        if let Some(Pipe { reader, writer }) = bell_of(honest) {
            theirs.push(reader);
            rings = Some(writer);
        }
        let mut bell = None;
        if let Some(Pipe { reader, writer }) = bell_of(own) {
            theirs.push(writer);
            bell = Some(reader);
        }
        let (sent, come) = (HashMap::new(), Vec::new());
        let (scribbled, last_sent, next_block) = (false, 0, 0);
        let peer = Peer {
            lease,
            calls,
            file,
            scribbled,
            files,
            writer,
            reader,
            rings,
            bell,
            sent,
            last_sent,
            come,
            next_block,
        };
        (peer, theirs)
    }

    fn own_region(&self) -> BorrowedFd<'_> {
        self.files[if self.calls { 1 } else { 2 }].as_fd()
    }

    fn other_region(&self) -> BorrowedFd<'_> {
        self.files[if self.calls { 2 } else { 1 }].as_fd()
    }

    /// Takes the messages of the honest side. If the peer has followed the rules so far, checks
    /// that they are right.
    pub(crate) fn take(&mut self, ledger: &mut Ledger) {
        loop {
            let bytes = match self.reader.take() {
                Ok(Some(message)) => message.as_bytes().to_vec(),
                Ok(None) => return,
                Err(broken) => {
                    assert!(self.scribbled, "the honest side has sent {broken}");
                    return;
                }
            };
            self.reader.give_back();
            if let Err(broken) = self.heard(&bytes, ledger) {
                assert!(self.scribbled, "the honest side has sent {broken}");
            }
        }
    }

    fn heard(&mut self, bytes: &[u8], ledger: &mut Ledger) -> Result<(), Broken> {
        let Some((message, _)) = Message::parse(bytes)? else { return Ok(()) };
        if self.calls {
            let (number, payload) = match DirectAnswer::read(&message)? {
                DirectAnswer::Complete(complete) => (complete.call, Some(complete.payload)),
                DirectAnswer::Failed(failed) => (failed.call, None),
            };
            let body = payload.map(|payload| self.read_body(payload));
            self.answered(number.number(), body.as_deref());
        } else {
            let call = DirectCall::read(&message)?;
            let number = call.call.number();
            let token = token_of(&self.read_body(call.payload));
            // An overwritten message may name any token.
            if !self.scribbled {
                ledger.goes(token, by_peer(self.lease, number), false);
            }
            self.come.push(number);
        }
        Ok(())
    }

    /// Returns the beginning of the body of a message from the honest side. Gives its block back.
    fn read_body(&self, payload: WirePayload<'_>) -> Vec<u8> {
        match payload {
            WirePayload::Inline(inline) => inline.body.to_vec(),
            WirePayload::Block(place) => {
                let mut bytes = [0; 10];
                let at = DATA_OFFSET + u64::from(place.block) * BLOCK_UNIT_BYTES as u64;
                let region = self.other_region();
                let read = pread(region, &mut bytes, at as i64).unwrap_or(0);
                let word = GIVE_BACK_OFFSET + 4 * u64::from(place.block % BASE_UNITS);
                pwrite(region, &1u32.to_le_bytes(), word as i64).expect("a region");
                bytes[..read].to_vec()
            }
        }
    }

    fn answered(&mut self, number: u64, body: Option<&[u8]>) {
        if self.scribbled {
            return;
        }
        let sent = self.sent.get_mut(&number).expect("an answer to a call that was sent");
        sent.answers += 1;
        assert!(sent.answers <= sent.bodies.len(), "a call was answered twice");
        if let Some(body) = body {
            let len = usize::from(body[1]);
            let given = &body[2..2 + len];
            let is_right = sent.bodies.iter().any(|sent| sent.starts_with(given));
            assert!(body[0] == b'r' && is_right, "another call's answer: {body:?} for {sent:?}");
        }
    }

    fn ring(&self) {
        match &self.rings {
            Some(bell) => drop(channel::send(bell.as_fd(), &[0])),
            None => self.writer.wake(),
        }
    }

    fn send(&mut self, message: &RawMessage) {
        if self.writer.send(message.as_bytes()) == Sent::Ring {
            self.ring();
        }
    }

    /// Writes a body into a block of the peer's own region, which uses all its blocks in turn.
    fn put(&mut self, body: &[u8]) -> u32 {
        let block = self.next_block;
        self.next_block = (block + 32) % (BASE_UNITS - 64);
        let at = DATA_OFFSET + u64::from(block) * BLOCK_UNIT_BYTES as u64;
        pwrite(self.own_region(), body, at as i64).expect("a region");
        block
    }

    /// Sends a message with this body, in the ring or in a block.
    fn send_body(&mut self, header: RawHeader, body: &[u8], steps: &mut Steps<'_>) {
        let how = steps.u8();
        let region = if self.calls { 1 } else { 2 };
        if how & 3 == 3 {
            let block = self.put(body);
            let body_len = body.len() as u64 + u64::from(how >> 2) * 700;
            self.send(&RawMessage::new(RawHeader { region, block, body_len, ..header }, b"", &[]));
        } else {
            let header = RawHeader { body_len: body.len() as u64, ..header };
            self.send(&RawMessage::new(header, b"", &[body]));
        }
    }

    /// Sends a message of which any field may be wrong.
    fn send_any(&mut self, body: &[u8], header: RawHeader, steps: &mut Steps<'_>) {
        let mut header = RawHeader { body_len: body.len() as u64, ..header };
        for _ in 0..1 + steps.u8() % 3 {
            let field = steps.u8() % 11;
            let value = steps.number();
            match field {
                0 => header.kind = value as u16,
                1 => header.flags = value as u16,
                2 => header.status = value as u32,
                3 => header.parent = value,
                4 => header.function = value as u32,
                5 => header.metadata_len = value as u32,
                6 => header.body_len = value,
                7 => header.deadline = value,
                8 => header.sent_at = value,
                9 => header.region = value as u32,
                _ => header.block = value as u32,
            }
        }
        // After this it is unknown which bytes are read.
        self.scribbled |= header.region != 0 || header.metadata_len != 0;
        let message =
            RawMessage::new(header, &body[..usize::from(header.flags >> 8).min(8)], &[body]);
        if message.as_bytes().len() <= MAX_INLINE_BYTES {
            self.send(&message);
        }
    }

    /// Writes any bytes into its channel or a region.
    fn scribble(&mut self, steps: &mut Steps<'_>) {
        self.scribbled = true;
        let (which, number) = (steps.u8(), steps.number());
        match which % 8 {
            0..=4 => {
                let at = WORDS[usize::from(which >> 3) % WORDS.len()];
                let value = (number as u32).to_le_bytes();
                pwrite(&self.files[0], &value, at as i64).expect("shared memory");
            }
            5 | 6 => {
                let bytes = steps.text();
                let at = number % (FILE_BYTES - bytes.len() as u64);
                pwrite(&self.files[0], bytes, at as i64).expect("shared memory");
            }
            _ => {
                let bytes = steps.text();
                let at = number % DATA_OFFSET;
                let region = &self.files[1 + usize::from(which >> 3) % 2];
                pwrite(region, bytes, at as i64).expect("shared memory");
            }
        }
    }

    /// Takes one step, which may break the rules.
    pub(crate) fn step(&mut self, steps: &mut Steps<'_>) {
        match steps.u8() % 16 {
            0..=5 if self.calls => self.call_step(steps),
            0..=5 => self.answer_step(steps),
            6..=8 => self.scribble(steps),
            9 => self.ring(),
            10 => match steps.u8() % 4 {
                0 => self.rings = None,
                1 => self.bell = None,
                2 => (0..100).for_each(|_| self.ring()),
                _ => self.file.set_home(Some(u32::from(steps.u8()))),
            },
            11 => {
                self.file.abandon(reason(steps));
            }
            12 => self.file.unclaim(),
            13 => {
                self.file.finish();
            }
            14 => {
                self.file.refuse();
                self.ring();
            }
            _ => {
                self.file.claim(any_call(steps), steps.u8() & 1 == 0);
            }
        }
    }

    fn call_step(&mut self, steps: &mut Steps<'_>) {
        let how = steps.u8();
        if how & 1 == 0 && !self.file.claim(any_call(steps), how & 2 == 0) {
            return;
        }
        let call = match how & 12 {
            12 => steps.number(),
            _ => self.last_sent + 1,
        };
        self.last_sent = self.last_sent.max(call % (1 << 40));
        let body = ((call << 8) | (self.sent.len() as u64 % 256)).to_le_bytes();
        self.sent.entry(call).or_default().bodies.push(body);
        let deadline = match how & 48 {
            16 => 1,
            32 => now_ns() + 1_000_000,
            _ => now_ns() + HOUR_NS,
        };
        let header = RawHeader {
            kind: KIND_DIRECT_CALL,
            status: 1,
            call,
            parent: 1,
            deadline,
            sent_at: now_ns(),
            ..RawHeader::default()
        };
        let body = [&body[..], steps.text()].concat();
        match how & 64 {
            0 => self.send_body(header, &body, steps),
            _ => self.send_any(&body, header, steps),
        }
    }

    fn answer_step(&mut self, steps: &mut Steps<'_>) {
        let how = steps.u8();
        if how & 1 == 0 && self.file.finish().is_some() {
            return;
        }
        let call = match how & 14 {
            2 => steps.number(),
            4 => self.come.last().map_or(1, |last| last + 1),
            _ => self.come.last().copied().unwrap_or(1),
        };
        let (kind, status) = match how & 48 {
            48 => (KIND_FAILED, steps.number() as u32),
            _ => (KIND_COMPLETE, 0),
        };
        let header = RawHeader {
            kind,
            status,
            call,
            parent: 1,
            deadline: 2,
            sent_at: now_ns(),
            ..RawHeader::default()
        };
        let body = by_peer(self.lease, call);
        match how & 64 {
            0 => self.send_body(header, &body, steps),
            _ => self.send_any(&body, header, steps),
        }
    }
}

impl std::fmt::Debug for SentCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}, {} answers", self.bodies, self.answers)
    }
}

/// Returns any number of a call, for a caller to name as the maker of its own call.
fn any_call(steps: &mut Steps<'_>) -> CallNumber {
    CallNumber::new(steps.number()).unwrap_or(CallNumber::new(1).expect("not zero"))
}

fn reason(steps: &mut Steps<'_>) -> CancelReason {
    if steps.u8() & 1 == 0 { CancelReason::Caller } else { CancelReason::Deadline }
}
