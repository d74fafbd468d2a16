//! Processes: they are started, watched, restarted and reaped, and their output is kept.
//!
//! A process of its own does it, the launcher: it is the parent of all containers and a subreaper,
//! so that nothing they fork escapes it. It knows no policy. Which container is to run is decided
//! in the engine, by the [`supervisor`], so that nothing is lost when the launcher dies.

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
