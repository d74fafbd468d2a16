//! REGION_DROPPED, which either side sends about its own regions.

use super::error::ControlError;
use super::fixed::{Control, ControlBuffer, ControlKind};
use super::ids::read_region;
use crate::protocol::ids::RegionId;

/// REGION_DROPPED: nothing in a region of the sender is in use; the receiver unmaps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionDropped {
    /// The region.
    pub region: RegionId,
}

impl RegionDropped {
    pub(super) fn read(fixed: &Control) -> Result<RegionDropped, ControlError> {
        Ok(RegionDropped { region: read_region(fixed.region)? })
    }

    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let region = self.region.number();
        ControlBuffer::write(Control { region, ..Control::new(ControlKind::RegionDropped) }, "")
    }
}
