//! The control socket: datagrams in order over a Unix `SOCK_SEQPACKET` socket, with descriptors
//! passed beside them.

use crate::protocol::control::{ControlBuffer, ControlError, MAX_CONTROL_BYTES, ReadControl};
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, sendmsg, socket,
};
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;

/// The most descriptors that may come with one message.
const MAX_DESCRIPTORS: usize = 5;

/// A control message that was received.
#[derive(Debug)]
pub struct ReceivedControl<M> {
    /// The message.
    pub message: M,
    /// The descriptors that came with it.
    pub descriptors: Vec<OwnedFd>,
}

/// Connects to an engine's control socket.
pub fn connect_to(path: &Path) -> io::Result<OwnedFd> {
    let fd = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)?;
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// Sends one control message with descriptors. Never raises SIGPIPE.
///
/// # Errors
///
/// The errors of sendmsg. `WouldBlock` if the socket is full and non-blocking.
pub fn send_control(
    fd: BorrowedFd<'_>,
    message: &ControlBuffer,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let raw: Vec<i32> = descriptors.iter().map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&raw)];
    let ancillary = if raw.is_empty() { &rights[..0] } else { &rights[..] };
    loop {
        match sendmsg::<()>(
            fd.as_raw_fd(),
            &[IoSlice::new(message.as_bytes())],
            ancillary,
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Ok(_) => return Ok(()),
            Err(nix::Error::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one control message; `None` when the other side has closed the socket.
///
/// # Errors
///
/// `InvalidData` if the message is malformed. `WouldBlock` if there is none and the socket is
/// non-blocking.
pub fn receive_control<M: ReadControl>(
    fd: BorrowedFd<'_>,
) -> io::Result<Option<ReceivedControl<M>>> {
    let Some((bytes, descriptors)) = receive_bytes(fd)? else { return Ok(None) };
    Ok(Some(ReceivedControl { message: M::read(&bytes).map_err(invalid)?, descriptors }))
}

fn invalid(error: ControlError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Receives one datagram and its descriptors; `None` when the other side has closed the socket.
fn receive_bytes(fd: BorrowedFd<'_>) -> io::Result<Option<(Vec<u8>, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; MAX_CONTROL_BYTES];
    let mut descriptors = Vec::new();
    let (len, flags) = loop {
        match receive_datagram(fd, &mut bytes, &mut descriptors) {
            Ok(received) => break received,
            Err(nix::Error::EINTR) => {}
            Err(nix::Error::ECONNRESET) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    };
    if len == 0 {
        return Ok(None);
    }
    if flags.intersects(MsgFlags::MSG_TRUNC | MsgFlags::MSG_CTRUNC) {
        return Err(invalid(ControlError::Short(len)));
    }
    bytes.truncate(len);
    Ok(Some((bytes, descriptors)))
}

/// Receives one datagram. Returns its length, and whether a part of it was lost. Its descriptors
/// are owned from here on, even if more came than there is room for: the kernel creates those that
/// fit, and nobody else would close them.
fn receive_datagram(
    fd: BorrowedFd<'_>,
    bytes: &mut [u8],
    descriptors: &mut Vec<OwnedFd>,
) -> nix::Result<(usize, MsgFlags)> {
    const DESCRIPTOR_BYTES: u32 = (MAX_DESCRIPTORS * size_of::<RawFd>()) as u32;
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
    const SPACE: usize = unsafe { libc::CMSG_SPACE(DESCRIPTOR_BYTES) } as usize;
    let mut space = [0_u64; SPACE.div_ceil(size_of::<u64>())];
    let mut io = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: a msghdr of zeros is a valid, empty one.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    (message.msg_iov, message.msg_iovlen) = (&raw mut io, 1);
    // musl has 32 bits for this length and for that in cmsghdr, where glibc has a size_t.
    (message.msg_control, message.msg_controllen) = (space.as_mut_ptr().cast(), SPACE as _);
    // SAFETY: the memory that `message` points to lives until the end of this function and is as
    // long as `message` says.
    let len = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let len = nix::Error::result(len)? as usize;
    // SAFETY: the kernel has filled `space` with headers, each followed by as many bytes as it
    // says. The descriptors are new ones of this process, which nothing else knows.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(ancillary) = header.as_ref() {
            if (ancillary.cmsg_level, ancillary.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
                let raw = libc::CMSG_DATA(header).cast::<RawFd>();
                #[allow(clippy::unnecessary_cast)] // With musl it is not.
                let length = ancillary.cmsg_len as usize;
                let count = (length - libc::CMSG_LEN(0) as usize) / size_of::<RawFd>();
                descriptors.extend(
                    (0..count).map(|at| OwnedFd::from_raw_fd(raw.add(at).read_unaligned())),
                );
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    Ok((len, MsgFlags::from_bits_truncate(message.msg_flags)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::control::{CreateWorker, FromEngine, Placement, WorkerSlot};
    use nix::sys::socket::socketpair;
    use std::os::fd::AsFd;

    #[test]
    fn messages_and_descriptors_arrive() {
        let (a, b) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let slot = WorkerSlot::new(3).unwrap();
        let create = CreateWorker { slot, placement: Placement::Free };
        let sent = create.write();
        let receive = |fd| receive_control::<FromEngine>(fd);
        send_control(a.as_fd(), &sent, &[reader.as_fd(), writer.as_fd()]).unwrap();
        let received = receive(b.as_fd()).unwrap().unwrap();
        assert_eq!(received.message, FromEngine::CreateWorker(create));
        assert_eq!(received.descriptors.len(), 2);
        nix::unistd::write(&received.descriptors[1], b"x").unwrap();
        assert_eq!(nix::unistd::read(&reader, &mut [0; 4]).unwrap(), 1);
        nix::sys::socket::send(a.as_raw_fd(), b"garbage", MsgFlags::empty()).unwrap();
        assert_eq!(receive(b.as_fd()).unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop(a);
        assert!(receive(b.as_fd()).unwrap().is_none());
        assert!(send_control(b.as_fd(), &sent, &[]).is_err(), "and no SIGPIPE");
    }

    #[test]
    fn descriptors_that_there_is_no_room_for_are_closed() {
        let (a, b) =
            socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
                .unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        send_control(a.as_fd(), &FromEngine::Trim.write(), &[writer.as_fd(); 9]).unwrap();
        drop(writer);
        let received = receive_control::<FromEngine>(b.as_fd());
        assert_eq!(received.unwrap_err().kind(), io::ErrorKind::InvalidData);
        // The pipe ends when its last writer has closed it.
        assert_eq!(nix::unistd::read(&reader, &mut [0; 4]).unwrap(), 0);
    }
}
