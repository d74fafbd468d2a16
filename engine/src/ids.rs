//! Ids and keys that several rooms of the engine share. Each is a type of its own, so that one
//! cannot be taken for another.

use std::fmt;

pub use nightcore_runtime::protocol::CallId;
pub use nightcore_runtime::protocol::ids::{CallNumber, FunctionId};

/// A generation of a function's containers: those that are started from the same configuration
/// and code. Counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(u32);

impl Generation {
    /// The first generation of every function.
    pub const FIRST: Generation = Generation(1);

    /// The generation that follows.
    pub fn next(self) -> Generation {
        Generation(self.0 + 1)
    }

    /// Its number.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// Names a connected container. The key of one that is gone is given to another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerKey(u32);

/// Names a worker that is ready, by its channel. The key of one that is gone is given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChannelKey(u32);

macro_rules! key {
    ($key:ident) => {
        impl $key {
            /// The key of this place in a table.
            ///
            /// # Panics
            /// If the place is beyond what a u32 can count: descriptors run out long before.
            #[inline]
            pub fn at_index(index: usize) -> $key {
                $key(u32::try_from(index).expect("a u32 can count what is connected"))
            }

            /// The place in its table.
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

/// Tells inputs of a function apart: the same for inputs that are the same, whoever sends them and
/// when; for others most likely another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint with this hash.
    pub fn new(hash: u64) -> Fingerprint {
        Fingerprint(hash)
    }
}

impl fmt::LowerHex for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
