//! The numbers by which messages name calls, functions and regions.
//!
//! Two numbers name a call: the engine chooses a [`CallNumber`] for each call that it dispatches, a
//! worker chooses an [`InvokeNumber`] for each internal call that it makes. On the wire 0 stands
//! for "none"; in code that is `None`.

use std::fmt;
use std::num::{NonZeroU32, NonZeroU64};

/// The number that the engine gave to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNumber(NonZeroU64);

impl CallNumber {
    /// The call with this number; `None` for 0, which names no call.
    #[inline]
    pub const fn new(number: u64) -> Option<CallNumber> {
        match NonZeroU64::new(number) {
            Some(number) => Some(CallNumber(number)),
            None => None,
        }
    }

    /// The number as messages carry it.
    #[inline]
    pub const fn number(self) -> u64 {
        self.0.get()
    }
}

/// The number that a worker gave to an internal call. It is used once in the life of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvokeNumber(pub u64);

/// The id that the engine gave to a function. It stays the same for the life of the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(NonZeroU32);

impl FunctionId {
    /// The function with this id; `None` for 0, which names no function.
    #[inline]
    pub const fn new(number: u32) -> Option<FunctionId> {
        match NonZeroU32::new(number) {
            Some(number) => Some(FunctionId(number)),
            None => None,
        }
    }

    /// The id as messages carry it.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// The place of the function in a table: ids count from 1, places from 0.
    #[inline]
    pub const fn index(self) -> usize {
        (self.0.get() - 1) as usize
    }
}

/// The id of a region of the arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(NonZeroU32);

impl RegionId {
    /// The region whose blocks the container hands out from the start.
    pub const CONTAINER_BASE: RegionId = RegionId(NonZeroU32::new(1).unwrap());
    /// The region whose blocks the engine hands out from the start. It has the cancel words.
    pub const ENGINE_BASE: RegionId = RegionId(NonZeroU32::new(2).unwrap());

    /// The region with this id; `None` for 0, which names no region.
    #[inline]
    pub const fn new(number: u32) -> Option<RegionId> {
        match NonZeroU32::new(number) {
            Some(number) => Some(RegionId(number)),
            None => None,
        }
    }

    /// The id as messages carry it.
    #[inline]
    pub const fn number(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for CallNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
