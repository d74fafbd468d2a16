//! What can be asked of a running engine.

pub mod admin;
pub mod status;
