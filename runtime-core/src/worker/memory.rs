//! Memory for payloads that do not fit into a message. This container shares it with one other
//! side: the engine, or the peer of a direct channel.

use super::arena::Block;
use super::direct_files::DirectFiles;
use crate::ipc::region::{BlockAllocator, Region};
use crate::protocol::{Failure, RegionId, Status};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};

/// A source of blocks for payloads.
pub(super) trait Memory {
    /// Allocates a block of this many bytes.
    ///
    /// # Errors
    ///
    /// OVERLOADED if there is no room.
    fn allocate(&self, bytes: u64) -> Result<Block, Failure>;
}

/// The two regions of a direct channel: each side hands out the blocks of one.
#[derive(Debug)]
pub(super) struct DirectMemory {
    own_id: RegionId,
    own: Arc<Region>,
    blocks: Mutex<BlockAllocator>,
    peer_id: RegionId,
    peer: Arc<Region>,
}

/// The ids of a direct channel's regions. The caller hands out the blocks of the first one, the
/// callee those of the second one.
const CALLER: RegionId = RegionId::CONTAINER_BASE;
const CALLEE: RegionId = RegionId::ENGINE_BASE;

impl DirectMemory {
    /// Maps both regions as the caller.
    pub(super) fn of_caller(files: &DirectFiles) -> io::Result<DirectMemory> {
        DirectMemory::map((CALLER, &files.caller), (CALLEE, &files.callee))
    }

    /// Maps both regions as the callee.
    pub(super) fn of_callee(files: &DirectFiles) -> io::Result<DirectMemory> {
        DirectMemory::map((CALLEE, &files.callee), (CALLER, &files.caller))
    }

    fn map(
        (own_id, own): (RegionId, &OwnedFd),
        (peer_id, peer): (RegionId, &OwnedFd),
    ) -> io::Result<DirectMemory> {
        let own = Arc::new(Region::map_whole(own)?);
        let blocks = Mutex::new(BlockAllocator::new(own.units()));
        Ok(DirectMemory { own_id, own, blocks, peer_id, peer: Arc::new(Region::map_whole(peer)?) })
    }

    /// The peer's region, if it has this id.
    pub(super) fn peer_region(&self, id: RegionId) -> Option<&Arc<Region>> {
        (id == self.peer_id).then_some(&self.peer)
    }

    /// Frees a block of a message that is not sent.
    pub(super) fn take_back(&self, block: u32) {
        self.own.give_back(block);
    }
}

impl Memory for DirectMemory {
    fn allocate(&self, bytes: u64) -> Result<Block, Failure> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let block = blocks.allocate(&self.own, bytes).ok_or_else(|| {
            Failure::new(Status::Overloaded, "the memory of a direct channel is full")
        })?;
        Ok(Block { region_id: self.own_id, block, region: self.own.clone() })
    }
}
