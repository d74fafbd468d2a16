//! The callee's end of a direct channel.

use super::direct_files::DirectFiles;
use super::memory::DirectMemory;
use crate::ipc::direct::DirectFile;
use crate::ipc::place::{Home, Place};
use crate::ipc::ring::{RingReader, RingWriter};
use crate::ipc::spin::Prediction;
use crate::protocol::control::Lent;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// The callee's end of a direct channel.
#[derive(Debug)]
pub(super) struct CalleeEnd {
    pub(super) file: DirectFile,
    pub(super) caller: Arc<str>,
    pub(super) writer: RingWriter,
    pub(super) reader: RingReader,
    pub(super) memory: DirectMemory,
    /// How soon the next call comes.
    pub(super) calls: Prediction,
    /// When the last call ended, in ns.
    pub(super) ended_at: u64,
    pub(super) recalled: bool,
    /// The core to which its thread is bound.
    pub(super) home: Home,
    /// How many calls in a row were short.
    pub(super) short_calls: u32,
    /// How many calls in a row came from another core.
    pub(super) from_elsewhere: u32,
    /// Moves its thread away from the caller's core.
    pub(super) place: Place,
}

impl CalleeEnd {
    /// The end that came with LENT.
    pub(super) fn open(lent: &Lent, descriptors: Vec<OwnedFd>) -> io::Result<CalleeEnd> {
        let files = DirectFiles::new(descriptors)?;
        let file = DirectFile::map(&files.channel)?;
        let (writer, reader) = file.callee_ends();
        Ok(CalleeEnd {
            file,
            caller: lent.caller.as_str().into(),
            writer,
            reader,
            memory: DirectMemory::of_callee(&files)?,
            calls: Prediction::default(),
            ended_at: 0,
            recalled: false,
            home: Home::default(),
            short_calls: 0,
            from_elsewhere: 0,
            place: Place::default(),
        })
    }

    /// Binds its thread to a core, and tells callers.
    pub(super) fn bind(&mut self, core: u32) {
        self.from_elsewhere = 0;
        self.home.bind(core);
        self.file.set_home(self.home.core());
    }

    /// Lets its thread run everywhere.
    pub(super) fn unbind(&mut self) {
        if self.home.core().is_some() {
            self.home.leave();
            self.file.set_home(None);
        }
    }
}
