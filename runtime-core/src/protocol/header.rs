//! The 64 bytes that begin every message, field by field. Only this folder sees them: what a field
//! means depends on the kind, so code elsewhere uses the type of the kind, in [`super::to_worker`],
//! [`super::to_engine`] and [`super::direct`].

use super::broken::Broken;
use super::ids::CallNumber;
use super::limits::{
    HEADER_BYTES, MAX_BODY_BYTES, MAX_INLINE_BYTES, MAX_METADATA_BYTES, MAX_NAME_BYTES,
};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub(super) enum Kind {
    /// Worker to engine, once: calls may come.
    Ready = 1,
    /// Engine to an idle worker: end.
    Retire = 2,
    /// Engine to worker: run this call.
    Dispatch = 3,
    /// Worker to engine: call this function for me.
    Invoke = 4,
    /// An answer, either way.
    Complete = 5,
    /// An error instead of an answer, either way.
    Failed = 6,
    /// Engine to event loop: a call is cancelled. Worker to engine: I no longer want this internal
    /// call.
    Cancel = 7,
    /// Worker to engine: this call's handler waits for any of its internal calls.
    Wait = 8,
    /// Engine to an idle worker thread, or an event loop: run the calls of this direct channel.
    Lend = 9,
    /// Engine to worker: run no more calls of this direct channel.
    Recall = 10,
    /// Worker to engine: call this function for a handler that runs a direct call.
    InvokeBelow = 11,
    /// Worker to engine: this call's handler has its answer, and its slot was lent meanwhile.
    Resume = 12,
    /// Engine to worker: this call has a slot again.
    Resumed = 13,
    /// Caller to callee on a direct channel: run this call.
    DirectCall = 14,
    /// Event loop to engine: I no longer want the answer to the call of this lease.
    CancelLease = 15,
    /// Caller to engine: call this function, for no handler.
    InvokeAlone = 16,
}

impl Kind {
    fn from_number(number: u16) -> Option<Kind> {
        Some(match number {
            1 => Kind::Ready,
            2 => Kind::Retire,
            3 => Kind::Dispatch,
            4 => Kind::Invoke,
            5 => Kind::Complete,
            6 => Kind::Failed,
            7 => Kind::Cancel,
            8 => Kind::Wait,
            9 => Kind::Lend,
            10 => Kind::Recall,
            11 => Kind::InvokeBelow,
            12 => Kind::Resume,
            13 => Kind::Resumed,
            14 => Kind::DirectCall,
            15 => Kind::CancelLease,
            16 => Kind::InvokeAlone,
            _ => return None,
        })
    }
}

/// Flag of [`Kind::Invoke`] and [`Kind::InvokeBelow`]: the handler runs nothing until it gets an
/// answer, and lends its slot.
pub(super) const FLAG_WAITS: u16 = 1;
/// All flags that are known.
const KNOWN_FLAGS: u16 = FLAG_WAITS;
/// The upper byte of `flags` is the length of the name that follows the header.
pub(super) const NAME_LEN_SHIFT: u32 = 8;

/// The header of every message. What a field means for which kind is in `docs/PROTOCOL.md`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub(super) struct Header {
    /// A [`Kind`] as a number.
    pub kind: u16,
    /// Flags in the lower byte, the length of the name in the upper one.
    pub flags: u16,
    /// The number of a [`super::Status`]; 0 but in `Failed`.
    pub status: u32,
    /// The call the message is about: the engine's number in `Dispatch` and its answer, the
    /// worker's in `Invoke` and its answer.
    pub call: u64,
    /// `Dispatch`: the call from outside that the call is below, 0 if it is one. `Invoke`: the call
    /// that makes it. `Wait`: how many answers the call has had. Answers: when the handler began,
    /// in ns.
    pub parent: u64,
    /// `Dispatch`: the caller's id, 0 from outside. `Invoke`: the callee's id, 0 if only its name
    /// is known. Answer to `Invoke`: the callee's id.
    pub function: u32,
    /// Bytes of encoded metadata.
    pub metadata_len: u32,
    /// Bytes of the body.
    pub body_len: u64,
    /// Deadline in ns of the monotonic clock, 0 for none. Answers: when the handler ended.
    pub deadline: u64,
    /// When the message was sent, in ns of the monotonic clock.
    pub sent_at: u64,
    /// The region of the arena that holds the payload; 0: the payload is in the message.
    pub region: u32,
    /// The first unit of the payload's block in that region.
    pub block: u32,
}

const _: () = {
    assert!(size_of::<Header>() == HEADER_BYTES);
    assert!(std::mem::offset_of!(Header, kind) == 0);
    assert!(std::mem::offset_of!(Header, flags) == 2);
    assert!(std::mem::offset_of!(Header, status) == 4);
    assert!(std::mem::offset_of!(Header, call) == 8);
    assert!(std::mem::offset_of!(Header, parent) == 16);
    assert!(std::mem::offset_of!(Header, function) == 24);
    assert!(std::mem::offset_of!(Header, metadata_len) == 28);
    assert!(std::mem::offset_of!(Header, body_len) == 32);
    assert!(std::mem::offset_of!(Header, deadline) == 40);
    assert!(std::mem::offset_of!(Header, sent_at) == 48);
    assert!(std::mem::offset_of!(Header, region) == 56);
    assert!(std::mem::offset_of!(Header, block) == 60);
};

impl Header {
    /// A header of this kind about this call; all else zero.
    pub(super) fn new(kind: Kind, call: u64) -> Header {
        Header { kind: kind as u16, call, ..Header::default() }
    }

    /// Whether the flag is set.
    pub(super) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn name_len(&self) -> usize {
        usize::from(self.flags >> NAME_LEN_SHIFT)
    }

    /// Bytes of metadata and body together.
    pub(super) fn payload_len(&self) -> u64 {
        u64::from(self.metadata_len) + self.body_len
    }

    pub(super) fn check(&self) -> Result<Kind, Broken> {
        let kind = Kind::from_number(self.kind).ok_or(Broken::Kind(self.kind))?;
        if self.flags & 0xff & !KNOWN_FLAGS != 0 {
            return Err(Broken::Flags(self.flags));
        }
        if self.name_len() > MAX_NAME_BYTES {
            return Err(Broken::Name(self.name_len()));
        }
        if self.metadata_len as usize > MAX_METADATA_BYTES || self.body_len > MAX_BODY_BYTES {
            return Err(Broken::Lengths { metadata: self.metadata_len, body: self.body_len });
        }
        if self.region == 0
            && (self.block != 0 || self.payload_len() > (MAX_INLINE_BYTES - self.name_len()) as u64)
        {
            return Err(Broken::Lengths { metadata: self.metadata_len, body: self.body_len });
        }
        Ok(kind)
    }

    pub(super) fn message_len(&self) -> usize {
        let inline = if self.region == 0 { self.payload_len() as usize } else { 0 };
        HEADER_BYTES + self.name_len() + inline
    }
}

/// The call that a header names.
///
/// # Errors
/// If it names none.
#[inline]
pub(super) fn call_of(header: &Header) -> Result<CallNumber, Broken> {
    CallNumber::new(header.call).ok_or(Broken::Call(header.call))
}
