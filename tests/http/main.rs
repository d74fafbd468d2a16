//! The gateway, as clients of HTTP see it.

mod clients;
mod endings;
mod memory;
mod requests;
mod semantics;
