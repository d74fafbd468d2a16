//! Other people's servers, each one process.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::settings::Settings;
use crate::{interrupt, processes};

/// A framework takes a second to be imported; this is for a machine that is busy elsewhere.
const READY_WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running server. Dropped, it is ended.
pub struct Peer {
    name: &'static str,
    address: SocketAddr,
    child: Child,
}

impl Peer {
    /// Starts it on a free port, and waits until it listens.
    pub fn start(settings: &Settings, name: &'static str, command: &[String]) -> Result<Peer> {
        // Free now; nobody else here takes ports of the system's choice meanwhile.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let log: PathBuf = settings.work_dir.join("peers").join(format!("{name}.log"));
        let log_file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let [program, arguments @ ..] = command else { bail!("{name} has no command") };
        let parent = std::process::id();
        let mut command = Command::new(program);
        command.args(arguments).env("PORT", address.port().to_string());
        command.stdin(Stdio::null()).stdout(log_file.try_clone()?).stderr(log_file).process_group(0);
        // SAFETY: the closure only makes system calls, which is allowed between fork and exec.
        unsafe { command.pre_exec(move || processes::die_with_parent(parent, libc::SIGKILL)) };
        let child = command.spawn().with_context(|| format!("cannot start {program}"))?;
        let mut peer = Peer { name, address, child };
        let end = Instant::now() + READY_WITHIN;
        while TcpStream::connect(address).is_err() {
            interrupt::check()?;
            if let Some(status) = peer.child.try_wait()? {
                bail!("{name} ended with {status}; see {}", log.display());
            }
            if Instant::now() >= end {
                bail!("{name} did not listen within {} s; see {}", READY_WITHIN.as_secs(), log.display());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(peer)
    }

    /// Its key.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it.
    pub fn stop(mut self) -> Result<()> {
        self.end().with_context(|| format!("cannot end {}", self.name))
    }

    fn end(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            killpg(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGKILL)?;
            self.child.wait()?;
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}
