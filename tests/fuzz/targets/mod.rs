//! The targets.

mod channel;
mod config;
mod direct;
mod direct_threads;
mod event_loop;
mod handlers;
mod handshake;
mod http;
mod message;
mod metadata;
mod region;
mod ring;

/// Processes these bytes as if a peer had sent them.
pub type Target = fn(&[u8]);

/// All targets by name. After a run of `direct_threads` or `handlers` the process serves for good,
/// and no other worker can run in it.
pub const TARGETS: [(&str, Target); 12] = [
    ("channel", channel::target),
    ("config", config::target),
    ("direct", direct::target),
    ("event_loop", event_loop::target),
    ("direct_threads", direct_threads::target),
    ("handlers", handlers::target),
    ("handshake", handshake::target),
    ("http", http::target),
    ("message", message::target),
    ("metadata", metadata::target),
    ("region", region::target),
    ("ring", ring::target),
];
