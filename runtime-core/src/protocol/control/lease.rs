//! Control messages about leases: the engine lends a worker of one container to another container.

use super::error::ControlError;
use super::fixed::{Control, ControlBuffer, ControlKind};
use crate::protocol::ids::{CallNumber, FunctionId};
use crate::protocol::status::Status;
use std::time::Duration;

fn read_lease(fixed: &Control) -> Result<CallNumber, ControlError> {
    CallNumber::new(fixed.id).ok_or(ControlError::Lease)
}

/// LEASED: this container may call a worker of another function directly. With it come the file of
/// the direct channel, the region whose blocks the caller hands out, and the callee's region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The lease.
    pub lease: CallNumber,
    /// The function that the worker runs.
    pub callee: FunctionId,
    /// The name of that function.
    pub name: String,
    /// The longest time that a call of it may take.
    pub timeout: Duration,
    /// How deep a call of it may be nested.
    pub max_depth: u16,
}

impl Leased {
    pub(super) fn read(fixed: &Control, text: &str) -> Result<Leased, ControlError> {
        Ok(Leased {
            lease: read_lease(fixed)?,
            callee: FunctionId::new(fixed.region).ok_or(ControlError::Lease)?,
            name: text.to_owned(),
            timeout: Duration::from_nanos(fixed.size),
            max_depth: fixed.mode,
        })
    }

    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control {
            id: self.lease.number(),
            region: self.callee.number(),
            size: u64::try_from(self.timeout.as_nanos()).unwrap_or(u64::MAX),
            mode: self.max_depth,
            ..Control::new(ControlKind::Leased)
        };
        ControlBuffer::write(fixed, &self.name)
    }
}

/// LENT: a worker of this container runs the calls of a direct channel. The same descriptors come
/// with it as with [`Leased`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lent {
    /// The lease.
    pub lease: CallNumber,
    /// The name of the function that calls.
    pub caller: String,
}

impl Lent {
    pub(super) fn read(fixed: &Control, text: &str) -> Result<Lent, ControlError> {
        Ok(Lent { lease: read_lease(fixed)?, caller: text.to_owned() })
    }

    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control { id: self.lease.number(), ..Control::new(ControlKind::Lent) };
        ControlBuffer::write(fixed, &self.caller)
    }
}

/// LEASE_ENDED: a lease is over, and a call that has no answer gets none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEnded {
    /// The lease.
    pub lease: CallNumber,
    /// How a call ends that has no answer; [`Status::Ok`] if there can be none.
    pub status: Status,
    /// Why, for people.
    pub text: String,
}

impl LeaseEnded {
    pub(super) fn read(fixed: &Control, text: &str) -> Result<LeaseEnded, ControlError> {
        let status = Status::from_number(fixed.status);
        Ok(LeaseEnded {
            lease: read_lease(fixed)?,
            status: status.ok_or(ControlError::Status(fixed.status))?,
            text: text.to_owned(),
        })
    }

    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control {
            id: self.lease.number(),
            status: self.status.number(),
            ..Control::new(ControlKind::LeaseEnded)
        };
        ControlBuffer::write(fixed, &self.text)
    }
}
