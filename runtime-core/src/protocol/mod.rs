//! The IPC protocol: bytes in, checked types out. Described for other implementers in `docs/PROTOCOL.md`.

pub mod call_id;
pub mod control;
pub mod failure;
pub mod limits;
pub mod message;
pub mod metadata;
pub mod name;
pub mod status;

pub use call_id::CallId;
pub use failure::{Cause, Failure};
pub use message::{Broken, Header, Kind, Message, MessageBuffer};
pub use metadata::{Metadata, MetadataBuffer, MetadataError};
pub use status::Status;

/// The newest version of the protocol that this build speaks.
pub const VERSION: u16 = 2;
/// The oldest version of the protocol that this build still speaks.
pub const OLDEST_VERSION: u16 = 1;
