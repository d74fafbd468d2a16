//! A region of the arena: one shared memory file. One side, the owner, hands out blocks of it.
//!
//! The owner keeps its allocator in private memory. Both sides see the payloads. They also see one
//! word for each unit, by which the reader gives a block back. In the engine's base region, they
//! see one word for each worker, which names the worker's cancelled call. The owner takes these
//! words as hints only, so a reader that writes wrong values harms only itself. There is no lock in
//! shared memory that a dying process could hold.

use crate::protocol::limits::{BLOCK_UNIT_BYTES, MAX_WORKERS_PER_CONTAINER};
use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// The length of the cancel words at the start of a region.
const CANCEL_BYTES: usize = MAX_WORKERS_PER_CONTAINER * 8;
/// The block is in use or free. The reader has not given it back.
const HELD: u32 = 0;
/// The reader has given the block back.
const GIVEN_BACK: u32 = 1;
/// How many outstanding blocks are checked before the bitmap is searched for room. The oldest
/// blocks are the most likely to have been given back.
const SWEEP_FIRST: usize = 4;

/// Blocks of at least this many units (16 KiB) are allocated one after the other within a window. A
/// smaller block is allocated at the lowest place where it fits, so that few pages are touched.
const LARGE_UNITS: u32 = 4;
/// The window for large blocks: 1 MiB.
///
/// The block that was used last is still in the cache of the core that read it, and a write to it
/// costs four times as much as a write to a block that has left that cache. A call passes four
/// regions, whose windows together are larger than the private cache of a core. Larger windows cost
/// more in address translation and in the shared cache than they save.
const WINDOW_UNITS: u32 = 256;

/// The offset of the payloads in a region of this many units.
fn data_offset(units: u32) -> usize {
    (CANCEL_BYTES + units as usize * 4).next_multiple_of(BLOCK_UNIT_BYTES)
}

/// The length of the file of a region with this many units.
fn file_len(units: u32) -> usize {
    data_offset(units) + units as usize * BLOCK_UNIT_BYTES
}

/// The number of units that hold this many bytes; at least one.
pub fn units_for(bytes: u64) -> u64 {
    bytes.div_ceil(BLOCK_UNIT_BYTES as u64).max(1)
}

/// The offset of the metadata in a payload of the arena. The metadata lies behind the body, so that
/// the body begins on a page.
pub fn metadata_offset(body_len: u64) -> u64 {
    body_len.next_multiple_of(16)
}

/// The bytes that a payload takes in the arena.
pub fn payload_bytes(metadata_len: usize, body_len: u64) -> u64 {
    metadata_offset(body_len) + metadata_len as u64
}

/// Creates the file of a region, sealed against any change of its size.
///
/// # Errors
///
/// If shared memory cannot be created, or no descriptor is left.
pub fn create_file(units: u32) -> io::Result<OwnedFd> {
    let fd = memfd_create("nightcore-arena", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)?;
    nix::unistd::ftruncate(&fd, file_len(units) as i64)?;
    fcntl(
        &fd,
        FcntlArg::F_ADD_SEALS(
            SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL,
        ),
    )?;
    Ok(fd)
}

/// A mapped region.
#[derive(Debug)]
pub struct Region {
    map: MmapRaw,
    units: u32,
}

impl Region {
    /// Maps a region's file.
    ///
    /// # Errors
    ///
    /// `InvalidData` if the file does not have the size of this many units, or could shrink.
    pub fn map(fd: &impl AsFd, units: u32) -> io::Result<Region> {
        let invalid = |text: &str| io::Error::new(io::ErrorKind::InvalidData, text);
        let len = nix::sys::stat::fstat(fd)?.st_size as u64;
        if units == 0 || len != file_len(units) as u64 {
            return Err(invalid("a shared memory file has the wrong size"));
        }
        let seals = SealFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GET_SEALS)?);
        if !seals.contains(SealFlag::F_SEAL_SHRINK) {
            return Err(invalid("a shared memory file is not sealed"));
        }
        let map = MmapOptions::new().len(file_len(units)).map_raw(&fd.as_fd())?;
        Ok(Region { map, units })
    }

    /// Maps a region's file, whatever its number of units, with the same checks.
    ///
    /// # Errors
    ///
    /// The same as those of [`Region::map`].
    pub fn map_whole(fd: &impl AsFd) -> io::Result<Region> {
        let len = nix::sys::stat::fstat(fd)?.st_size as usize;
        // Each unit takes its bytes and a word. The words together are rounded up to a whole unit.
        let units = len.saturating_sub(CANCEL_BYTES) / (BLOCK_UNIT_BYTES + 4);
        let units = u32::try_from(units).unwrap_or(0);
        let fits = |units: &u32| file_len(*units) == len;
        let units = [units, units.saturating_sub(1)].into_iter().find(fits).unwrap_or(0);
        Region::map(fd, units)
    }

    /// The number of its units.
    pub fn units(&self) -> u32 {
        self.units
    }

    /// Whether a block of this many bytes lies inside the region.
    pub fn contains(&self, block: u32, bytes: u64) -> bool {
        units_for(bytes)
            .checked_add(u64::from(block))
            .is_some_and(|end| end <= u64::from(self.units))
    }

    fn word(&self, block: u32) -> &AtomicU32 {
        assert!(block < self.units);
        // SAFETY: the offset is inside the map (block < units) and aligned to 4. The map lives as
        // long as `self`. Both sides access these words as atomics only.
        unsafe {
            &*self.map.as_mut_ptr().add(CANCEL_BYTES + block as usize * 4).cast::<AtomicU32>()
        }
    }

    /// The cancel word of a worker's slot: the call that is cancelled, or 0.
    pub fn cancel_word(&self, slot: u32) -> &AtomicU64 {
        assert!((slot as usize) < MAX_WORKERS_PER_CONTAINER);
        // SAFETY: the offset is inside the map, which begins with the cancel words, and aligned to
        // 8. The map lives as long as `self`. Both sides access these words as atomics only.
        unsafe { &*self.map.as_mut_ptr().add(slot as usize * 8).cast::<AtomicU64>() }
    }

    /// A pointer to the first byte of a block. The other process may write to the block at any
    /// time.
    ///
    /// # Panics
    ///
    /// If no block of that many bytes lies there; see [`Region::contains`].
    pub fn pointer(&self, block: u32, bytes: u64) -> *mut u8 {
        assert!(self.contains(block, bytes));
        // SAFETY: `contains` puts the block inside the data part of the map.
        unsafe {
            self.map.as_mut_ptr().add(data_offset(self.units) + block as usize * BLOCK_UNIT_BYTES)
        }
    }

    /// Returns the pages of free units to the system. They are zero when they are used again.
    fn remove(&self, block: u32, units: u32) {
        let start = self.pointer(block, u64::from(units) * BLOCK_UNIT_BYTES as u64);
        // SAFETY: `pointer` has checked that the range lies inside the map, and it begins on a
        // page. No block that is in use has these units. A reader that accesses them all
        // the same sees zeros, and it must expect any bytes. If the call fails, the pages stay.
        unsafe {
            libc::madvise(start.cast(), units as usize * BLOCK_UNIT_BYTES, libc::MADV_REMOVE)
        };
    }

    /// Notes that the reader no longer needs this block.
    pub fn give_back(&self, block: u32) {
        self.word(block).store(GIVEN_BACK, Ordering::Release);
    }
}

/// Hands out the blocks of a region. Only its owner has one.
#[derive(Debug)]
pub struct BlockAllocator {
    /// One bit for each unit, set if the unit is taken.
    taken: Vec<u64>,
    units: u32,
    /// The blocks that were handed out, the oldest first.
    outstanding: VecDeque<(u32, u32)>,
    allocated: u64,
    /// The unit from which the next large block is searched.
    next_large: u32,
}

impl BlockAllocator {
    /// The allocator of a region in which everything is free.
    pub fn new(units: u32) -> BlockAllocator {
        BlockAllocator {
            taken: vec![0; (units as usize).div_ceil(64)],
            units,
            outstanding: VecDeque::new(),
            allocated: 0,
            next_large: 0,
        }
    }

    /// Allocates a block of at least this many bytes. Pages that were used before are preferred.
    /// Returns `None` if there is no room.
    pub fn allocate(&mut self, region: &Region, bytes: u64) -> Option<u32> {
        let wanted = units_for(bytes);
        if wanted > u64::from(self.units) {
            return None;
        }
        let wanted = wanted as u32;
        self.sweep(region, SWEEP_FIRST);
        let block = self.find(wanted).or_else(|| {
            self.sweep(region, usize::MAX);
            self.find(wanted)
        })?;
        if wanted >= LARGE_UNITS {
            self.next_large = block + wanted;
        }
        self.mark(block, wanted, true);
        region.word(block).store(HELD, Ordering::Relaxed);
        self.outstanding.push_back((block, wanted));
        self.allocated += 1;
        Some(block)
    }

    /// How many blocks were ever handed out.
    pub fn allocated(&self) -> u64 {
        self.allocated
    }

    /// How many blocks were handed out and are not known to be given back.
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// How many units are in use.
    pub fn units_taken(&mut self, region: &Region) -> u32 {
        self.sweep(region, usize::MAX);
        self.taken.iter().map(|word| word.count_ones()).sum()
    }

    /// Returns the memory of free units to the system.
    pub fn trim(&mut self, region: &Region) {
        self.sweep(region, usize::MAX);
        self.next_large = 0;
        let mut unit = 0;
        while unit < self.units {
            let start = unit;
            while unit < self.units && !self.is_taken(unit) {
                unit += 1;
            }
            if unit > start {
                region.remove(start, unit - start);
            }
            unit += 1;
        }
    }

    /// Whether no block is in use.
    pub fn is_idle(&mut self, region: &Region) -> bool {
        self.sweep(region, usize::MAX);
        self.outstanding.is_empty()
    }

    /// Frees those of the oldest `most` blocks that were given back.
    fn sweep(&mut self, region: &Region, most: usize) {
        for _ in 0..self.outstanding.len().min(most) {
            let Some((block, units)) = self.outstanding.pop_front() else { break };
            if region.word(block).load(Ordering::Acquire) == GIVEN_BACK {
                self.mark(block, units, false);
            } else {
                self.outstanding.push_back((block, units));
            }
        }
    }

    fn is_taken(&self, unit: u32) -> bool {
        self.taken[unit as usize / 64] & (1 << (unit % 64)) != 0
    }

    fn mark(&mut self, block: u32, units: u32, taken: bool) {
        for unit in block..block + units {
            let bit = 1 << (unit % 64);
            let word = &mut self.taken[unit as usize / 64];
            if taken { *word |= bit } else { *word &= !bit }
        }
    }

    fn find(&self, wanted: u32) -> Option<u32> {
        let window = self.units.min(WINDOW_UNITS);
        let in_turn = (wanted >= LARGE_UNITS && self.next_large + wanted <= window)
            .then(|| self.find_between(self.next_large, window, wanted));
        in_turn.flatten().or_else(|| self.find_between(0, self.units, wanted))
    }

    /// Finds the first run of free units that is long enough.
    fn find_between(&self, from: u32, to: u32, wanted: u32) -> Option<u32> {
        let (mut start, mut unit) = (from, from);
        while unit < to {
            if unit % 64 == 0 && self.taken[unit as usize / 64] == u64::MAX {
                unit += 64;
                start = unit;
                continue;
            }
            if self.is_taken(unit) {
                start = unit + 1;
            } else if unit + 1 - start == wanted {
                return Some(start);
            }
            unit += 1;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn region(units: u32) -> (OwnedFd, Region) {
        let fd = create_file(units).unwrap();
        let region = Region::map(&fd, units).unwrap();
        (fd, region)
    }

    #[test]
    fn the_file_cannot_change_its_size_and_wrong_files_are_refused() {
        let (fd, _region) = region(4);
        assert!(nix::unistd::ftruncate(&fd, 0).is_err());
        assert!(nix::unistd::ftruncate(&fd, 1 << 30).is_err());
        assert!(Region::map(&fd, 5).is_err());
        assert!(Region::map(&fd, 0).is_err());
        let unsealed =
            memfd_create("x", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
        nix::unistd::ftruncate(&unsealed, file_len(4) as i64).unwrap();
        assert!(Region::map(&unsealed, 4).is_err());
    }

    #[test]
    fn both_maps_see_the_same_bytes() {
        let (fd, owner) = region(8);
        let reader = Region::map(&fd, 8).unwrap();
        let mut blocks = BlockAllocator::new(8);
        let block = blocks.allocate(&owner, 5000).unwrap();
        assert_eq!(blocks.units_taken(&owner), 2);
        // SAFETY: the block was just allocated, is 5000 bytes long, and nobody else uses it.
        unsafe { owner.pointer(block, 5000).add(4999).write(42) };
        // SAFETY: as above, and the byte was written before.
        assert_eq!(unsafe { reader.pointer(block, 5000).add(4999).read() }, 42);
        owner.cancel_word(3).store(77, Ordering::Relaxed);
        assert_eq!(reader.cancel_word(3).load(Ordering::Relaxed), 77);
        reader.give_back(block);
        assert!(blocks.is_idle(&owner));
        assert_eq!(blocks.units_taken(&owner), 0);
    }

    #[test]
    fn free_blocks_are_given_back_to_the_system_and_others_stay() {
        let (fd, region) = region(40);
        let mut blocks = BlockAllocator::new(40);
        let [first, kept, last] = [(); 3].map(|()| blocks.allocate(&region, 4096).unwrap());
        for block in [first, kept, last] {
            // SAFETY: the block was just allocated, is a page long, and nobody else uses it.
            unsafe { region.pointer(block, 4096).write_bytes(7, 4096) };
        }
        let pages = || nix::sys::stat::fstat(&fd).unwrap().st_blocks;
        let before = pages();
        region.give_back(first);
        region.give_back(last);
        blocks.trim(&region);
        assert!(pages() < before, "{} of {before}", pages());
        // SAFETY: as above.
        assert_eq!(unsafe { region.pointer(kept, 4096).add(4095).read() }, 7);
        assert_eq!(blocks.allocate(&region, 4096), Some(first));
    }

    #[test]
    fn ranges_are_checked() {
        let (_fd, region) = region(4);
        assert!(region.contains(0, 4 * 4096));
        assert!(!region.contains(1, 4 * 4096));
        assert!(!region.contains(4, 0));
        assert!(!region.contains(u32::MAX, 1));
        assert!(!region.contains(0, u64::MAX));
        assert!(std::panic::catch_unwind(|| region.pointer(4, 1)).is_err());
    }

    #[test]
    fn large_blocks_are_taken_in_turn_and_small_ones_from_the_front() {
        let (_fd, region) = region(2 * WINDOW_UNITS);
        let mut blocks = BlockAllocator::new(2 * WINDOW_UNITS);
        let mut take = |units: u32| {
            let block =
                blocks.allocate(&region, u64::from(units) * BLOCK_UNIT_BYTES as u64).unwrap();
            region.give_back(block);
            block
        };
        assert_eq!([take(16), take(16), take(16)], [0, 16, 32]);
        assert_eq!([take(1), take(1)], [0, 0]);
        for _ in 3..WINDOW_UNITS / 16 {
            take(16);
        }
        assert_eq!(take(16), 0, "and then from the front again");
        assert_eq!(take(WINDOW_UNITS + 1), 0);
    }

    #[test]
    fn a_block_is_used_again_only_after_another_thread_has_read_it() {
        const BLOCKS: u64 = 20_000;
        const UNITS: u32 = 24;
        let (_fd, region) = region(UNITS);
        let (sent, received) = std::sync::mpsc::channel::<(u64, u32, usize)>();
        // Both sides use one map, so that a thread sanitizer sees the accesses of both.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (number, block, bytes) in received {
                    // SAFETY: the block is that long, and its owner does not write to it before it
                    // is given back.
                    let read = unsafe {
                        std::slice::from_raw_parts(region.pointer(block, bytes as u64), bytes)
                    };
                    assert!(
                        read.iter().all(|byte| *byte == number as u8),
                        "block {number} was written to"
                    );
                    region.give_back(block);
                }
            });
            let mut blocks = BlockAllocator::new(UNITS);
            for number in 0..BLOCKS {
                let bytes = 1 + (number * 1009 % 20_000) as usize;
                let block = loop {
                    match blocks.allocate(&region, bytes as u64) {
                        Some(block) => break block,
                        None => std::thread::yield_now(),
                    }
                };
                // SAFETY: the block was just allocated, is that long, and nobody else uses it.
                unsafe { region.pointer(block, bytes as u64).write_bytes(number as u8, bytes) };
                sent.send((number, block, bytes)).unwrap();
            }
            drop(sent);
        });
    }

    proptest! {
        #[test]
        fn blocks_never_overlap_and_all_room_comes_back(
            steps in proptest::collection::vec(
                (any::<bool>(), 0u64..40_000, any::<usize>()),
                1..200,
            ),
        ) {
            let (_fd, region) = region(40);
            let mut blocks = BlockAllocator::new(40);
            let mut held: Vec<(u32, u64)> = Vec::new();
            for (allocate, bytes, pick) in steps {
                if allocate {
                    if let Some(block) = blocks.allocate(&region, bytes) {
                        let end = u64::from(block) + units_for(bytes);
                        prop_assert!(end <= 40);
                        for (other, other_bytes) in &held {
                            let other_end = u64::from(*other) + units_for(*other_bytes);
                            let is_apart =
                                end <= u64::from(*other) || other_end <= u64::from(block);
                            prop_assert!(is_apart);
                        }
                        held.push((block, bytes));
                    }
                } else if !held.is_empty() {
                    let (block, _) = held.swap_remove(pick % held.len());
                    region.give_back(block);
                }
            }
            for (block, _) in held {
                region.give_back(block);
            }
            prop_assert!(blocks.is_idle(&region));
            prop_assert_eq!(blocks.allocate(&region, 40 * 4096), Some(0));
        }
    }
}
