//! Tests of the gateway from the side of HTTP clients.

mod clients;
mod endings;
mod memory;
mod requests;
mod semantics;
