//! Builds functions in `nightcore dev`: a function with a `build` is built before it is started,
//! and again when its sources change.
//!
//! A build is due when the contents of its sources differ from those of the previous build. File
//! system events only trigger the comparison. So a build that writes the same generated sources as
//! before does not cause another build, and late events do no harm.

mod build;
mod sources;
mod table;

pub use sources::{MAX_FOLDERS, is_skipped, is_source};
pub use table::{BuildOutcome, Builds, SourcesRead};
