//! Runs other servers, with which Nightcore is compared.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::run::background::Background;
use crate::run::interrupt;
use crate::run::settings::Settings;

/// The time limit for a start. A framework takes a second to be imported; the limit allows for a
/// busy machine.
const READY_WITHIN: Duration = Duration::from_secs(15);
const POLL_EVERY: Duration = Duration::from_millis(20);

/// A running server. Dropping this value ends the server.
#[derive(Debug)]
pub struct Peer {
    name: String,
    address: SocketAddr,
    program: Background,
}

/// Returns an address with a free port. The port stays free until the server starts, because
/// nothing else in the bench lets the system choose a port in between.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

impl Peer {
    /// Starts a server that takes its port from the environment, and waits until it listens.
    pub fn start(settings: &Settings, name: &str, command: &[String]) -> Result<Peer> {
        Peer::start_at(settings, name, command, free_address()?)
    }

    /// Starts a server at this address, and waits until it listens. The server may take its port
    /// from the environment, or get the address in another way.
    pub fn start_at(
        settings: &Settings,
        name: &str,
        command: &[String],
        address: SocketAddr,
    ) -> Result<Peer> {
        let log: PathBuf = settings.work_dir.join("peers").join(format!("{name}.log"));
        let log_file =
            File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let [program, arguments @ ..] = command else { bail!("{name} has no command") };
        let mut command = Command::new(program);
        command.args(arguments).env("PORT", address.port().to_string());
        command.stdin(Stdio::null()).stdout(log_file.try_clone()?).stderr(log_file);
        let mut peer =
            Peer { name: name.to_owned(), address, program: Background::start(&mut command)? };
        let end = Instant::now() + READY_WITHIN;
        while TcpStream::connect(address).is_err() {
            interrupt::check()?;
            if let Some(status) = peer.program.ended()? {
                bail!("{name} ended with {status}; see {}", log.display());
            }
            if Instant::now() >= end {
                bail!(
                    "{name} did not listen within {} s; see {}",
                    READY_WITHIN.as_secs(),
                    log.display()
                );
            }
            std::thread::sleep(POLL_EVERY);
        }
        Ok(peer)
    }

    /// Returns the server's key.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the address at which the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the server's process id.
    pub fn pid(&self) -> i32 {
        self.program.pid()
    }

    /// Ends the server.
    pub fn stop(mut self) -> Result<()> {
        self.program.end().with_context(|| format!("cannot end {}", self.name))
    }
}
