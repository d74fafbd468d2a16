//! Messages on the control socket: a fixed part of 64 bytes and a text. They create and retire
//! workers and hand out memory; no call goes this way.

use super::error::ControlError;
use crate::protocol::limits::{MAX_CONTROL_TEXT_BYTES, TOKEN_BYTES};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of the fixed part.
pub(super) const FIXED_BYTES: usize = 64;
/// Largest control message.
pub const MAX_CONTROL_BYTES: usize = FIXED_BYTES + MAX_CONTROL_TEXT_BYTES;

/// The kind of a control message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum ControlKind {
    /// Container: versions, mode, token; text: the library, then each handler's name, a line each.
    Hello = 1,
    /// Engine: version, id of the container, size: largest body; text: the function to run;
    /// descriptors: the container's base region, the engine's base region.
    Welcome = 2,
    /// Engine: status and text say why; the connection ends.
    Refused = 3,
    /// Engine: id: the worker's slot; descriptors: the end to read, the end to write, and the rings
    /// if messages go by them.
    CreateWorker = 4,
    /// Container: the worker of slot id could not be created; text says why.
    WorkerFailed = 5,
    /// Container: id: its own number for the request; size: bytes wanted.
    RegionRequest = 6,
    /// Engine: the answer; status; region and size (units) and one descriptor if it is granted.
    RegionGranted = 7,
    /// Engine: a region of its own, to read from: region, size (units), one descriptor.
    RegionAdded = 8,
    /// Owner: nothing in this region is in use any more; unmap it.
    RegionDropped = 9,
    /// Engine: end; no more calls come.
    Shutdown = 10,
    /// Engine: there has been no call for a while; give the system back the memory of blocks that
    /// are free.
    Trim = 11,
    /// Engine to a caller's container: a direct channel to a worker of another function.
    Leased = 12,
    /// Engine to a callee's container: a direct channel whose calls one of its workers is to run.
    Lent = 13,
    /// Engine to a caller's container: a lease is over.
    LeaseEnded = 14,
    /// Container: it wants to call outside of any request.
    CallerRequest = 15,
    /// Engine: the answer; status; if it is 0 the descriptors of a channel: the end to read, the
    /// end to write; else text says why there is none.
    CallerCreated = 16,
}

impl ControlKind {
    /// The kind with this number.
    pub(super) fn from_number(number: u16) -> Option<ControlKind> {
        use ControlKind::*;
        [
            Hello,
            Welcome,
            Refused,
            CreateWorker,
            WorkerFailed,
            RegionRequest,
            RegionGranted,
            RegionAdded,
            RegionDropped,
            Shutdown,
            Trim,
            Leased,
            Lent,
            LeaseEnded,
            CallerRequest,
            CallerCreated,
        ]
        .into_iter()
        .find(|kind| *kind as u16 == number)
    }
}

/// The fixed part of a control message. What a field means for which kind is said at
/// [`ControlKind`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub(super) struct Control {
    /// A [`ControlKind`] as a number.
    pub kind: u16,
    /// A [`Mode`] as a number, in `Hello`; a [`Placement`], in `CreateWorker`; bits, in `Welcome`.
    pub mode: u16,
    /// Newest version spoken (`Hello`), or the version chosen (`Welcome`).
    pub version: u16,
    /// Oldest version spoken, in `Hello` and `Refused`.
    pub oldest_version: u16,
    /// A status, 0 for OK.
    pub status: u32,
    /// Bytes of text that follow.
    pub text_len: u32,
    /// The number of a worker slot, a request or a container.
    pub id: u64,
    /// A size, see the kind.
    pub size: u64,
    /// The id of a region.
    pub region: u32,
    /// Zero.
    pub reserved: u32,
    /// In `Hello`: admits one process, once.
    pub token: [u8; TOKEN_BYTES],
    /// Zero.
    pub reserved_end: u64,
}

const _: () = {
    assert!(size_of::<Control>() == FIXED_BYTES);
    assert!(std::mem::offset_of!(Control, id) == 16);
    assert!(std::mem::offset_of!(Control, region) == 32);
    assert!(std::mem::offset_of!(Control, token) == 40);
    assert!(std::mem::offset_of!(Control, reserved_end) == 56);
};

impl Control {
    /// A control message of this kind, all else zero.
    pub(super) fn new(kind: ControlKind) -> Control {
        Control { kind: kind as u16, ..Control::default() }
    }

    /// Checks a received datagram: its kind, its fixed part, its text.
    pub(super) fn parse(bytes: &[u8]) -> Result<(ControlKind, Control, &str), ControlError> {
        let (control, text) =
            Control::read_from_prefix(bytes).map_err(|_| ControlError::Short(bytes.len()))?;
        let kind =
            ControlKind::from_number(control.kind).ok_or(ControlError::Kind(control.kind))?;
        if control.text_len as usize != text.len() {
            return Err(ControlError::Short(bytes.len()));
        }
        if control.reserved != 0 || control.reserved_end != 0 {
            return Err(ControlError::Reserved);
        }
        let text = str::from_utf8(text).map_err(|_| ControlError::Text)?;
        Ok((kind, control, text))
    }

    /// The datagram of this message with this text, which is cut at the limit.
    pub(super) fn encode(mut self, text: &str) -> Vec<u8> {
        let text = &text[..text.floor_char_boundary(MAX_CONTROL_TEXT_BYTES)];
        self.text_len = text.len() as u32;
        [self.as_bytes(), text.as_bytes()].concat()
    }
}

/// A control message, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlBuffer(Vec<u8>);

impl ControlBuffer {
    pub(super) fn write(fixed: Control, text: &str) -> ControlBuffer {
        ControlBuffer(fixed.encode(text))
    }

    /// A datagram of any bytes. What the engine and containers send is written by the types of the
    /// messages.
    pub fn of_bytes(bytes: Vec<u8>) -> ControlBuffer {
        ControlBuffer(bytes)
    }

    /// The datagram.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// The messages that one side can send on the control socket.
pub trait ReadControl: Sized {
    /// Reads the message in a datagram.
    ///
    /// # Errors
    /// If it is malformed, or its kind does not come from this side.
    fn read(datagram: &[u8]) -> Result<Self, ControlError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_and_fields_come_back() {
        let sent = Control { id: 5, token: [9; 16], ..Control::new(ControlKind::Hello) };
        let bytes = sent.encode("lib\nFoo");
        let (kind, control, text) = Control::parse(&bytes).unwrap();
        assert_eq!(
            (kind, control.id, control.token, text),
            (ControlKind::Hello, 5, [9; 16], "lib\nFoo")
        );
        assert_eq!(
            Control::parse(&bytes[..bytes.len() - 1]),
            Err(ControlError::Short(bytes.len() - 1))
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_control_message_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = Control::parse(&bytes);
        }
    }
}
