//! The payload of a message: metadata and body, in the message or in a block of the arena.

use super::broken::Broken;
use super::header::Header;
use super::ids::RegionId;

/// Where the payload of a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WirePayload<'a> {
    /// In the message.
    Inline(InlinePayload<'a>),
    /// In a block of the arena.
    Block(BlockPayload),
}

/// A payload that is part of its message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InlinePayload<'a> {
    /// Encoded metadata.
    pub metadata: &'a [u8],
    /// The body.
    pub body: &'a [u8],
}

/// A payload that lies in a block of the arena: the body, and behind it the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockPayload {
    /// The region.
    pub region: RegionId,
    /// The first unit of the block in the region.
    pub block: u32,
    /// Bytes of encoded metadata.
    pub metadata_len: usize,
    /// Bytes of the body.
    pub body_len: u64,
}

impl<'a> WirePayload<'a> {
    /// No metadata and an empty body.
    pub const EMPTY: WirePayload<'static> =
        WirePayload::Inline(InlinePayload { metadata: &[], body: &[] });

    /// The payload of a message, by its checked header and the bytes behind the name.
    #[inline]
    pub(super) fn read(header: &Header, inline: &'a [u8]) -> WirePayload<'a> {
        let metadata_len = header.metadata_len as usize;
        match RegionId::new(header.region) {
            None => {
                // `inline` is as long as the checked header says.
                let (metadata, body) = inline.split_at(metadata_len);
                WirePayload::Inline(InlinePayload { metadata, body })
            }
            Some(region) => WirePayload::Block(BlockPayload {
                region,
                block: header.block,
                metadata_len,
                body_len: header.body_len,
            }),
        }
    }

    /// Puts the lengths and the place into a header.
    #[inline]
    pub(super) fn describe(&self, header: &mut Header) {
        match self {
            WirePayload::Inline(inline) => inline.describe(header),
            WirePayload::Block(block) => {
                header.metadata_len = block.metadata_len as u32;
                header.body_len = block.body_len;
                (header.region, header.block) = (block.region.number(), block.block);
            }
        }
    }

    /// Bytes of encoded metadata.
    pub fn metadata_len(&self) -> usize {
        match self {
            WirePayload::Inline(inline) => inline.metadata.len(),
            WirePayload::Block(block) => block.metadata_len,
        }
    }

    /// Bytes of the body.
    pub fn body_len(&self) -> u64 {
        match self {
            WirePayload::Inline(inline) => inline.body.len() as u64,
            WirePayload::Block(block) => block.body_len,
        }
    }

    /// Returns the error that this payload has impossible lengths.
    pub fn broken_lengths(&self) -> Broken {
        Broken::Lengths { metadata: self.metadata_len() as u32, body: self.body_len() }
    }
}

impl<'a> InlinePayload<'a> {
    /// The inline payload of a message that has no other; an error if the payload lies in the
    /// arena.
    #[inline]
    pub(super) fn read(header: &Header, inline: &'a [u8]) -> Result<InlinePayload<'a>, Broken> {
        match WirePayload::read(header, inline) {
            WirePayload::Inline(inline) => Ok(inline),
            block => Err(block.broken_lengths()),
        }
    }

    #[inline]
    pub(super) fn describe(&self, header: &mut Header) {
        header.metadata_len = self.metadata.len() as u32;
        header.body_len = self.body.len() as u64;
    }
}

impl BlockPayload {
    /// Returns the error that this block does not lie in a region that its reader knows. `bytes` is
    /// the size of the block in the region.
    pub fn broken(&self, bytes: u64) -> Broken {
        Broken::Block { region: self.region.number(), block: self.block, bytes }
    }
}
