//! The engine's ends of channels, control sockets and arenas. The engine never blocks on a
//! container.
//!
//! Events are pulled from containers: a type that waits for something returns an event, and its
//! owner decides what follows. Nothing in this folder holds a handle to its owner, or knows which
//! part of the engine decides where a call runs.

mod alarm;
mod arena;
mod channel;
mod connections;
mod container;
mod control;
mod copy;
mod ends;
mod fingerprint;
mod handshake;
mod inline_bytes;
mod lending;
mod listener;
mod outbox;
mod outgoing;
mod payload;
mod polling;
mod reader;
mod rings;

pub use alarm::Alarm;
pub(crate) use channel::{Channel, ChannelState};
pub use connections::ContainerStatus;
pub(crate) use connections::{Connections, ControlOutcome, Sending, send_inline};
pub(crate) use container::NewContainer;
pub(crate) use control::{ControlSocket, Disconnect, FromProcess, Process};
pub(crate) use copy::{BlockCopy, collect};
pub(crate) use handshake::{Admitted, HandshakeRefusal};
pub use handshake::{Identity, LaunchIdentity, Tokens};
pub use lending::Lending;
pub use listener::Listener;
pub(crate) use listener::{Greeting, Stranger};
pub(crate) use outbox::{FlushResult, Outbox};
pub(crate) use outgoing::Outgoing;
pub use payload::Payload;
pub(crate) use polling::{PollResult, Poller};
pub(crate) use reader::{CloseReason, Reader, ReaderEvent};
