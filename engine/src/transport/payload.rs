//! The payload of a call or an answer on its way through the engine. It is copied once: from where
//! it came straight into the memory of its receiver.

use super::inline_bytes::InlineBytes;
use bytes::Bytes;
use nightcore_runtime::ipc::region::{Region, metadata_offset, payload_bytes};
use nightcore_runtime::protocol::limits::MAX_INLINE_BYTES;
use nightcore_runtime::protocol::{
    BlockPayload, Broken, InlinePayload, MetadataBuffer, RegionId, WirePayload,
};
use std::rc::Rc;
use std::sync::Arc;

/// The metadata and the body of a call or an answer.
#[derive(Debug)]
pub enum Payload {
    /// The payload came in a message.
    Inline {
        /// Metadata, then body.
        bytes: InlineBytes,
        /// Where the body begins.
        metadata_len: usize,
    },
    /// The payload lies in a container's region of the arena.
    Block(ContainerBlock),
    /// The payload came by the gateway.
    Http {
        /// The metadata of the request.
        metadata: MetadataBuffer,
        /// The body of the request.
        body: Bytes,
    },
    /// The payload is kept while its call is under way, as the call may be sent again.
    Shared(Rc<Payload>),
}

/// A block in a container's region. Dropping this gives the block back to the container.
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
    /// Receives the payload of a container's message. `region` finds one of that container's
    /// regions.
    ///
    /// # Errors
    ///
    /// If the message names a block that is not inside a region.
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

    /// Shares the payload: returns a second pointer to it. A block is given back when both are
    /// dropped.
    pub fn shared(&mut self) -> Payload {
        let nothing = Payload::Inline { bytes: InlineBytes::copy([b"", b""]), metadata_len: 0 };
        let shared = match std::mem::replace(self, nothing) {
            Payload::Shared(shared) => shared,
            own => Rc::new(own),
        };
        *self = Payload::Shared(shared.clone());
        Payload::Shared(shared)
    }

    /// The length of the metadata, in bytes.
    pub fn metadata_len(&self) -> usize {
        match self {
            Payload::Inline { metadata_len, .. } => *metadata_len,
            Payload::Block(block) => block.metadata_len,
            Payload::Http { metadata, .. } => metadata.as_bytes().len(),
            Payload::Shared(payload) => payload.metadata_len(),
        }
    }

    /// The length of the body, in bytes.
    pub fn body_len(&self) -> u64 {
        match self {
            Payload::Inline { bytes, metadata_len } => (bytes.len() - metadata_len) as u64,
            Payload::Block(block) => block.body_len,
            Payload::Http { body, .. } => body.len() as u64,
            Payload::Shared(payload) => payload.body_len(),
        }
    }

    /// The length of metadata and body together, in bytes.
    pub fn len(&self) -> u64 {
        self.metadata_len() as u64 + self.body_len()
    }

    /// Whether metadata and body are both empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Passes metadata and body to `with`, to be written into a message.
    ///
    /// # Panics
    ///
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
                // A worker may put a small payload into a block. The worker can change those bytes
                // until they are copied here.
                let mut bytes = [0; MAX_INLINE_BYTES];
                let (metadata, body) = bytes.split_at_mut(self.metadata_len());
                let body = &mut body[..self.body_len() as usize];
                self.copy_metadata(metadata);
                self.copy_body(0, body);
                with(InlinePayload { metadata, body })
            }
        }
    }

    /// Copies the whole metadata to `to`, which has its length.
    ///
    /// # Panics
    ///
    /// If the lengths differ.
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

    /// Copies the body's bytes from `offset` on, as many as fit into `to`.
    ///
    /// # Panics
    ///
    /// If `to` reaches beyond the body.
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
