//! The gateway takes HTTP requests from clients and hands each to an engine. It knows HTTP, and
//! nothing of pipes.

mod body;
mod calls;
mod client;
mod connection_bounds;
mod connections;
mod deadline;
mod descriptor_reserve;
mod exchange;
mod frames;
mod hop;
mod pieces;
mod problem;
mod refused;
mod request;
mod response;
mod routes;
mod server;
mod service;
mod socket;
mod stop;
mod stream;
mod timeouts;
mod turns;

pub use body::{NoCall, ReadBody, RequestBody};
pub use calls::{Answer, Called, Calls};
pub use client::{Client, OpenRequest};
pub use connections::{MAX_STREAMS, Room};
pub use deadline::{TIMEOUT_HEADER, timeout};
pub use descriptor_reserve::DescriptorReserve;
pub use exchange::Site;
pub use problem::only_get;
pub use request::MAX_HEADER_BYTES;
pub use response::{response, tell_id};
pub use routes::{Routes, SharedRoutes};
pub use server::{Entrance, Gateway};
pub use service::{Health, RequestLimits, Service, health_page};
pub use socket::Socket;
pub use stop::Stop;
pub use timeouts::keep_timeouts;
