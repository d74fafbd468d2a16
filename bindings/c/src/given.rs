//! The answer to a call, and memory for a body that is made in place.

use crate::http_status;
use nightcore_runtime::protocol::{Failure, Metadata, MetadataBuffer, Status};
use nightcore_runtime::worker::{Answer, Buffer};

/// The answer to a call.
pub(crate) enum Given {
    /// The answer came from another process.
    Received(Answer),
    /// The code of a test made the answer.
    Made(Made),
}

/// A body with its metadata, made in this process.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) body: Vec<u8>,
    pub(crate) metadata: MetadataBuffer,
}

impl From<Answer> for Given {
    fn from(answer: Answer) -> Given {
        Given::Received(answer)
    }
}

impl From<Made> for Given {
    fn from(made: Made) -> Given {
        Given::Made(made)
    }
}

impl Given {
    pub(crate) fn body(&self) -> &[u8] {
        match self {
            Given::Received(answer) => answer.body(),
            Given::Made(made) => &made.body,
        }
    }

    pub(crate) fn metadata(&self) -> Metadata<'_> {
        match self {
            Given::Received(answer) => answer.metadata(),
            Given::Made(made) => made.metadata.as_metadata(),
        }
    }

    pub(crate) fn http_status(&self) -> u16 {
        http_status::of(self.metadata())
    }
}

/// The end of a call that was started without waiting for its answer.
pub(crate) struct Ended {
    pub(crate) tag: u64,
    pub(crate) result: Result<Given, Failure>,
}

/// Memory in which a body is built.
pub(crate) enum Room {
    /// Memory of the arena.
    Arena(Buffer),
    /// Memory of a test's process.
    Heap(Vec<u8>),
}

impl Room {
    /// # Errors
    /// OVERLOADED if there is no memory.
    pub(crate) fn heap(capacity: usize) -> Result<Room, Failure> {
        let mut bytes = Vec::new();
        let full = |_| Failure::new(Status::Overloaded, format!("no memory for {capacity} bytes"));
        bytes.try_reserve_exact(capacity).map_err(full)?;
        bytes.resize(capacity, 0);
        Ok(Room::Heap(bytes))
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        match self {
            Room::Arena(buffer) => buffer.as_mut_slice(),
            Room::Heap(bytes) => bytes,
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        match self {
            Room::Arena(buffer) => buffer.capacity(),
            Room::Heap(bytes) => bytes.len(),
        }
    }
}
