//! Metadata that the program sends or receives: ordered pairs of a name and a value.

use crate::bytes::{nc_bytes, slice};
use crate::guard::invalid;
use nightcore_runtime::protocol::{Failure, Metadata, MetadataBuffer};
use std::sync::OnceLock;

/// One pair of metadata: a name and a value.
///
/// A name has 1 to 255 bytes of visible ASCII; the library sends it in lower case. In a reply the
/// name ":status" sets the HTTP status. A function that is given a malformed name returns
/// NC_INVALID_ARGUMENT. It returns NC_PAYLOAD_TOO_LARGE if all pairs together take more than 32
/// KiB.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nc_pair {
    /// The name.
    pub name: nc_bytes,
    /// The value.
    pub value: nc_bytes,
}

/// Builds metadata from these pairs.
///
/// # Safety
/// `pairs` is NULL or points to `count` pairs whose bytes can be read.
pub(crate) unsafe fn gather(
    pairs: *const nc_pair,
    count: usize,
) -> Result<MetadataBuffer, Failure> {
    let mut metadata = MetadataBuffer::new();
    // SAFETY: `pairs` is NULL or points to `count` pairs.
    for pair in unsafe { slice(pairs, count, "metadata") }? {
        // SAFETY: the bytes of each pair can be read.
        let (name, value) = unsafe { (pair.name.borrow()?, pair.value.borrow()?) };
        let name = str::from_utf8(name).map_err(|_| invalid("a metadata name is not ASCII"))?;
        metadata.push(name, value)?;
    }
    Ok(metadata)
}

/// The pairs of received metadata. They are parsed once, so that access by index is cheap.
#[derive(Default)]
pub(crate) struct Pairs(OnceLock<Box<[nc_pair]>>);

// SAFETY: nobody changes the bytes behind the pointers while the owner of the pairs exists.
unsafe impl Send for Pairs {}
// SAFETY: as above.
unsafe impl Sync for Pairs {}

impl Pairs {
    /// Returns the pairs of `metadata`. Every call must pass the same metadata.
    pub(crate) fn of(&self, metadata: Metadata<'_>) -> &[nc_pair] {
        self.0.get_or_init(|| {
            let lend = |(name, value): (&str, &[u8])| nc_pair {
                name: nc_bytes::lend(name.as_bytes()),
                value: nc_bytes::lend(value),
            };
            metadata.iter().map(lend).collect()
        })
    }
}
