//! The IPC protocol: bytes in, checked types out. Described for other implementers in
//! `docs/PROTOCOL.md`.
//!
//! A message on a channel is a type of its own for each kind and direction: [`ToWorker`] and
//! [`ToEngine`] say which there are.

mod broken;
pub mod call_id;
mod cancel;
pub mod control;
pub mod desk_counts;
pub mod direct;
pub mod failure;
mod header;
pub mod ids;
pub mod limits;
pub mod message;
pub mod metadata;
pub mod name;
mod notice;
pub mod payload;
pub mod status;
pub mod times;
pub mod to_engine;
pub mod to_worker;
pub mod version;

pub use broken::Broken;
pub use call_id::CallId;
pub use cancel::{CancelReason, CancelWord};
pub use failure::{Cause, Failure, WireFailure};
pub use ids::{CallNumber, FunctionId, InvokeNumber, RegionId};
pub use message::{Message, MessageBuffer};
pub use metadata::{Metadata, MetadataBuffer, MetadataError};
pub use notice::Notice;
pub use payload::{BlockPayload, InlinePayload, WirePayload};
pub use status::Status;
pub use to_engine::ToEngine;
pub use to_worker::ToWorker;
pub use version::{
    CALLER_SINCE_VERSION, CANCEL_REASON_SINCE_VERSION, DIRECT_SINCE_VERSION, OLDEST_VERSION,
    RING_SINCE_VERSION, VERSION,
};
