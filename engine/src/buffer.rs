//! Buffers for bodies. Large buffers are memory maps, and are reused. The allocator would keep
//! freed memory for a while, which can be many times the memory in use if large bodies come and go.
//! New maps for each body would cost more than all other work on it.

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;
use std::cell::RefCell;
use std::io;

/// The capacity from which on a buffer is mapped. The lengths of maps are powers of two.
const MAPPED_BYTES: usize = 256 << 10;
/// The most bytes of maps that are kept for reuse, unless a lower bound is set: two of the largest
/// bodies by default.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// The maps that are kept for reuse.
#[derive(Default)]
struct Kept {
    maps: Vec<MmapMut>,
    bytes: usize,
    most: usize,
}

thread_local! {
    /// The maps that this thread keeps. The map that was used last is reused first.
    static KEPT: RefCell<Kept> = RefCell::default();
}

/// Bounds the bytes of the maps that this thread keeps. A bound above `MAX_KEPT_BYTES` has no
/// effect.
pub fn keep_at_most(bytes: u64) {
    let most = usize::try_from(bytes).unwrap_or(usize::MAX).min(MAX_KEPT_BYTES);
    KEPT.with_borrow_mut(|kept| kept.most = most);
}

/// Unmaps all maps that this thread keeps.
pub fn give_kept_back() {
    KEPT.with_borrow_mut(|kept| (kept.maps, kept.bytes) = (Vec::new(), 0));
}

/// Returns a map of at least this many bytes, whose content is unspecified.
fn map_of(bytes: usize) -> io::Result<MmapMut> {
    let bytes = bytes.max(MAPPED_BYTES).checked_next_power_of_two();
    let bytes = bytes.ok_or(io::ErrorKind::OutOfMemory)?;
    let again = KEPT.with_borrow_mut(|kept| {
        let at = kept.maps.iter().rposition(|map| map.len() == bytes)?;
        kept.bytes -= bytes;
        Some(kept.maps.remove(at))
    });
    again.map_or_else(|| MmapMut::map_anon(bytes), Ok)
}

/// A map that is kept for reuse when this is dropped, if there is room.
struct Map(Option<MmapMut>);

impl Map {
    fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_deref_mut().unwrap_or_default()
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        let Some(map) = self.0.take() else { return };
        // While the thread ends, its storage may be gone already.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.bytes + map.len() <= kept.most {
                kept.bytes += map.len();
                kept.maps.push(map);
            }
        });
    }
}

/// A buffer that collects a body.
pub struct Buffer {
    storage: Storage,
    /// The number of bytes that are filled.
    len: usize,
}

enum Storage {
    Allocated(BytesMut),
    Mapped(Map),
}

impl Buffer {
    /// Creates an empty buffer with this capacity.
    ///
    /// # Errors
    ///
    /// If the system has no memory for it.
    pub fn with_capacity(bytes: usize) -> io::Result<Buffer> {
        let storage = match bytes < MAPPED_BYTES {
            true => Storage::Allocated(BytesMut::with_capacity(bytes)),
            false => Storage::Mapped(Map(Some(map_of(bytes)?))),
        };
        Ok(Buffer { storage, len: 0 })
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// If the system has no memory for them.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Storage::Allocated(storage) = &mut self.storage
            && self.len + bytes.len() < MAPPED_BYTES
        {
            storage.extend_from_slice(bytes);
            self.len += bytes.len();
            return Ok(());
        }
        self.push_with(bytes.len(), |to| to.copy_from_slice(bytes))
    }

    /// Appends this many bytes, which `fill` writes.
    ///
    /// # Errors
    ///
    /// If the system has no memory for them.
    pub fn push_with(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let len = self.len + bytes;
        let is_large = len >= MAPPED_BYTES || self.mapped_bytes() > 0;
        if is_large && self.mapped_bytes() < len {
            let mut map = Map(Some(map_of(len)?));
            map.bytes_mut()[..self.len].copy_from_slice(self.filled());
            self.storage = Storage::Mapped(map);
        }
        fill(match &mut self.storage {
            Storage::Allocated(storage) => {
                storage.resize(len, 0);
                &mut storage[self.len..]
            }
            Storage::Mapped(map) => &mut map.bytes_mut()[self.len..len],
        });
        self.len = len;
        Ok(())
    }

    fn mapped_bytes(&self) -> usize {
        match &self.storage {
            Storage::Allocated(_) => 0,
            Storage::Mapped(map) => map.bytes().len(),
        }
    }

    fn filled(&self) -> &[u8] {
        match &self.storage {
            Storage::Allocated(storage) => storage,
            Storage::Mapped(map) => &map.bytes()[..self.len],
        }
    }

    /// Returns the collected bytes.
    pub fn freeze(self) -> Bytes {
        match self.storage {
            Storage::Allocated(storage) => storage.freeze(),
            Storage::Mapped(map) => Bytes::from_owner(Frozen { map, len: self.len }),
        }
    }
}

struct Frozen {
    map: Map,
    len: usize,
}

impl AsRef<[u8]> for Frozen {
    fn as_ref(&self) -> &[u8] {
        &self.map.bytes()[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pushed_bytes_come_out_at_every_capacity() {
        keep_at_most(2 * MAPPED_BYTES as u64);
        let body: Vec<u8> = (0..3 * MAPPED_BYTES).map(|at| (at / 7) as u8).collect();
        for capacity in [0, 100, MAPPED_BYTES, body.len()] {
            for len in [0, 1, MAPPED_BYTES - 1, MAPPED_BYTES, MAPPED_BYTES + 1, body.len()] {
                let mut buffer = Buffer::with_capacity(capacity).unwrap();
                for piece in body[..len].chunks(60_000) {
                    buffer.push(piece).unwrap();
                }
                assert!(buffer.freeze() == body[..len], "{len} in {capacity}");
                let mut buffer = Buffer::with_capacity(capacity).unwrap();
                for piece in body[..len].chunks(60_000) {
                    buffer.push_with(piece.len(), |to| to.copy_from_slice(piece)).unwrap();
                }
                assert!(buffer.freeze() == body[..len], "{len} in {capacity}");
            }
        }
    }

    #[test]
    fn maps_are_used_again_and_no_more_are_kept_than_may_be() {
        let kept = || KEPT.with_borrow(|kept| (kept.maps.len(), kept.bytes));
        let full = |bytes: usize| {
            let mut buffer = Buffer::with_capacity(bytes).unwrap();
            buffer.push_with(bytes, |to| to.fill(1)).unwrap();
            buffer.freeze()
        };
        keep_at_most(4 * MAPPED_BYTES as u64);
        let bodies = [MAPPED_BYTES, MAPPED_BYTES + 1, 2 * MAPPED_BYTES, 1].map(full);
        drop(bodies);
        assert_eq!(kept(), (2, 3 * MAPPED_BYTES), "the third does not fit");
        let again = full(2 * MAPPED_BYTES);
        assert_eq!(kept(), (1, MAPPED_BYTES));
        drop(again);
        give_kept_back();
        assert_eq!(kept(), (0, 0));
    }
}
