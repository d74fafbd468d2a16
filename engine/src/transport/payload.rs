//! A call's or an answer's bytes on their way through the engine. They are copied once: from where
//! they came straight into the memory of whoever gets them.

use super::inline_bytes::InlineBytes;
use bytes::Bytes;
use nightcore_runtime::ipc::region::{Region, metadata_offset, payload_bytes};
use nightcore_runtime::protocol::limits::MAX_INLINE_BYTES;
use nightcore_runtime::protocol::{
    BlockPayload, Broken, InlinePayload, MetadataBuffer, RegionId, WirePayload,
};
use std::rc::Rc;
use std::sync::Arc;

/// Metadata and body of a call or an answer.
#[derive(Debug)]
pub enum Payload {
    /// Came in a message.
    Inline {
        /// Metadata, then body.
        bytes: InlineBytes,
        /// Where the body begins.
        metadata_len: usize,
    },
    /// Lies in a container's region of the arena.
    Block(ContainerBlock),
    /// Came in by the gateway.
    Http {
        /// What the request says about itself.
        metadata: MetadataBuffer,
        /// Its body.
        body: Bytes,
    },
    /// Kept while it is under way, as it may be sent again.
    Shared(Rc<Payload>),
}

/// A block of a container's region; given back to it when this is dropped.
#[derive(Debug)]
pub struct ContainerBlock {
    region: Arc<Region>,
    block: u32,
    metadata_len: usize,
    body_len: u64,
}

impl ContainerBlock {
    fn pointer(&self) -> *const u8 {
        self.region.pointer(self.block, payload_bytes(self.metadata_len, self.body_len))
    }
}

impl Drop for ContainerBlock {
    fn drop(&mut self) {
        self.region.give_back(self.block);
    }
}

impl Payload {
    /// The payload of a message from a container. `region` finds one of that container's regions.
    pub fn receive(
        payload: WirePayload<'_>,
        region: impl FnOnce(RegionId) -> Option<Arc<Region>>,
    ) -> Result<Payload, Broken> {
        let block = match payload {
            WirePayload::Inline(InlinePayload { metadata, body }) => {
                let bytes = InlineBytes::copy([metadata, body]);
                return Ok(Payload::Inline { bytes, metadata_len: metadata.len() });
            }
            WirePayload::Block(block) => block,
        };
        let bytes = payload_bytes(block.metadata_len, block.body_len);
        let region = region(block.region).filter(|region| region.contains(block.block, bytes));
        let region = region.ok_or_else(|| block.broken(bytes))?;
        let BlockPayload { block, metadata_len, body_len, .. } = block;
        Ok(Payload::Block(ContainerBlock { region, block, metadata_len, body_len }))
    }

    /// The same once more, by a pointer: a block is given back when both are dropped.
    pub fn shared(&mut self) -> Payload {
        let nothing = Payload::Inline { bytes: InlineBytes::copy([b"", b""]), metadata_len: 0 };
        let shared = match std::mem::replace(self, nothing) {
            Payload::Shared(shared) => shared,
            own => Rc::new(own),
        };
        *self = Payload::Shared(shared.clone());
        Payload::Shared(shared)
    }

    /// Bytes of metadata.
    pub fn metadata_len(&self) -> usize {
        match self {
            Payload::Inline { metadata_len, .. } => *metadata_len,
            Payload::Block(block) => block.metadata_len,
            Payload::Http { metadata, .. } => metadata.as_bytes().len(),
            Payload::Shared(payload) => payload.metadata_len(),
        }
    }

    /// Bytes of body.
    pub fn body_len(&self) -> u64 {
        match self {
            Payload::Inline { bytes, metadata_len } => (bytes.len() - metadata_len) as u64,
            Payload::Block(block) => block.body_len,
            Payload::Http { body, .. } => body.len() as u64,
            Payload::Shared(payload) => payload.body_len(),
        }
    }

    /// Bytes of both.
    pub fn len(&self) -> u64 {
        self.metadata_len() as u64 + self.body_len()
    }

    /// Whether there is neither.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Metadata and body for a message.
    ///
    /// # Panics
    /// If both together are larger than a message can be.
    #[inline]
    pub fn inline<R>(&self, with: impl FnOnce(InlinePayload<'_>) -> R) -> R {
        match self {
            Payload::Inline { bytes, metadata_len } => {
                let (metadata, body) = bytes.split_at(*metadata_len);
                with(InlinePayload { metadata, body })
            }
            Payload::Http { metadata, body } => {
                with(InlinePayload { metadata: metadata.as_bytes(), body })
            }
            Payload::Shared(payload) => payload.inline(with),
            Payload::Block(_) => {
                // A worker may put a small payload into a block. Its bytes are the worker's to
                // change until they are copied here.
                let mut bytes = [0; MAX_INLINE_BYTES];
                let (metadata, body) = bytes.split_at_mut(self.metadata_len());
                let body = &mut body[..self.body_len() as usize];
                self.copy_metadata(metadata);
                self.copy_body(0, body);
                with(InlinePayload { metadata, body })
            }
        }
    }

    /// Copies the metadata, all of it.
    pub fn copy_metadata(&self, to: &mut [u8]) {
        match self {
            Payload::Inline { bytes, metadata_len } => to.copy_from_slice(&bytes[..*metadata_len]),
            Payload::Http { metadata, .. } => to.copy_from_slice(metadata.as_bytes()),
            Payload::Shared(payload) => payload.copy_metadata(to),
            Payload::Block(block) => {
                assert_eq!(to.len(), block.metadata_len);
                let offset = metadata_offset(block.body_len) as usize;
                // SAFETY: offset + metadata_len is inside the block, which `pointer` checked to be
                // inside the map. The container may write to it meanwhile: only bytes are copied,
                // and they are checked afterwards.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        block.pointer().add(offset),
                        to.as_mut_ptr(),
                        to.len(),
                    );
                }
            }
        }
    }

    /// Copies a part of the body.
    pub fn copy_body(&self, offset: u64, to: &mut [u8]) {
        assert!(offset + to.len() as u64 <= self.body_len());
        let offset = offset as usize;
        match self {
            Payload::Inline { bytes, metadata_len } => {
                to.copy_from_slice(&bytes[metadata_len + offset..][..to.len()]);
            }
            Payload::Http { body, .. } => to.copy_from_slice(&body[offset..][..to.len()]),
            Payload::Shared(payload) => payload.copy_body(offset as u64, to),
            Payload::Block(block) => {
                // SAFETY: asserted above to be inside the body, which `pointer` checked to be
                // inside the map. As in `copy_metadata`, a concurrent write changes which bytes are
                // copied and nothing else.
                unsafe {
                    std::ptr::copy_nonoverlapping(
                        block.pointer().add(offset),
                        to.as_mut_ptr(),
                        to.len(),
                    );
                }
            }
        }
    }
}
