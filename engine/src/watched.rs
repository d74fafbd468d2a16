//! Waits for a descriptor to become readable or writable.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A descriptor that the runtime's event loop watches.
///
/// It shares ownership of the descriptor, so that other code can read and write it meanwhile. If a
/// type owns its descriptor exclusively, a duplicate is watched.
///
/// A descriptor can be watched by one `Watched` at a time: the kernel refuses a second
/// registration. Code that reads and writes the same descriptor watches it once, with both
/// interests.
#[derive(Debug)]
pub struct Watched(AsyncFd<Rc<OwnedFd>>);

/// The permission to try an operation on a descriptor. [`AsyncFdReadyGuard::clear_ready`] reports
/// that the descriptor was not ready.
pub type Ready<'a> = AsyncFdReadyGuard<'a, Rc<OwnedFd>>;

impl Watched {
    /// Watches a nonblocking descriptor.
    ///
    /// # Errors
    ///
    /// When the kernel refuses to watch it: it is of a kind that is always ready, it is watched
    /// already, or the limit of watched descriptors is reached.
    pub fn new(fd: impl Into<Rc<OwnedFd>>, interest: Interest) -> io::Result<Watched> {
        // SAFETY: the AsyncFd shares ownership of the `Rc`, so the descriptor stays open as long as
        // it is registered. An `OwnedFd` behind an `Rc` cannot be replaced, so the descriptor is
        // always the same one.
        let watched = unsafe { AsyncFd::register_with_interest(fd.into(), interest) };
        Ok(Watched(watched.map_err(io::Error::from)?))
    }

    /// Waits until the descriptor may be readable. Only the last task that waits is woken.
    #[inline]
    pub async fn readable(&self) -> io::Result<Ready<'_>> {
        poll_fn(|context| self.0.poll_read_ready(context)).await
    }

    /// Waits until the descriptor may be writable. Only the last task that waits is woken.
    pub async fn writable(&self) -> io::Result<Ready<'_>> {
        poll_fn(|context| self.0.poll_write_ready(context)).await
    }
}

impl AsFd for Watched {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
