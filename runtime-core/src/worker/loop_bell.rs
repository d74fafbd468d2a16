//! The bell at which an event loop waits for one direct channel.

use super::bell::hear;
use crate::ipc::ring::RingReader;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags};
use std::io;
use std::os::fd::OwnedFd;

/// The epoll data of every bell. The rings show which bell was rung.
pub(super) const BELL: u64 = 3;

/// The reading end of a pipe to which the peer writes.
#[derive(Debug)]
pub(super) struct LoopBell {
    reader: OwnedFd,
    /// Whether the bell was rung before its byte has arrived: the peer lowers the flag first and
    /// writes the byte later.
    is_byte_due: bool,
    is_watched: bool,
}

impl LoopBell {
    pub(super) fn new(reader: OwnedFd) -> LoopBell {
        LoopBell { reader, is_byte_due: false, is_watched: false }
    }

    /// Makes the bell wake these epoll descriptors from now on.
    ///
    /// # Errors
    ///
    /// If the user's share of watched descriptors is used up.
    pub(super) fn watch(&mut self, epolls: [&Epoll; 2]) -> io::Result<()> {
        if self.is_watched {
            return Ok(());
        }
        for epoll in epolls {
            // The kernel reports a ring at the first of these descriptors at which a thread waits.
            // It reports each ring once, so a peer that rings in vain, or leaves, does not keep the
            // loop awake.
            let once = EpollFlags::EPOLLIN | EpollFlags::EPOLLET | EpollFlags::EPOLLEXCLUSIVE;
            match epoll.add(&self.reader, EpollEvent::new(once, BELL)) {
                // It was added by an earlier attempt, whose second half failed.
                Ok(()) | Err(nix::Error::EEXIST) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.is_watched = true;
        Ok(())
    }

    /// Notes that the loop no longer waits. Reads the byte of the bell, if the bell was rung.
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
        // Regular files cannot be watched.
        let mut bell = LoopBell::new(std::fs::File::open("/proc/self/exe").unwrap().into());
        assert!(watch(&mut bell).is_err() && watch(&mut bell).is_err());

        let mut bell = LoopBell::new(Pipe::without_name().unwrap().reader);
        let event = EpollEvent::new(EpollFlags::EPOLLIN, BELL);
        epolls[0].add(&bell.reader, event).unwrap();
        watch(&mut bell).unwrap();
        assert!(epolls[1].delete(&bell.reader).is_ok());
    }
}
