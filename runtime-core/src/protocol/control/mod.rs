//! Messages on the control socket. Each message has a fixed part of 64 bytes and a text. The
//! messages create and retire workers and hand out memory; calls do not use the control socket.
//! [`FromEngine`] and [`FromContainer`] list all messages.

mod error;
mod fixed;
mod from_container;
mod from_engine;
mod ids;
mod lease;
mod region_dropped;
mod settings;

pub use error::ControlError;
pub use fixed::{ControlBuffer, MAX_CONTROL_BYTES, ReadControl};
pub use from_container::{FromContainer, Hello, RegionRequest, WorkerFailed};
pub use from_engine::{
    CallerCreated, CreateWorker, FromEngine, NewRegion, Refusal, Refused, RegionGranted, Welcome,
};
pub use ids::{ContainerNumber, RequestNumber, WorkerSlot};
pub use lease::{LeaseEnded, Leased, Lent};
pub use region_dropped::RegionDropped;
pub use settings::{
    ChannelKind, FUNCTION_VARIABLE, LOG_KEY_VARIABLE, Mode, Placement, SOCKET_VARIABLE,
    TOKEN_VARIABLE, Versions,
};
