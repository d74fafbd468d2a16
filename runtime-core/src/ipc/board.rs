//! The board: one word for each function, which the engine writes and every container reads.
//!
//! A word has two bits. One bit says that calls of the function are queued. Callers then do not
//! call the function directly, so that they do not overtake the queued calls. The other bit says
//! that the function lacks slots. The function's own handlers then call others through the engine,
//! so that they lend their slots while they wait.
//!
//! The file is sealed against writes by others (Linux 5.1 and later). Where the kernel cannot do
//! that, there is no board, and there are no direct channels.

use crate::protocol::{FunctionId, Notice};
use memmap2::{Mmap, MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering, fence};

/// The most functions that have a word. It limits the file to 256 KiB. Only pages that are used
/// take memory.
const MAX_FUNCTIONS: usize = 65_536;
const FILE_BYTES: usize = MAX_FUNCTIONS * size_of::<AtomicU32>();

const QUEUED: u32 = 1;
const FULL: u32 = 2;

/// The engine's side of the board.
#[derive(Debug)]
pub struct Board {
    map: MmapRaw,
}

impl Board {
    /// Creates a board, and its file, which is to be given to containers.
    ///
    /// # Errors
    ///
    /// If shared memory cannot be created, or the kernel cannot seal it against writes by others.
    pub fn create() -> io::Result<(Board, OwnedFd)> {
        let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
        let fd = memfd_create("nightcore-board", flags)?;
        nix::unistd::ftruncate(&fd, FILE_BYTES as i64)?;
        let map = MmapOptions::new().len(FILE_BYTES).map_raw(&fd.as_fd())?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW;
        let future_write = SealFlag::from_bits_retain(libc::F_SEAL_FUTURE_WRITE);
        fcntl(&fd, FcntlArg::F_ADD_SEALS(seals | future_write | SealFlag::F_SEAL_SEAL))?;
        Ok((Board { map }, fd))
    }

    /// Whether a function has a word.
    fn has(&self, function: FunctionId) -> bool {
        function.index() < MAX_FUNCTIONS
    }

    /// Publishes a notice about a function.
    pub fn set(&self, function: FunctionId, notice: Notice) {
        if !self.has(function) {
            return;
        }
        // SAFETY: the word is inside the map, as was just checked, and aligned to 4. The map lives
        // as long as `self`. All processes access these words as atomics only.
        let word = unsafe { &*self.map.as_mut_ptr().cast::<AtomicU32>().add(function.index()) };
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        let bits = bit(notice.is_queued, QUEUED) | bit(notice.is_full, FULL);
        word.store(bits, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }
}

/// A container's side of the board.
#[derive(Debug)]
pub struct BoardReader {
    map: Mmap,
}

impl BoardReader {
    /// Maps the board's file for reading.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the file has the wrong length, or could shrink.
    pub fn map(fd: &impl AsFd) -> io::Result<BoardReader> {
        let seals = SealFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        let is_right = nix::sys::stat::fstat(fd)?.st_size == FILE_BYTES as i64
            && seals.contains(SealFlag::F_SEAL_SHRINK);
        if !is_right {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the board is no board"));
        }
        // SAFETY: the file cannot shrink, so reads cannot fault. Its content changes, so it is only
        // read by the atomic loads below.
        let map = unsafe { MmapOptions::new().len(FILE_BYTES).map(&fd.as_fd())? };
        Ok(BoardReader { map })
    }

    /// Reads the notice about a function. A function without a word is reported as one that must
    /// not be called directly.
    #[inline]
    pub fn get(&self, function: FunctionId) -> Notice {
        if function.index() >= MAX_FUNCTIONS {
            return Notice { is_queued: true, is_full: true };
        }
        // SAFETY: the word is inside the map, as was just checked, and aligned to 4. The map lives
        // as long as `self`. An atomic load needs no write access.
        let word = unsafe { &*self.map.as_ptr().cast::<AtomicU32>().add(function.index()) };
        let bits = word.load(Ordering::SeqCst);
        Notice { is_queued: bits & QUEUED != 0, is_full: bits & FULL != 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_engine_can_write() {
        let (board, fd) = Board::create().unwrap();
        let reader = BoardReader::map(&fd).unwrap();
        let (one, other) = (FunctionId::new(1).unwrap(), FunctionId::new(2).unwrap());
        let notice = Notice { is_queued: true, is_full: false };
        board.set(one, notice);
        assert_eq!((reader.get(one), reader.get(other)), (notice, Notice::default()));
        board.set(one, Notice::default());
        assert_eq!(reader.get(one), Notice::default());
        assert!(MmapOptions::new().len(FILE_BYTES).map_raw(&fd.as_fd()).is_err());
        assert!(nix::unistd::write(&fd, &[1]).is_err());
        let beyond = FunctionId::new(u32::MAX).unwrap();
        assert!(!board.has(beyond) && reader.get(beyond).is_queued);
    }
}
