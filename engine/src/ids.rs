//! Ids and keys that several modules of the engine share. Each is a type of its own, so that the
//! compiler tells them apart.

use std::fmt;

pub use nightcore_runtime::protocol::CallId;
pub use nightcore_runtime::protocol::ids::{CallNumber, FunctionId};

/// A generation of a function's containers: those that are started from the same configuration and
/// code. Generations are counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u32);

impl Generation {
    /// The first generation of every function.
    pub const FIRST: Generation = Generation(1);

    /// The generation that follows.
    pub fn next(self) -> Generation {
        Generation(self.0 + 1)
    }

    /// Returns its number.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// The key of a connected container. When the container is gone, another one may get its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey(u32);

/// The key of a worker that is ready, by its channel. When the worker is gone, another one may get
/// its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKey(u32);

macro_rules! key {
    ($key:ident) => {
        impl $key {
            /// Returns the key for this index of a table.
            ///
            /// # Panics
            ///
            /// If the index does not fit into a u32: the descriptors run out long before.
            #[inline]
            pub fn at_index(index: usize) -> $key {
                $key(u32::try_from(index).expect("a u32 can count what is connected"))
            }

            /// Returns the index in its table.
            #[inline]
            pub fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

key!(ContainerKey);
key!(ChannelKey);

/// A hash that tells the inputs of a function apart. Equal inputs have the same fingerprint,
/// whoever sends them and whenever. Different inputs most likely have different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// Creates a fingerprint from this hash.
    pub fn new(hash: u64) -> Fingerprint {
        Fingerprint(hash)
    }
}

impl fmt::LowerHex for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
