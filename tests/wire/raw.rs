//! Messages and control messages of any bytes, written by hand from `docs/PROTOCOL.md`. With them,
//! tests play peers that send messages which the types of the protocol cannot represent.

#![allow(dead_code)] // No test needs all of it.

use nightcore_runtime::ipc::socket;
use nightcore_runtime::protocol::control::{ControlBuffer, ControlError, ReadControl};
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

const HEADER_BYTES: usize = 64;

macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident { $($kind:ident = $number:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum $name { $($kind = $number),* }

        impl $name {
            /// Returns the kind with this number.
            pub fn from_number(number: u16) -> Option<$name> {
                match number {
                    $($number => Some($name::$kind),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// The kinds of messages.
    Kind {
        Ready = 1, Retire = 2, Dispatch = 3, Invoke = 4, Complete = 5, Failed = 6, Cancel = 7,
        Wait = 8, InvokeAlone = 16,
    }
}

kinds! {
    /// The kinds of control messages.
    ControlKind {
        Hello = 1, Welcome = 2, Refused = 3, CreateWorker = 4, WorkerFailed = 5, RegionRequest = 6,
        RegionGranted = 7, RegionAdded = 8, RegionDropped = 9, Shutdown = 10, Trim = 11,
        CallerRequest = 15, CallerCreated = 16,
    }
}

/// The header of a message, field by field as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawHeader {
    pub kind: u16,
    pub flags: u16,
    pub status: u32,
    pub call: u64,
    pub parent: u64,
    pub function: u32,
    pub metadata_len: u32,
    pub body_len: u64,
    pub deadline: u64,
    pub sent_at: u64,
    pub region: u32,
    pub block: u32,
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("as long as asked for")
}

impl RawHeader {
    /// Returns a header of this kind for this call. All other fields are zero.
    pub fn new(kind: Kind, call: u64) -> RawHeader {
        RawHeader { kind: kind as u16, call, ..RawHeader::default() }
    }

    /// Returns the 64 bytes of the header.
    pub fn bytes(&self) -> [u8; HEADER_BYTES] {
        let fields = [
            &self.kind.to_le_bytes()[..],
            &self.flags.to_le_bytes(),
            &self.status.to_le_bytes(),
            &self.call.to_le_bytes(),
            &self.parent.to_le_bytes(),
            &self.function.to_le_bytes(),
            &self.metadata_len.to_le_bytes(),
            &self.body_len.to_le_bytes(),
            &self.deadline.to_le_bytes(),
            &self.sent_at.to_le_bytes(),
            &self.region.to_le_bytes(),
            &self.block.to_le_bytes(),
        ];
        fields.concat().try_into().expect("64 bytes")
    }

    fn read(bytes: &[u8]) -> RawHeader {
        RawHeader {
            kind: u16::from_le_bytes(number(bytes, 0)),
            flags: u16::from_le_bytes(number(bytes, 2)),
            status: u32::from_le_bytes(number(bytes, 4)),
            call: u64::from_le_bytes(number(bytes, 8)),
            parent: u64::from_le_bytes(number(bytes, 16)),
            function: u32::from_le_bytes(number(bytes, 24)),
            metadata_len: u32::from_le_bytes(number(bytes, 28)),
            body_len: u64::from_le_bytes(number(bytes, 32)),
            deadline: u64::from_le_bytes(number(bytes, 40)),
            sent_at: u64::from_le_bytes(number(bytes, 48)),
            region: u32::from_le_bytes(number(bytes, 56)),
            block: u32::from_le_bytes(number(bytes, 60)),
        }
    }
}

/// A message to send.
pub struct RawMessage(Vec<u8>);

impl RawMessage {
    /// Returns a message of this header and name, followed by these bytes. The length of the name
    /// is put into the flags; the other lengths are not changed.
    pub fn new(header: RawHeader, name: &[u8], parts: &[&[u8]]) -> RawMessage {
        let flags = header.flags & 0xff | (name.len() as u16) << 8;
        let header = RawHeader { flags, ..header };
        RawMessage([&header.bytes()[..], name, &parts.concat()].concat())
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A message that was received.
pub struct RawRead<'a> {
    pub kind: Kind,
    pub header: RawHeader,
    pub name: &'a [u8],
    /// The payload, if the message contains it.
    pub inline: &'a [u8],
}

/// Parses these bytes as a message.
pub fn read(bytes: &[u8]) -> RawRead<'_> {
    let header = RawHeader::read(bytes);
    let (name, inline) = bytes[HEADER_BYTES..].split_at(usize::from(header.flags >> 8));
    RawRead { kind: Kind::from_number(header.kind).expect("a kind"), header, name, inline }
}

/// A control message without its text, field by field as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RawControl {
    pub kind: u16,
    pub mode: u16,
    pub version: u16,
    pub oldest_version: u16,
    pub status: u32,
    pub text_len: u32,
    pub id: u64,
    pub size: u64,
    pub region: u32,
    pub reserved: u32,
    pub token: [u8; 16],
    pub reserved_end: u64,
}

impl RawControl {
    /// Returns a control message of this kind. All other fields are zero.
    pub fn new(kind: ControlKind) -> RawControl {
        RawControl { kind: kind as u16, ..RawControl::default() }
    }

    /// Returns the datagram of the control message with this text.
    pub fn encode(self, text: &str) -> Vec<u8> {
        let text_len = text.len() as u32;
        let fields = [
            &self.kind.to_le_bytes()[..],
            &self.mode.to_le_bytes(),
            &self.version.to_le_bytes(),
            &self.oldest_version.to_le_bytes(),
            &self.status.to_le_bytes(),
            &text_len.to_le_bytes(),
            &self.id.to_le_bytes(),
            &self.size.to_le_bytes(),
            &self.region.to_le_bytes(),
            &self.reserved.to_le_bytes(),
            &self.token,
            &self.reserved_end.to_le_bytes(),
            text.as_bytes(),
        ];
        fields.concat()
    }
}

struct RawText {
    kind: ControlKind,
    control: RawControl,
    text: String,
}

impl ReadControl for RawText {
    fn read(bytes: &[u8]) -> Result<RawText, ControlError> {
        if bytes.len() < HEADER_BYTES {
            return Err(ControlError::Short(bytes.len()));
        }
        let control = RawControl {
            kind: u16::from_le_bytes(number(bytes, 0)),
            mode: u16::from_le_bytes(number(bytes, 2)),
            version: u16::from_le_bytes(number(bytes, 4)),
            oldest_version: u16::from_le_bytes(number(bytes, 6)),
            status: u32::from_le_bytes(number(bytes, 8)),
            text_len: u32::from_le_bytes(number(bytes, 12)),
            id: u64::from_le_bytes(number(bytes, 16)),
            size: u64::from_le_bytes(number(bytes, 24)),
            region: u32::from_le_bytes(number(bytes, 32)),
            reserved: u32::from_le_bytes(number(bytes, 36)),
            token: number(bytes, 40),
            reserved_end: u64::from_le_bytes(number(bytes, 56)),
        };
        let kind =
            ControlKind::from_number(control.kind).ok_or(ControlError::Kind(control.kind))?;
        let text = str::from_utf8(&bytes[HEADER_BYTES..]).map_err(|_| ControlError::Text)?;
        Ok(RawText { kind, control, text: text.to_owned() })
    }
}

/// A control message as it was received.
#[derive(Debug)]
pub struct RawReceived {
    pub kind: ControlKind,
    pub control: RawControl,
    pub text: String,
    pub descriptors: Vec<OwnedFd>,
}

/// Sends one control message with descriptors.
pub fn send(
    fd: BorrowedFd<'_>,
    control: RawControl,
    text: &str,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    socket::send_control(fd, &ControlBuffer::of_bytes(control.encode(text)), descriptors)
}

/// Receives one control message; returns `None` when the other side has closed.
pub fn receive(fd: BorrowedFd<'_>) -> io::Result<Option<RawReceived>> {
    let received = socket::receive_control::<RawText>(fd)?;
    Ok(received.map(|received| {
        let RawText { kind, control, text } = received.message;
        RawReceived { kind, control, text, descriptors: received.descriptors }
    }))
}
