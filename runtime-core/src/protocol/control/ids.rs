//! The numbers by which control messages name workers, requests and containers.

use super::error::ControlError;
use crate::protocol::ids::RegionId;
use crate::protocol::limits::MAX_WORKERS_PER_CONTAINER;

/// The place of a worker in its container: below [`MAX_WORKERS_PER_CONTAINER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerSlot(u32);

impl WorkerSlot {
    /// The slot with this number; `None` if a container has no such slot.
    pub fn new(number: u32) -> Option<WorkerSlot> {
        ((number as usize) < MAX_WORKERS_PER_CONTAINER).then_some(WorkerSlot(number))
    }

    /// The number, from 0.
    #[inline]
    pub fn number(self) -> u32 {
        self.0
    }

    pub(super) fn read(number: u64) -> Result<WorkerSlot, ControlError> {
        let slot = u32::try_from(number).ok().and_then(WorkerSlot::new);
        slot.ok_or(ControlError::Slot(number))
    }
}

/// The number that a container gave to a request for a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestNumber(pub u64);

/// The number that the engine gave to a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ContainerNumber(pub u64);

pub(super) fn read_region(number: u32) -> Result<RegionId, ControlError> {
    RegionId::new(number).ok_or(ControlError::Region(number))
}
