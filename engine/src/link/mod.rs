//! The engine's end of channels and control sockets: it turns messages into the dispatcher's words and the dispatcher's
//! actions into messages. It never blocks on a container.

mod alarm;
mod arena;
mod channel;
mod container;
mod external;
mod fingerprint;
mod handshake;
mod hub;
mod inline_bytes;
mod listener;
mod look;
mod payload;
mod peer;
mod send;

pub use alarm::{Alarm, keep_time};
pub use container::ContainerEvent;
pub use external::HubCalls;
pub use handshake::{Identity, Tokens};
pub use hub::{Hub, HubHandle};
pub use listener::Listener;
pub use look::look_at_rings;
pub use payload::Payload;
