//! Starts, watches, restarts and reaps processes, and keeps their output.
//!
//! The launcher, a separate process, does this. It is the parent of all containers and a subreaper,
//! so that no process that they fork escapes it. It makes no decisions: the [`supervisor`] in the
//! engine decides which containers run, so that nothing is lost when the launcher dies.

mod builds;
mod cgroup;
mod children;
mod end;
mod inherit;
mod limits;
mod link;
mod output;
mod outputs;
pub mod process;
mod process_manager;
mod recycling;
pub mod supervisor;
mod task;
mod wire;

pub use builds::BuildEnded;
pub use end::End;
pub use inherit::MANAGER_VARIABLES;
pub use limits::{limit_open_files, outlive_file_size_limit, raise_open_files};
pub use output::{has_logs, log_path, logged};
pub use process_manager::{ProcessHistories, ProcessManager};
