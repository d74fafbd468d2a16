//! The callee's end of a direct channel.

use super::direct_files::DirectFiles;
use super::loop_bell::LoopBell;
use super::memory::DirectMemory;
use super::peer::Peer;
use crate::ipc::direct::DirectFile;
use crate::ipc::ring::{RingReader, RingWriter};
use crate::protocol::control::{Lent, Mode};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The callee's end of a direct channel.
#[derive(Debug)]
pub(super) struct CalleeEnd {
    pub(super) file: DirectFile,
    /// The name of the calling function.
    pub(super) caller: Arc<str>,
    pub(super) writer: RingWriter,
    pub(super) reader: RingReader,
    pub(super) memory: DirectMemory,
    /// The calling side.
    pub(super) peer: Peer,
    /// The bell at which an event loop waits for calls.
    pub(super) bell: Option<LoopBell>,
}

impl CalleeEnd {
    /// Opens the end that came with LENT, in a container of this mode.
    pub(super) fn open(
        lent: &Lent,
        descriptors: Vec<OwnedFd>,
        mode: Mode,
    ) -> io::Result<CalleeEnd> {
        let files = DirectFiles::new(descriptors, mode)?;
        let file = DirectFile::map(&files.channel)?;
        let (writer, reader) = file.callee_ends();
        Ok(CalleeEnd {
            file,
            caller: lent.caller.as_str().into(),
            writer,
            reader,
            memory: DirectMemory::of_callee(&files)?,
            peer: files.peer,
            bell: files.bell,
        })
    }
}
