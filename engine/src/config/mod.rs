//! `nightcore.toml`: text in, checked types or an error that points at the line out.
