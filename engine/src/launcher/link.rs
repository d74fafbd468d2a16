//! The engine's link to the launcher process: starts it, sends orders and receives news.

use super::inherit::MANAGER_VARIABLES;
use super::wire::{Encoded, News, Order, encode, receive_json, send_encoded};
use crate::core::CoreHandle;
use crate::engine_log::{columns, log};
use crate::peer::pidfd_open;
use crate::tracing::may_be_traced;
use crate::transport::{FlushResult, Outbox};
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

/// The launcher process and the engine's socket to it.
pub(super) struct LauncherLink {
    pub(super) child: Child,
    pub(super) socket: Watched,
    /// The orders that wait for room in the socket.
    outbox: RefCell<Outbox<Encoded>>,
}

impl LauncherLink {
    /// Starts the launcher. Containers get this limit of open files.
    pub(super) fn spawn(directory: &Path, open_files: u64) -> io::Result<LauncherLink> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let (own, its) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
        nightcore_runtime::ipc::channel::set_nonblocking(&own)?;
        let fd = its.as_raw_fd();
        // This is the running program, even if another one is at its path by now. The engine opens
        // the link itself: under valgrind it opens as the engine's program, while executing the
        // link would run valgrind.
        let program = File::open("/proc/self/exe")?;
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.arg0("nightcore").arg("launcher").arg("--socket").arg(fd.to_string());
        command.arg("--open-files").arg(open_files.to_string());
        if may_be_traced() {
            command.arg("--trace");
        }
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

    /// Passes a pidfd of the launcher to the core.
    pub(super) fn introduce(&self, core: &CoreHandle) {
        // Without it, the deaths of containers with their launcher count as deaths of their own.
        if let Ok(pidfd) = pidfd_open(self.child.id() as i32) {
            core.borrow_mut().launcher_started(pidfd);
        }
    }

    /// Sends an order at once, or after earlier orders when the socket has room.
    ///
    /// # Errors
    ///
    /// If it cannot be encoded.
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

    /// Sends as many orders as the socket accepts.
    fn send_unsent(&self, outbox: &mut Outbox<Encoded>) -> FlushResult {
        outbox.flush(|order| match send_encoded(&self.socket, order) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                log(&format!("the launcher cannot be reached: {error}"));
                Ok(())
            }
            sent => sent,
        })
    }

    /// Sends the orders that wait for room. It never returns: the caller drops it.
    pub(super) async fn flush(&self) {
        while !self.outbox.borrow().is_empty() {
            let Ok(mut ready) = self.socket.writable().await else { break };
            if self.send_unsent(&mut self.outbox.borrow_mut()) == FlushResult::NoRoom {
                ready.clear_ready();
            }
        }
        std::future::pending().await
    }

    /// Receives the next news; `None` if the launcher is gone.
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
