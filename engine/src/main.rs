//! The `nightcore` command.
fn main() {}
