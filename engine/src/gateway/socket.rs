//! Operations on a client's socket that the gateway needs besides reading and writing.

use std::os::fd::AsFd;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// A client's socket.
pub trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin + 'static {
    /// Waits until there is something to read, or the client has closed its side.
    fn poll_event(&self, context: &mut Context<'_>) -> Poll<()>;
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
}
