//! Control messages from the engine to a container, a type for each kind.

use super::error::ControlError;
use super::fixed::{Control, ControlBuffer, ControlKind, ReadControl};
use super::ids::{ContainerNumber, RequestNumber, WorkerSlot, read_region};
use super::lease::{LeaseEnded, Leased, Lent};
use super::region_dropped::RegionDropped;
use super::settings::{Placement, Versions};
use crate::protocol::ids::{FunctionId, RegionId};
use crate::protocol::status::Status;

/// The messages that the engine can send on the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromEngine {
    /// Kind 2. Descriptors: the container's base region, the engine's base region.
    Welcome(Welcome),
    /// Kind 3.
    Refused(Refused),
    /// Kind 4. Descriptors: the end to read, the end to write, and the file of the rings if
    /// messages go by them.
    CreateWorker(CreateWorker),
    /// Kind 7. Descriptor: the region, if it is granted.
    RegionGranted(RegionGranted),
    /// Kind 8: a region whose blocks the engine hands out. Descriptor: the region.
    RegionAdded(NewRegion),
    /// Kind 9.
    RegionDropped(RegionDropped),
    /// Kind 10: no more calls come; the container ends.
    Shutdown,
    /// Kind 11: there has been no call for a while; the container gives the memory of free blocks
    /// back to the system.
    Trim,
    /// Kind 12.
    Leased(Leased),
    /// Kind 13.
    Lent(Lent),
    /// Kind 14.
    LeaseEnded(LeaseEnded),
    /// Kind 16. Descriptors, if it was created: the end to read, the end to write.
    CallerCreated(CallerCreated),
}

impl ReadControl for FromEngine {
    fn read(datagram: &[u8]) -> Result<FromEngine, ControlError> {
        let (kind, fixed, text) = Control::parse(datagram)?;
        Ok(match kind {
            ControlKind::Welcome => FromEngine::Welcome(Welcome {
                version: fixed.version,
                container: ContainerNumber(fixed.id),
                max_body_bytes: fixed.size,
                function_id: FunctionId::new(fixed.region),
                exposes_errors: fixed.mode & EXPOSES_ERRORS != 0,
                function: text.to_owned(),
            }),
            ControlKind::Refused => FromEngine::Refused(Refused {
                versions: Versions { newest: fixed.version, oldest: fixed.oldest_version },
                text: text.to_owned(),
            }),
            ControlKind::CreateWorker => FromEngine::CreateWorker(CreateWorker {
                slot: WorkerSlot::read(fixed.id)?,
                placement: Placement::from_number(fixed.mode)
                    .ok_or(ControlError::Placement(fixed.mode))?,
            }),
            ControlKind::RegionGranted => {
                FromEngine::RegionGranted(RegionGranted::read(&fixed, text)?)
            }
            ControlKind::RegionAdded => FromEngine::RegionAdded(NewRegion::read(&fixed)?),
            ControlKind::RegionDropped => FromEngine::RegionDropped(RegionDropped::read(&fixed)?),
            ControlKind::Shutdown => FromEngine::Shutdown,
            ControlKind::Trim => FromEngine::Trim,
            ControlKind::Leased => FromEngine::Leased(Leased::read(&fixed, text)?),
            ControlKind::Lent => FromEngine::Lent(Lent::read(&fixed, text)?),
            ControlKind::LeaseEnded => FromEngine::LeaseEnded(LeaseEnded::read(&fixed, text)?),
            ControlKind::CallerCreated => {
                FromEngine::CallerCreated(CallerCreated::read(&fixed, text)?)
            }
            ControlKind::Hello
            | ControlKind::WorkerFailed
            | ControlKind::RegionRequest
            | ControlKind::CallerRequest => {
                return Err(ControlError::Kind(fixed.kind));
            }
        })
    }
}

impl FromEngine {
    /// The message.
    pub fn write(&self) -> ControlBuffer {
        match self {
            FromEngine::Welcome(welcome) => welcome.write(),
            FromEngine::Refused(refused) => refused.write(),
            FromEngine::CreateWorker(create) => create.write(),
            FromEngine::RegionGranted(granted) => granted.write(),
            FromEngine::RegionAdded(region) => {
                let fixed = region.describe(Control::new(ControlKind::RegionAdded));
                ControlBuffer::write(fixed, "")
            }
            FromEngine::RegionDropped(dropped) => dropped.write(),
            FromEngine::Shutdown => ControlBuffer::write(Control::new(ControlKind::Shutdown), ""),
            FromEngine::Trim => ControlBuffer::write(Control::new(ControlKind::Trim), ""),
            FromEngine::Leased(leased) => leased.write(),
            FromEngine::Lent(lent) => lent.write(),
            FromEngine::LeaseEnded(ended) => ended.write(),
            FromEngine::CallerCreated(created) => created.write(),
        }
    }
}

/// WELCOME: a process has become a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that is spoken from now on.
    pub version: u16,
    /// The number of the container.
    pub container: ContainerNumber,
    /// The largest body of a call or an answer.
    pub max_body_bytes: u64,
    /// The id of the function; `None` before [`crate::protocol::DIRECT_SINCE_VERSION`].
    pub function_id: Option<FunctionId>,
    /// Whether callers are told the texts of errors that were not written for them. A container
    /// that does not know of it tells them always.
    pub exposes_errors: bool,
    /// The function to run.
    pub function: String,
}

/// The bit of `mode` for [`Welcome::exposes_errors`].
const EXPOSES_ERRORS: u16 = 1;

impl Welcome {
    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control {
            mode: if self.exposes_errors { EXPOSES_ERRORS } else { 0 },
            version: self.version,
            id: self.container.0,
            size: self.max_body_bytes,
            region: self.function_id.map_or(0, FunctionId::number),
            ..Control::new(ControlKind::Welcome)
        };
        ControlBuffer::write(fixed, &self.function)
    }
}

/// REFUSED: a process may not become a container. The connection ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The versions that the engine speaks.
    pub versions: Versions,
    /// Why, for a person.
    pub text: String,
}

impl Refused {
    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control {
            version: self.versions.newest,
            oldest_version: self.versions.oldest,
            status: Status::Refused.number(),
            ..Control::new(ControlKind::Refused)
        };
        ControlBuffer::write(fixed, &self.text)
    }
}

/// CREATE_WORKER: the container starts one more worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateWorker {
    /// Where it is in the container.
    pub slot: WorkerSlot,
    /// Where it spins on its ring. A container of version 1 has to be sent [`Placement::Apart`].
    pub placement: Placement,
}

impl CreateWorker {
    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control {
            id: u64::from(self.slot.number()),
            mode: self.placement as u16,
            ..Control::new(ControlKind::CreateWorker)
        };
        ControlBuffer::write(fixed, "")
    }
}

/// CALLER_CREATED: the answer to a CALLER_REQUEST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerCreated {
    /// Whether its channel comes with it, or why not.
    pub created: Result<(), Refusal>,
}

impl CallerCreated {
    fn read(fixed: &Control, text: &str) -> Result<CallerCreated, ControlError> {
        let created = match fixed.status == Status::Ok.number() {
            true => Ok(()),
            false => Err(Refusal::read(fixed, text)?),
        };
        Ok(CallerCreated { created })
    }

    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control::new(ControlKind::CallerCreated);
        match &self.created {
            Ok(()) => ControlBuffer::write(fixed, ""),
            Err(refusal) => refusal.write(fixed),
        }
    }
}

/// A region that was made for a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewRegion {
    /// Its id.
    pub region: RegionId,
    /// How many units it has.
    pub units: u32,
}

impl NewRegion {
    fn read(fixed: &Control) -> Result<NewRegion, ControlError> {
        let units = u32::try_from(fixed.size).map_err(|_| ControlError::Units(fixed.size))?;
        Ok(NewRegion { region: read_region(fixed.region)?, units })
    }

    fn describe(self, fixed: Control) -> Control {
        Control { region: self.region.number(), size: u64::from(self.units), ..fixed }
    }
}

/// REGION_GRANTED: the answer to a request for a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionGranted {
    /// The request.
    pub request: RequestNumber,
    /// The region, or why there is none.
    pub grant: Result<NewRegion, Refusal>,
}

/// Why a container did not get what it asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status of what needed it. It is one that may end a call.
    pub status: Status,
    /// Why, for a person.
    pub text: String,
}

impl Refusal {
    fn read(fixed: &Control, text: &str) -> Result<Refusal, ControlError> {
        let status = Status::failure_from_wire(fixed.status);
        let status = status.ok_or(ControlError::Status(fixed.status))?;
        Ok(Refusal { status, text: text.to_owned() })
    }

    fn write(&self, fixed: Control) -> ControlBuffer {
        ControlBuffer::write(Control { status: self.status.number(), ..fixed }, &self.text)
    }
}

impl RegionGranted {
    fn read(fixed: &Control, text: &str) -> Result<RegionGranted, ControlError> {
        let grant = if fixed.status == Status::Ok.number() {
            Ok(NewRegion::read(fixed)?)
        } else {
            Err(Refusal::read(fixed, text)?)
        };
        Ok(RegionGranted { request: RequestNumber(fixed.id), grant })
    }

    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control { id: self.request.0, ..Control::new(ControlKind::RegionGranted) };
        match &self.grant {
            Ok(region) => ControlBuffer::write(region.describe(fixed), ""),
            Err(refusal) => refusal.write(fixed),
        }
    }
}
