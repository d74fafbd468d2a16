//! Control messages from a container to the engine, a type for each kind.

use super::error::ControlError;
use super::fixed::{Control, ControlBuffer, ControlKind, ReadControl};
use super::ids::{RequestNumber, WorkerSlot};
use super::region_dropped::RegionDropped;
use super::settings::{Mode, Versions};
use crate::protocol::limits::TOKEN_BYTES;

/// The messages that a container can send on the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromContainer {
    /// Kind 1.
    Hello(Hello),
    /// Kind 5.
    WorkerFailed(WorkerFailed),
    /// Kind 6.
    RegionRequest(RegionRequest),
    /// Kind 9.
    RegionDropped(RegionDropped),
    /// Kind 15: the container wants to call outside of any request.
    CallerRequest,
}

impl ReadControl for FromContainer {
    fn read(datagram: &[u8]) -> Result<FromContainer, ControlError> {
        let (kind, fixed, text) = Control::parse(datagram)?;
        Ok(match kind {
            ControlKind::Hello => FromContainer::Hello(Hello::read(&fixed, text)),
            ControlKind::WorkerFailed => FromContainer::WorkerFailed(WorkerFailed {
                slot: WorkerSlot::read(fixed.id)?,
                text: text.to_owned(),
            }),
            ControlKind::RegionRequest => FromContainer::RegionRequest(RegionRequest {
                request: RequestNumber(fixed.id),
                bytes: fixed.size,
            }),
            ControlKind::RegionDropped => {
                FromContainer::RegionDropped(RegionDropped::read(&fixed)?)
            }
            ControlKind::CallerRequest => FromContainer::CallerRequest,
            _ => return Err(ControlError::Kind(fixed.kind)),
        })
    }
}

impl FromContainer {
    /// The CALLER_REQUEST.
    pub fn caller_request() -> ControlBuffer {
        ControlBuffer::write(Control::new(ControlKind::CallerRequest), "")
    }
}

/// HELLO: a process wants to become a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// How it would run calls, or the number of a mode that is not known.
    pub mode: Result<Mode, u16>,
    /// The versions that it speaks.
    pub versions: Versions,
    /// Admits one process, once.
    pub token: [u8; TOKEN_BYTES],
    /// The name and the version of its library.
    pub library: String,
    /// The names of its handlers.
    pub handlers: Vec<String>,
}

impl Hello {
    fn read(fixed: &Control, text: &str) -> Hello {
        let mut lines = text.lines();
        Hello {
            mode: Mode::from_number(fixed.mode).ok_or(fixed.mode),
            versions: Versions { newest: fixed.version, oldest: fixed.oldest_version },
            token: fixed.token,
            library: lines.next().unwrap_or_default().to_owned(),
            handlers: lines.map(str::to_owned).collect(),
        }
    }

    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control {
            mode: self.mode.map_or_else(|number| number, |mode| mode as u16),
            version: self.versions.newest,
            oldest_version: self.versions.oldest,
            token: self.token,
            ..Control::new(ControlKind::Hello)
        };
        let lines = std::iter::once(&self.library).chain(&self.handlers);
        let lines: Vec<&str> = lines.map(String::as_str).collect();
        ControlBuffer::write(fixed, &lines.join("\n"))
    }
}

/// WORKER_FAILED: a worker could not be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerFailed {
    /// Where it would have been.
    pub slot: WorkerSlot,
    /// Why, for a person.
    pub text: String,
}

impl WorkerFailed {
    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let id = u64::from(self.slot.number());
        ControlBuffer::write(Control { id, ..Control::new(ControlKind::WorkerFailed) }, &self.text)
    }
}

/// REGION_REQUEST: the container needs one more region whose blocks it hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegionRequest {
    /// The container's own number for the request.
    pub request: RequestNumber,
    /// Bytes wanted.
    pub bytes: u64,
}

impl RegionRequest {
    /// The message.
    pub fn write(&self) -> ControlBuffer {
        let fixed = Control {
            id: self.request.0,
            size: self.bytes,
            ..Control::new(ControlKind::RegionRequest)
        };
        ControlBuffer::write(fixed, "")
    }
}
