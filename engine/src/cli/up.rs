//! `nightcore up` and `nightcore dev`

use super::arguments::{Engine, NewDirectory, SetOptions, load};
use super::exit::{EXIT_BAD_INPUT, Exit};
use super::runtime::runtime;
use crate::config::Purpose;
use crate::engine_log::{Columns, log, use_columns};
use crate::tracing::forbid_tracing;
use crate::up::{Options, run};
use nix::sys::signal::Signal;
use std::fs::File;
use std::os::fd::{FromRawFd, OwnedFd};

/// Variables that npm, pnpm and Yarn set for the programs that they run.
const PACKAGE_MANAGER_VARIABLES: [&str; 3] = ["npm_command", "npm_lifecycle_event", "npm_execpath"];

#[derive(clap::Args)]
pub struct Up {
    #[command(flatten)]
    engine: Engine,
    #[command(flatten)]
    settings: SetOptions,
    /// Let debuggers and profilers of this user trace the engine and its launcher, and let these
    /// write core dumps; without it, only root can. Functions can be traced in any case
    #[arg(long)]
    trace: bool,
    /// Write a line to this descriptor when all functions are ready
    #[arg(long, value_name = "N")]
    ready_fd: Option<i32>,
}

impl Up {
    pub fn run(self, give_back: fn()) -> Result<(), Exit> {
        self.run_for(Purpose::Serve, give_back)
    }

    /// Runs like [`Up::run`], but also builds functions and restarts them when files change. Prints
    /// its lines in columns.
    pub fn dev(self, give_back: fn()) -> Result<(), Exit> {
        self.run_for(Purpose::Develop, give_back)
    }

    fn run_for(self, purpose: Purpose, give_back: fn()) -> Result<(), Exit> {
        end_with_package_manager();
        if !self.trace {
            forbid_tracing().map_err(Exit::bad_input)?;
        }
        let config = load(&self.engine.config, &self.settings, purpose)?;
        if purpose == Purpose::Develop {
            use_columns(Columns::new(
                config.functions.iter().map(|f| f.name.len()).max().unwrap_or_default(),
            ));
        }
        for warning in &config.warnings {
            log(&warning.line_text());
        }
        let NewDirectory { path, is_named } = self.engine.new_directory()?;
        let ready = self.ready_fd.map(ready_file).transpose()?;
        let options = Options { config, directory: &path, is_named, ready, purpose, give_back };
        runtime()?.block_on(run(options)).map_err(Exit::bad_input)
    }
}

/// Makes the engine end with its parent, as by SIGTERM, if a package manager of Node has started
/// it.
///
/// `npx nightcore up` runs a shell that runs the engine. npm passes SIGTERM on to the shell, which
/// ends and would leave the engine behind. An engine in a session of its own, as `setsid` starts
/// it, is meant to stay.
fn end_with_package_manager() {
    let is_leader = nix::unistd::getsid(None) == Ok(nix::unistd::getpid());
    if !is_leader && PACKAGE_MANAGER_VARIABLES.iter().any(|name| std::env::var_os(name).is_some()) {
        // If this fails, the engine runs all the same, and has to be ended by its own process id.
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGTERM);
    }
}

fn ready_file(fd: i32) -> Result<File, Exit> {
    // SAFETY: fcntl takes any number, and fails if it is not an open descriptor.
    let open = fd > 2 && unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } == 0;
    if !open {
        return Err(Exit::new(
            EXIT_BAD_INPUT,
            format!("--ready-fd {fd}: no such open descriptor above 2"),
        ));
    }
    // SAFETY: the process that started this one passed the descriptor for this purpose. It is open,
    // and nothing else in this process uses it.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}
