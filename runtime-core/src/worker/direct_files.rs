//! The descriptors that come with a direct channel.

use super::bell::Bell;
use super::loop_bell::LoopBell;
use super::peer::Peer;
use crate::protocol::control::Mode;
use std::io;
use std::os::fd::OwnedFd;

/// The descriptors of a direct channel.
#[derive(Debug)]
pub(super) struct DirectFiles {
    /// The file with the rings and the words of the calls.
    pub(super) channel: OwnedFd,
    /// The region whose blocks the caller hands out.
    pub(super) caller: OwnedFd,
    /// The region whose blocks the callee hands out.
    pub(super) callee: OwnedFd,
    /// The bell at which this side waits, if it is an event loop.
    pub(super) bell: Option<LoopBell>,
    /// The other side.
    pub(super) peer: Peer,
}

impl DirectFiles {
    /// Takes the descriptors that came with a message, in a container of this mode.
    ///
    /// # Errors
    ///
    /// `InvalidData` if there are too few or too many.
    pub(super) fn new(descriptors: Vec<OwnedFd>, mode: Mode) -> io::Result<DirectFiles> {
        let text = "a direct channel came without its descriptors";
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, text);
        let mut descriptors = descriptors.into_iter();
        let mut next = || descriptors.next().ok_or_else(wrong);
        let (channel, caller, callee) = (next()?, next()?, next()?);
        let bell = match mode {
            Mode::Threads => None,
            Mode::EventLoop => Some(LoopBell::new(next()?)),
        };
        let peer = match descriptors.next() {
            None => Peer::Thread,
            Some(writer) => Peer::EventLoop(Bell::new(writer)),
        };
        if descriptors.next().is_some() {
            return Err(wrong());
        }
        Ok(DirectFiles { channel, caller, callee, bell, peer })
    }
}
