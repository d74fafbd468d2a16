//! A program that runs beside a measurement: another server, or a neighbour that keeps a core busy.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::run::processes::{self, Kept};

/// A running program with its own process group. Dropping this value ends the program and the
/// group.
#[derive(Debug)]
pub struct Background {
    child: Child,
    _kept: Kept,
}

impl Background {
    /// Starts the program. The kernel kills it when this process ends.
    pub fn start(command: &mut Command) -> Result<Background> {
        let parent = std::process::id();
        command.process_group(0);
        // SAFETY: the closure only makes system calls, which is allowed between fork and exec.
        unsafe { command.pre_exec(move || processes::die_with_parent(parent, libc::SIGKILL)) };
        let child = command
            .spawn()
            .with_context(|| format!("cannot start {}", command.get_program().display()))?;
        let kept = Kept::new(child.id());
        Ok(Background { child, _kept: kept })
    }

    /// Returns the program's process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Returns the program's exit status, if the program has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Ends the program.
    pub fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            killpg(Pid::from_raw(self.pid()), Signal::SIGKILL)?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
