//! The descriptors that come with a direct channel.

use std::io;
use std::os::fd::OwnedFd;

/// The descriptors of a direct channel.
#[derive(Debug)]
pub(super) struct DirectFiles {
    /// The rings and the words of its calls.
    pub(super) channel: OwnedFd,
    /// The region whose blocks the caller hands out.
    pub(super) caller: OwnedFd,
    /// The region whose blocks the callee hands out.
    pub(super) callee: OwnedFd,
}

impl DirectFiles {
    /// Those that came with a message.
    ///
    /// # Errors
    /// `InvalidData` if they are not three.
    pub(super) fn new(descriptors: Vec<OwnedFd>) -> io::Result<DirectFiles> {
        let text = "a direct channel came without its descriptors";
        let three: Result<[OwnedFd; 3], _> = descriptors.try_into();
        let [channel, caller, callee] =
            three.map_err(|_| io::Error::new(io::ErrorKind::InvalidData, text))?;
        Ok(DirectFiles { channel, caller, callee })
    }
}
