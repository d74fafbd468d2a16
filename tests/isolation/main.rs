//! Tests that the process of one function has no access to what belongs to others.

mod admin;
mod tokens;
mod tracing;
