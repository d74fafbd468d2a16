//! Buffers for bodies. A large one is mapped by itself, so that its memory goes back to the system
//! with it: the allocator keeps what was freed for a while, and that can be many times what is in
//! use when large bodies come and go.

use bytes::{Bytes, BytesMut};
use memmap2::MmapMut;
use std::io;

/// From this length on a buffer is mapped. Its pages are new ones each time, which costs some 60 µs
/// for each MiB; copying it takes longer.
const MAPPED_BYTES: usize = 256 << 10;

/// A buffer that a body is collected in.
pub struct Buffer {
    memory: Memory,
    /// How much of it is filled.
    len: usize,
}

enum Memory {
    Allocated(BytesMut),
    Mapped(MmapMut),
}

impl Buffer {
    /// An empty buffer with room for so many bytes.
    ///
    /// # Errors
    ///
    /// If the system has no memory for it.
    pub fn with_capacity(bytes: usize) -> io::Result<Buffer> {
        let memory = match bytes < MAPPED_BYTES {
            true => Memory::Allocated(BytesMut::with_capacity(bytes)),
            false => Memory::Mapped(MmapMut::map_anon(bytes)?),
        };
        Ok(Buffer { memory, len: 0 })
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// If the system has no memory for them.
    pub fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Memory::Allocated(memory) = &mut self.memory
            && self.len + bytes.len() < MAPPED_BYTES
        {
            memory.extend_from_slice(bytes);
            self.len += bytes.len();
            return Ok(());
        }
        self.push_with(bytes.len(), |to| to.copy_from_slice(bytes))
    }

    /// Appends so many bytes, which `fill` writes.
    ///
    /// # Errors
    ///
    /// If the system has no memory for them.
    pub fn push_with(&mut self, bytes: usize, fill: impl FnOnce(&mut [u8])) -> io::Result<()> {
        let len = self.len + bytes;
        let is_large = len >= MAPPED_BYTES || self.mapped_bytes() > 0;
        if is_large && self.mapped_bytes() < len {
            self.map(len.max(2 * self.len))?;
        }
        fill(match &mut self.memory {
            Memory::Allocated(memory) => {
                memory.resize(len, 0);
                &mut memory[self.len..]
            }
            Memory::Mapped(map) => &mut map[self.len..len],
        });
        self.len = len;
        Ok(())
    }

    fn mapped_bytes(&self) -> usize {
        match &self.memory {
            Memory::Allocated(_) => 0,
            Memory::Mapped(map) => map.len(),
        }
    }

    /// Moves to a mapping of so many bytes.
    fn map(&mut self, bytes: usize) -> io::Result<()> {
        let mut map = MmapMut::map_anon(bytes)?;
        map[..self.len].copy_from_slice(self.filled());
        self.memory = Memory::Mapped(map);
        Ok(())
    }

    fn filled(&self) -> &[u8] {
        match &self.memory {
            Memory::Allocated(memory) => memory,
            Memory::Mapped(map) => &map[..self.len],
        }
    }

    /// What was collected.
    pub fn freeze(self) -> Bytes {
        match self.memory {
            Memory::Allocated(memory) => memory.freeze(),
            Memory::Mapped(map) => Bytes::from_owner(Mapped { map, len: self.len }),
        }
    }
}

struct Mapped {
    map: MmapMut,
    len: usize,
}

impl AsRef<[u8]> for Mapped {
    fn as_ref(&self) -> &[u8] {
        &self.map[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pushed_comes_out_whatever_the_room_was() {
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
}
