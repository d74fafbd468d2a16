//! The bell at which an event loop waits for one direct channel.

use super::bell::hear;
use crate::ipc::ring::RingReader;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use std::io;
use std::os::fd::OwnedFd;

/// What epoll calls every bell: which one was rung, the rings tell.
pub(super) const BELL: u64 = 3;

/// The end to read of a pipe that the peer writes to.
#[derive(Debug)]
pub(super) struct LoopBell {
    reader: OwnedFd,
    /// It was rung, and the byte was not there yet: the peer rings after it has lowered the flag.
    is_byte_due: bool,
    is_watched: bool,
}

impl LoopBell {
    pub(super) fn new(reader: OwnedFd) -> LoopBell {
        LoopBell { reader, is_byte_due: false, is_watched: false }
    }

    /// Has these wake at the bell from now on.
    ///
    /// # Errors
    /// If the user's share of watched descriptors is used up.
    pub(super) fn watch(&mut self, epolls: [&Epoll; 2]) -> io::Result<()> {
        if self.is_watched {
            return Ok(());
        }
        for epoll in epolls {
            // The kernel offers a ring to the first of these that a thread waits at. It tells
            // of each once: a peer that rings in vain, or leaves, does not keep the loop awake.
            let once = EpollFlags::EPOLLIN | EpollFlags::EPOLLET | EpollFlags::EPOLLEXCLUSIVE;
            match epoll.add(&self.reader, EpollEvent::new(once, BELL)) {
                // Since an earlier attempt, whose second half failed.
                Ok(()) | Err(nix::Error::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.is_watched = true;
        Ok(())
    }

    /// The loop waits no longer. Takes the byte of the bell, if it was rung.
    #[inline]
    pub(super) fn stop_waiting(&mut self, ring: &RingReader) {
        if ring.end_wait() || self.is_byte_due {
            let heard = hear(&self.reader);
            self.is_byte_due = heard.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ipc::channel::Pipe;
    use nix::sys::epoll::EpollCreateFlags;

    #[test]
    fn a_bell_that_could_not_be_watched_is_tried_again() {
        let epolls = [(); 2].map(|()| Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).unwrap());
        let watch = |bell: &mut LoopBell| bell.watch([&epolls[0], &epolls[1]]);
        // Files cannot be watched.
        let mut bell = LoopBell::new(std::fs::File::open("/proc/self/exe").unwrap().into());
        assert!(watch(&mut bell).is_err() && watch(&mut bell).is_err());

        let mut bell = LoopBell::new(Pipe::without_name().unwrap().reader);
        let event = EpollEvent::new(EpollFlags::EPOLLIN, BELL);
        epolls[0].add(&bell.reader, event).unwrap();
        watch(&mut bell).unwrap();
        assert!(epolls[1].delete(&bell.reader).is_ok());
    }
}
