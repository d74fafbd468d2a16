//! Bodies that are written in place, in a block of the arena.

use super::arena::Block;
use super::fork::is_forked;
use super::session::Session;
use crate::ipc::region::payload_bytes;
use crate::protocol::limits::MAX_METADATA_BYTES;
use crate::protocol::{Failure, Status};

/// A writable block of the arena. An answer or a call whose body is written into it is sent without
/// a copy.
#[derive(Debug)]
pub struct Buffer {
    block: Block,
    capacity: usize,
    sent: bool,
}

impl Buffer {
    pub(super) fn new(capacity: usize, session: &Session) -> Result<Buffer, Failure> {
        if capacity as u64 > session.max_body_bytes() {
            return Err(too_large(capacity as u64, session.max_body_bytes()));
        }
        // There is room for metadata behind the body; see `metadata_offset`.
        let bytes = payload_bytes(MAX_METADATA_BYTES, capacity as u64);
        Ok(Buffer { block: session.allocate(bytes)?, capacity, sent: false })
    }

    /// The number of bytes that fit into the buffer.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Returns the block, which now belongs to the message that carries it.
    pub(super) fn into_block(mut self) -> Block {
        self.sent = true;
        Block {
            region_id: self.block.region_id,
            block: self.block.block,
            region: self.block.region.clone(),
        }
    }

    /// The first `len` bytes of the buffer.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT if the buffer is shorter.
    pub(super) fn filled(&self, len: usize) -> Result<&[u8], Failure> {
        if len > self.capacity {
            return Err(too_long());
        }
        let start = self.block.region.pointer(self.block.block, self.capacity as u64);
        // SAFETY: the same as in `as_mut_slice`, for the bytes below the capacity. Nobody writes to
        // them while this is borrowed.
        Ok(unsafe { std::slice::from_raw_parts(start, len) })
    }

    /// The memory to write to.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        let start = self.block.region.pointer(self.block.block, self.capacity as u64);
        // SAFETY: this process allocated the block, it is at least `capacity` long, and nobody
        // reads it before it is sent, which consumes the buffer. It is memory of a file, so it is
        // initialised.
        unsafe { std::slice::from_raw_parts_mut(start, self.capacity) }
    }
}

/// Frees a block that was never sent. In a fork it is not freed, since it still belongs to the
/// parent.
impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.sent && !is_forked() {
            self.block.region.give_back(self.block.block);
        }
    }
}

/// The failure of a message that claims more bytes than its buffer has.
pub(super) fn too_long() -> Failure {
    Failure::new(Status::InvalidArgument, "more bytes than the buffer has")
}

pub(super) fn too_large(bytes: u64, max: u64) -> Failure {
    Failure::new(
        Status::PayloadTooLarge,
        format!("a body of {bytes} bytes is over the limit of {max}"),
    )
}
