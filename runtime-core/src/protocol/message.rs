//! Messages on a channel: a header of 64 bytes, a name where one is told, and a payload of up to
//! 960 bytes or the place of one in the arena.

use super::broken::Broken;
use super::failure::WireFailure;
use super::header::NAME_LEN_SHIFT;
use super::header::{Header, Kind};
use super::ids::RegionId;
use super::limits::{HEADER_BYTES, MAX_MESSAGE_BYTES, MAX_NAME_BYTES};
use super::payload::{BlockPayload, InlinePayload, WirePayload};
use super::status::Status;
use std::mem::MaybeUninit;
use zerocopy::{FromBytes, IntoBytes};

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
        let bytes = bytes.get(..self.message_len())?;
        Some(Message { kind: self.kind, header: self.header, bytes })
    }
}

/// A message as it lies in a read buffer. [`super::ToEngine`] and [`super::ToWorker`] read what it
/// says.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub(super) kind: Kind,
    /// Checked for what can be checked without knowing the kind.
    pub(super) header: Header,
    bytes: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message in `bytes` and its length; `None` if it is not all there yet.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Option<(Message<'a>, usize)>, Broken> {
        let Some(announced) = Announced::read(bytes)? else { return Ok(None) };
        Ok(announced.message(bytes).map(|message| (message, announced.message_len())))
    }

    /// All of its bytes.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The name that it tells; empty if it tells none.
    #[inline]
    pub(super) fn name(&self) -> Result<&'a str, Broken> {
        let (name, _) = self.behind_header();
        str::from_utf8(name).map_err(|_| Broken::Name(name.len()))
    }

    /// The bytes of the name, and those of an inline payload.
    #[inline]
    fn behind_header(&self) -> (&'a [u8], &'a [u8]) {
        self.bytes[HEADER_BYTES..].split_at(self.header.name_len())
    }

    /// The payload.
    #[inline]
    pub(super) fn payload(&self) -> WirePayload<'a> {
        WirePayload::read(&self.header, self.behind_header().1)
    }

    /// The failure in a FAILED message.
    pub(super) fn failure(&self) -> Result<WireFailure<'a>, Broken> {
        let number = self.header.status;
        let status = Status::failure_from_wire(number).ok_or(Broken::Status(number))?;
        Ok(WireFailure {
            status,
            payload: InlinePayload::read(&self.header, self.behind_header().1)?,
        })
    }
}

/// A message being made, on the stack.
pub struct MessageBuffer {
    /// The bytes up to `len` are initialized. The others are not, because clearing a kilobyte costs
    /// as much as all other work on a message.
    bytes: [MaybeUninit<u8>; MAX_MESSAGE_BYTES],
    len: usize,
}

impl MessageBuffer {
    /// A message with this header and name and the inline payload made of `parts`. The header's
    /// lengths must be those of the payload.
    ///
    /// # Panics
    /// If it is larger than a message can be: the caller decides between inline and arena
    /// beforehand.
    #[inline]
    fn new(header: Header, name: &[u8], parts: &[&[u8]]) -> MessageBuffer {
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

    /// A message with this header, name and payload. The header's lengths and the place of the
    /// payload are filled in.
    ///
    /// # Panics
    /// If it is larger than a message can be: the caller decides between inline and arena
    /// beforehand.
    #[inline]
    pub(super) fn write(header: Header, name: &str, payload: WirePayload<'_>) -> MessageBuffer {
        let mut header = header;
        payload.describe(&mut header);
        match payload {
            WirePayload::Inline(InlinePayload { metadata, body }) => {
                MessageBuffer::new(header, name.as_bytes(), &[metadata, body])
            }
            WirePayload::Block(_) => MessageBuffer::new(header, name.as_bytes(), &[]),
        }
    }

    #[inline]
    fn push(&mut self, part: &[u8]) {
        // Most messages have no name and no metadata, and a call of memcpy costs more than this.
        if part.is_empty() {
            return;
        }
        self.bytes[self.len..self.len + part.len()].write_copy_of_slice(part);
        self.len += part.len();
    }

    /// Sets the header's `deadline` (in an answer: when the handler ended) and `sent_at`.
    fn set_times(&mut self, deadline: u64, sent_at: u64) {
        let at = std::mem::offset_of!(Header, deadline);
        self.bytes[at..at + 8].write_copy_of_slice(&deadline.to_le_bytes());
        self.bytes[at + 8..at + 16].write_copy_of_slice(&sent_at.to_le_bytes());
    }

    /// In the answer to a call: sets when the handler ended, which is also when the message is
    /// sent.
    pub fn set_ended(&mut self, at: u64) {
        self.set_times(at, at);
    }

    /// In the answer to a call: how the call ended.
    pub fn status(&self) -> Status {
        Status::from_number(self.header().status).unwrap_or(Status::Internal)
    }

    /// The block of the arena that holds its payload, if one does.
    pub fn block(&self) -> Option<BlockPayload> {
        let header = self.header();
        let region = RegionId::new(header.region)?;
        let (metadata_len, body_len) = (header.metadata_len as usize, header.body_len);
        Some(BlockPayload { region, block: header.block, metadata_len, body_len })
    }

    /// Its header.
    fn header(&self) -> Header {
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
        let payload = InlinePayload { metadata: b"md", body: b"bod" };
        let header = Header::new(Kind::Invoke, 7);
        let buffer = MessageBuffer::write(header, "Bar", WirePayload::Inline(payload));
        let bytes = buffer.as_bytes();
        assert_eq!(bytes.len(), 64 + 3 + 5);
        for cut in 0..bytes.len() {
            assert!(Message::parse(&bytes[..cut]).unwrap().is_none());
        }
        let (message, len) = Message::parse(bytes).unwrap().unwrap();
        assert_eq!((message.kind, message.name(), len), (Kind::Invoke, Ok("Bar"), 72));
        assert_eq!(message.payload(), WirePayload::Inline(payload));
        assert_eq!(message.as_bytes(), bytes);
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
        fn any_bytes_are_a_message_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..1500),
        ) {
            if let Ok(Some((message, len))) = Message::parse(&bytes) {
                prop_assert!(len <= MAX_MESSAGE_BYTES && len <= bytes.len());
                prop_assert_eq!(message.as_bytes().len(), len);
            }
        }
    }
}
