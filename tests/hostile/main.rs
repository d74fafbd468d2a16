//! Tests of workers that break the protocol or exceed their share.

mod bounds;
mod peers;
mod rings;
