//! The launcher process as the engine holds it: how it is started, told and heard.

use super::inherit::MANAGER_VARIABLES;
use super::wire::{Encoded, News, Order, encode, receive_json, send_encoded};
use crate::core::CoreHandle;
use crate::engine_log::{columns, log};
use crate::transport::{FlushResult, Outbox, pidfd_open};
use crate::watched::Watched;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use tokio::io::Interest;

/// The launcher process, as the engine holds it.
pub(super) struct LauncherLink {
    pub(super) child: Child,
    pub(super) socket: Watched,
    /// Orders that the full socket did not take.
    outbox: RefCell<Outbox<Encoded>>,
}

impl LauncherLink {
    /// Starts the launcher. Containers get this limit of open files.
    pub(super) fn spawn(directory: &Path, open_files: u64) -> io::Result<LauncherLink> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (own, its) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        nightcore_runtime::ipc::channel::set_nonblocking(&own)?;
        let fd = its.as_raw_fd();
        // The running program, also when another one lies at its path by now. It is opened here:
        // under valgrind that opens the engine, while the link itself, as a program to run, is
        // valgrind.
        let program = File::open("/proc/self/exe")?;
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.arg0("nightcore").arg("launcher").arg("--socket").arg(fd.to_string());
        command.arg("--open-files").arg(open_files.to_string());
        if let Some(columns) = columns() {
            command.arg("--columns").arg(columns.name_width().to_string());
        }
        command.arg(directory);
        for name in MANAGER_VARIABLES {
            command.env_remove(name);
        }
        // SAFETY: fcntl is async-signal-safe; the descriptor is open in the child until it is
        // passed on by exec.
        unsafe {
            command.pre_exec(move || {
                if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let child = command.process_group(0).spawn()?;
        let socket = Watched::new(own, Interest::READABLE | Interest::WRITABLE)?;
        Ok(LauncherLink { child, socket, outbox: RefCell::new(Outbox::unbounded()) })
    }

    /// Tells the core which process this is.
    pub(super) fn introduce(&self, core: &CoreHandle) {
        // Without it, deaths of containers with their launcher count as deaths of their own.
        if let Ok(pidfd) = pidfd_open(self.child.id() as i32) {
            core.borrow_mut().launcher_started(pidfd);
        }
    }

    /// Sends an order now, or in its turn when the socket has room.
    ///
    /// # Errors
    /// If it cannot be sent, now or later.
    pub(super) fn order(&self, order: &Order) -> io::Result<()> {
        let order = encode(order)?;
        let mut outbox = self.outbox.borrow_mut();
        let waits = !outbox.is_empty();
        outbox.keep(order);
        if !waits {
            self.send_unsent(&mut outbox);
        }
        Ok(())
    }

    /// Sends what the socket takes.
    fn send_unsent(&self, outbox: &mut Outbox<Encoded>) -> FlushResult {
        outbox.flush(|order| match send_encoded(&self.socket, order) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                log(&format!("the launcher cannot be reached: {error}"));
                Ok(())
            }
            sent => sent,
        })
    }

    /// Sends what waits for room; never ends, so that others decide when to go on.
    pub(super) async fn flush(&self) {
        while !self.outbox.borrow().is_empty() {
            let Ok(mut ready) = self.socket.writable().await else { break };
            if self.send_unsent(&mut self.outbox.borrow_mut()) == FlushResult::NoRoom {
                ready.clear_ready();
            }
        }
        std::future::pending().await
    }

    /// The next news; `None` when the launcher is gone.
    pub(super) async fn news(&self) -> Option<News> {
        loop {
            let mut ready = self.socket.readable().await.ok()?;
            match receive_json(&self.socket) {
                Ok(news) => return news,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready.clear_ready(),
                Err(error) => {
                    log(&format!("cannot understand the launcher: {error}"));
                    return None;
                }
            }
        }
    }
}
