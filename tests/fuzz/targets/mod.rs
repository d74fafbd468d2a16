//! The targets.

mod channel;
mod config;
mod handshake;
mod http;
mod message;
mod metadata;
mod region;
mod ring;

/// Does with these bytes what a peer would.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: [(&str, Target); 8] = [
    ("channel", channel::target),
    ("config", config::target),
    ("handshake", handshake::target),
    ("http", http::target),
    ("message", message::target),
    ("metadata", metadata::target),
    ("region", region::target),
    ("ring", ring::target),
];
