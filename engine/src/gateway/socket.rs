//! Operations on a client's socket that the gateway needs besides reading and writing.

use crate::peer::Peer;
use crate::process_tree::ProcessIdentity;
use std::io;
use std::os::fd::AsFd;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A client's socket.
pub trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin + 'static {
    /// Waits until there is something to read, or the client has closed its side.
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<()>;

    /// Returns the process of the client, its parent, the parent's parent and so on; nothing if the
    /// process is on another machine or in a PID namespace that this process cannot see into.
    ///
    /// # Errors
    ///
    /// If the process has died, has too many ancestors, or `/proc` cannot be read.
    fn lineage(&self) -> io::Result<Vec<ProcessIdentity>> {
        Ok(Vec::new())
    }
}

impl Socket for TcpStream {
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(context).map(drop)
    }
}

impl Socket for UnixStream {
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_read_ready(context).map(drop)
    }

    fn lineage(&self) -> io::Result<Vec<ProcessIdentity>> {
        let peer = Peer::of(self)?;
        if peer.pid == 0 { Ok(Vec::new()) } else { peer.lineage() }
    }
}
