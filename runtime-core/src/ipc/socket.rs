//! The control socket: datagrams in order over a Unix `SOCK_SEQPACKET` socket, descriptors passed beside them.

use crate::protocol::control::{Control, ControlError, ControlKind, MAX_CONTROL_BYTES};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect,
    recvmsg, sendmsg, socket,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

/// Most descriptors that come with one message.
const MAX_DESCRIPTORS: usize = 3;

/// A control message as it was received.
#[derive(Debug)]
pub struct Received {
    /// What it says.
    pub kind: ControlKind,
    /// Its fixed part.
    pub control: Control,
    /// Its text.
    pub text: String,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// Connects to an engine's control socket.
pub fn connect_to(path: &Path) -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// Sends one message with descriptors. Never raises SIGPIPE.
pub fn send(
    fd: BorrowedFd<'_>,
    control: Control,
    text: &str,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let bytes = control.encode(text);
    let raw: Vec<i32> = descriptors.iter().map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let ancillary = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    loop {
        match sendmsg::<()>(fd.as_raw_fd(), &[IoSlice::new(&bytes)], ancillary, MsgFlags::MSG_NOSIGNAL, None)
        {
            Ok(_) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one message; `None` when the other side has closed. A malformed one is an error of kind
/// `InvalidData`.
pub fn receive(fd: BorrowedFd<'_>) -> io::Result<Option<Received>> {
    let mut bytes = vec![0; MAX_CONTROL_BYTES];
    let mut space = nix::cmsg_space!([i32; MAX_DESCRIPTORS]);
    let (len, truncated, descriptors) = loop {
        let mut io = [IoSliceMut::new(&mut bytes)];
        match recvmsg::<()>(fd.as_raw_fd(), &mut io, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC) {
            Ok(message) => {
                let mut descriptors = Vec::new();
                for ancillary in message.cmsgs()? {
                    if let ControlMessageOwned::ScmRights(raw) = ancillary {
                        // SAFETY: the kernel has just made these descriptors for this process; nothing else
                        // knows them.
                        descriptors.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
                    }
                }
                let lost = MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC;
                break (message.bytes, message.flags.intersects(lost), descriptors);
            }
            Err(nix::Error::EINTR) => {}
            Err(nix::Error::ECONNRESET) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    if len == 0 {
        return Ok(None);
    }
    let invalid = |error: ControlError| io::Error::new(io::ErrorKind::InvalidData, error);
    if truncated {
        return Err(invalid(ControlError::Short(len)));
    }
    let (kind, control, text) = Control::parse(&bytes[..len]).map_err(invalid)?;
    Ok(Some(Received { kind, control, text: text.to_owned(), descriptors }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::socketpair;
    use std::os::fd::AsFd;

    #[test]
    fn messages_and_descriptors_arrive() {
        let (a, b) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let sent = Control { id: 3, ..Control::new(ControlKind::CreateWorker) };
        send(a.as_fd(), sent, "text", &[reader.as_fd(), writer.as_fd()]).unwrap();
        let received = receive(b.as_fd()).unwrap().unwrap();
        assert_eq!(
            (received.kind, received.control.id, received.text.as_str()),
            (ControlKind::CreateWorker, 3, "text")
        );
        assert_eq!(received.descriptors.len(), 2);
        nix::unistd::write(&received.descriptors[1], b"x").unwrap();
        assert_eq!(nix::unistd::read(&reader, &mut [0; 4]).unwrap(), 1);
        nix::sys::socket::send(a.as_raw_fd(), b"garbage", MsgFlags::empty()).unwrap();
        assert_eq!(receive(b.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(a);
        assert!(receive(b.as_fd()).unwrap().is_none());
        assert!(send(b.as_fd(), sent, "", &[]).is_err(), "and no SIGPIPE");
    }
}
