//! Workers that break the protocol or take more than their share.

mod bounds;
mod peers;
mod rings;
