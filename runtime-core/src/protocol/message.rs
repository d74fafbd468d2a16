//! Messages on a channel: a header of 64 bytes, a name where one is told, and a payload of up to 960 bytes or
//! the place of one in the arena.

use super::limits::{
    HEADER_BYTES, MAX_BODY_BYTES, MAX_INLINE_BYTES, MAX_MESSAGE_BYTES, MAX_METADATA_BYTES,
    MAX_NAME_BYTES, RING_LINES,
};
use std::mem::MaybeUninit;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Kind {
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
    /// Engine to event loop: a call is cancelled. Worker to engine: I no longer want this internal call.
    Cancel = 7,
    /// Worker to engine: this call's handler waits for any of its internal calls.
    Wait = 8,
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
            _ => return None,
        })
    }
}

/// Flag of [`Kind::Invoke`]: the handler runs nothing until it gets an answer, and lends its slot.
pub const FLAG_WAITS: u16 = 1;
/// All flags that are known.
const KNOWN_FLAGS: u16 = FLAG_WAITS;
/// The upper byte of `flags` is the length of the name that follows the header.
const NAME_LEN_SHIFT: u32 = 8;

/// The header of every message. What a field means for which kind is in `docs/PROTOCOL.md`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Header {
    /// A [`Kind`] as a number.
    pub kind: u16,
    /// Flags in the lower byte, the length of the name in the upper one.
    pub flags: u16,
    /// The number of a [`super::Status`]; 0 but in `Failed`.
    pub status: u32,
    /// The call the message is about: the engine's number in `Dispatch` and its answer, the worker's in
    /// `Invoke` and its answer.
    pub call: u64,
    /// `Dispatch`: the call from outside that the call is below, 0 if it is one. `Invoke`: the call that makes it.
    /// `Wait`: how many answers the call has had. Answers: when the handler began, in ns.
    pub parent: u64,
    /// `Dispatch`: the caller's id, 0 from outside. `Invoke`: the callee's id, 0 if only its name is known.
    /// Answer to `Invoke`: the callee's id.
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
    pub fn new(kind: Kind, call: u64) -> Header {
        Header { kind: kind as u16, call, ..Header::default() }
    }

    /// Whether the flag is set.
    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    fn name_len(&self) -> usize {
        usize::from(self.flags >> NAME_LEN_SHIFT)
    }

    /// Bytes of metadata and body together.
    pub fn payload_len(&self) -> u64 {
        u64::from(self.metadata_len) + self.body_len
    }

    fn check(&self) -> Result<Kind, Broken> {
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

    fn message_len(&self) -> usize {
        let inline = if self.region == 0 { self.payload_len() as usize } else { 0 };
        HEADER_BYTES + self.name_len() + inline
    }
}

/// A rule of the protocol that the peer broke; it ends the channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The kind is not known, or may not come from this side.
    #[error("unknown or unexpected kind of message {0}")]
    Kind(u16),
    /// A flag that is not known.
    #[error("unknown flags {0:#06x}")]
    Flags(u16),
    /// The name is too long or has wrong characters.
    #[error("invalid name of {0} bytes")]
    Name(usize),
    /// Lengths over the limits.
    #[error("impossible lengths: {metadata} bytes of metadata, {body} of body")]
    Lengths {
        /// Bytes of metadata announced.
        metadata: u32,
        /// Bytes of body announced.
        body: u64,
    },
    /// A call the channel does not have.
    #[error("call {0:#x} is not under way on this channel")]
    Call(u64),
    /// A place in the arena that does not exist.
    #[error("no block {block} of {bytes} bytes in region {region}")]
    Block {
        /// The region named.
        region: u32,
        /// The block named.
        block: u32,
        /// The payload's bytes.
        bytes: u64,
    },
    /// A status that cannot end a call.
    #[error("invalid status {0}")]
    Status(u32),
    /// The channel ended inside a message.
    #[error("the channel ended inside a message")]
    Truncated,
    /// More lines than a ring has.
    #[error("{0} lines are said to be in a ring of {RING_LINES}")]
    Ring(u32),
    /// A worker that asks and does not read what it is answered.
    #[error("{0} messages wait for the worker to read them")]
    Unread(usize),
}

/// A header that was checked, of a message that is still to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Announced {
    kind: Kind,
    header: Header,
}

impl Announced {
    /// Checks the header that `bytes` begin with; `None` if it is not all there.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Option<Announced>, Broken> {
        let Ok((header, _)) = Header::read_from_prefix(bytes) else { return Ok(None) };
        Ok(Some(Announced { kind: header.check()?, header }))
    }

    /// The length of its message.
    #[inline]
    pub fn message_len(&self) -> usize {
        self.header.message_len()
    }

    /// The message, if `bytes` hold all of it.
    #[inline]
    pub fn message<'a>(&self, bytes: &'a [u8]) -> Option<Message<'a>> {
        let (_, rest) = bytes.get(..self.message_len())?.split_at(HEADER_BYTES);
        let (name, inline) = rest.split_at(self.header.name_len());
        Some(Message { kind: self.kind, header: self.header, name, inline })
    }
}

/// A message as it lies in a read buffer.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it says, checked.
    pub kind: Kind,
    /// Its header, checked for what can be checked without knowing the channel.
    pub header: Header,
    /// The name it tells; empty if none.
    pub name: &'a [u8],
    /// The payload, if it is in the message.
    pub inline: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message in `bytes` and its length; `None` if it is not all there yet.
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Message<'a>, usize)>, Broken> {
        let Some(announced) = Announced::read(bytes)? else { return Ok(None) };
        Ok(announced.message(bytes).map(|message| (message, announced.message_len())))
    }
}

/// A message being made, on the stack.
pub struct MessageBuffer {
    /// Written up to `len`; what lies behind is not, since clearing a kilobyte costs as much as all the rest.
    bytes: [MaybeUninit<u8>; MAX_MESSAGE_BYTES],
    len: usize,
}

impl MessageBuffer {
    /// A message with this header and name and the inline payload made of `parts`. The header's lengths must
    /// be those of the payload.
    ///
    /// # Panics
    /// If it is larger than a message can be: the caller decides between inline and arena beforehand.
    #[inline]
    pub fn new(header: Header, name: &[u8], parts: &[&[u8]]) -> MessageBuffer {
        assert!(name.len() <= MAX_NAME_BYTES);
        let mut header = header;
        header.flags = (header.flags & 0xff) | (name.len() as u16) << NAME_LEN_SHIFT;
        let mut buffer =
            MessageBuffer { bytes: [const { MaybeUninit::uninit() }; MAX_MESSAGE_BYTES], len: 0 };
        buffer.push(header.as_bytes());
        buffer.push(name);
        for part in parts {
            buffer.push(part);
        }
        buffer
    }

    #[inline]
    fn push(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].write_copy_of_slice(part);
        self.len += part.len();
    }

    /// Sets the header's `deadline` (in an answer: when the handler ended) and `sent_at`.
    pub fn set_times(&mut self, deadline: u64, sent_at: u64) {
        let at = std::mem::offset_of!(Header, deadline);
        self.bytes[at..at + 8].write_copy_of_slice(&deadline.to_le_bytes());
        self.bytes[at + 8..at + 16].write_copy_of_slice(&sent_at.to_le_bytes());
    }

    /// Its header.
    pub fn header(&self) -> Header {
        Header::read_from_prefix(self.as_bytes()).map(|(header, _)| header).unwrap_or_default()
    }

    /// The message.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: `push` has written every byte up to `len`.
        unsafe { self.bytes[..self.len].assume_init_ref() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_message_is_found_only_when_it_is_whole() {
        let header = Header { metadata_len: 2, body_len: 3, ..Header::new(Kind::Invoke, 7) };
        let buffer = MessageBuffer::new(header, b"Bar", &[b"md", b"bod"]);
        let bytes = buffer.as_bytes();
        assert_eq!(bytes.len(), 64 + 3 + 5);
        for cut in 0..bytes.len() {
            assert!(Message::parse(&bytes[..cut]).unwrap().is_none());
        }
        let (message, len) = Message::parse(bytes).unwrap().unwrap();
        assert_eq!(
            (message.kind, message.name, message.inline, len),
            (Kind::Invoke, &b"Bar"[..], &b"mdbod"[..], 72)
        );
    }

    #[test]
    fn rules_are_kept() {
        let base = Header::new(Kind::Dispatch, 1);
        let broken = |h: Header| Message::parse(h.as_bytes()).unwrap_err();
        assert_eq!(broken(Header { kind: 99, ..base }), Broken::Kind(99));
        assert_eq!(broken(Header { flags: 0x80, ..base }), Broken::Flags(0x80));
        assert_eq!(broken(Header { flags: 64 << 8, ..base }), Broken::Name(64));
        assert!(matches!(broken(Header { body_len: 961, ..base }), Broken::Lengths { .. }));
        assert!(matches!(
            broken(Header { body_len: u64::MAX, region: 1, ..base }),
            Broken::Lengths { .. }
        ));
        assert!(matches!(
            broken(Header { metadata_len: 32769, region: 1, ..base }),
            Broken::Lengths { .. }
        ));
        assert!(matches!(broken(Header { block: 1, ..base }), Broken::Lengths { .. }));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..1500)) {
            if let Ok(Some((message, len))) = Message::parse(&bytes) {
                prop_assert!(len <= MAX_MESSAGE_BYTES && len <= bytes.len());
                prop_assert_eq!(HEADER_BYTES + message.name.len() + message.inline.len(), len);
            }
        }

        #[test]
        fn what_is_written_is_read(call: u64, parent: u64, name in "[a-z]{0,63}", body in proptest::collection::vec(any::<u8>(), 0..890)) {
            let header = Header { parent, body_len: body.len() as u64, ..Header::new(Kind::Invoke, call) };
            let buffer = MessageBuffer::new(header, name.as_bytes(), &[&body]);
            let (message, len) = Message::parse(buffer.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(len, buffer.as_bytes().len());
            prop_assert_eq!(message.header.call, call);
            prop_assert_eq!(message.header.parent, parent);
            prop_assert_eq!(message.name, name.as_bytes());
            prop_assert_eq!(message.inline, &body[..]);
        }
    }
}
