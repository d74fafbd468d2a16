//! The parts of a channel: two named pipes, and with rings a file of shared memory.

use nightcore_runtime::ipc::channel::Pipe;
use nightcore_runtime::ipc::ring::{self, RingFile};
use nightcore_runtime::protocol::DIRECT_SINCE_VERSION;
use nightcore_runtime::protocol::control::ChannelKind;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

/// A channel that was just made. The worker's ends have not been sent yet.
pub(super) struct Ends {
    pub(super) to_worker: Pipe,
    pub(super) from_worker: Pipe,
    /// The rings, mapped, and their file.
    pub(super) rings: Option<(RingFile, OwnedFd)>,
}

impl Ends {
    /// Makes the parts of a channel. For a moment the pipes have names in `directory`, which
    /// contain `number`. `version` is the version of the protocol that the container speaks.
    pub(super) fn create(
        directory: &Path,
        number: u64,
        (kind, version): (ChannelKind, u16),
    ) -> io::Result<Ends> {
        let pipe =
            |direction: &str| Pipe::create(&directory.join(format!("pipe-{number}-{direction}")));
        let (to_worker, from_worker) = (pipe("in")?, pipe("out")?);
        let rings = match kind {
            ChannelKind::Fifo => None,
            ChannelKind::Ring => {
                let file = match version >= DIRECT_SINCE_VERSION {
                    true => ring::create_file_with_seats()?,
                    false => ring::create_file()?,
                };
                Some((RingFile::map(&file)?, file))
            }
        };
        Ok(Ends { to_worker, from_worker, rings })
    }
}
