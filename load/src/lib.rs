//! Loads a server over HTTP/1.1: kept connections, each with one call under way, on one thread.
//!
//! A [`Workload`] decides when calls are due and takes their answers, and [`run`] makes the calls.
//! The crate does not depend on Nightcore, so it can load other servers too. It is small on
//! purpose: it runs on the same machine as the server, and takes processor time from the server.

mod client;
pub mod http;
mod run;

pub use client::{Answer, Call, Client};
pub use run::{LoadEnd, Next, Sent, Workload, now_ns, run};
