//! One client of a load: a kept connection, with one call at a time on it.

use crate::http::{self, Head};
use anyhow::{Context, Result, bail};
use std::io::{self, ErrorKind, Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpStream};

/// The maximum number of bytes that are kept of an unsuccessful answer's body. The errors of
/// Nightcore's engine have smaller bodies.
const MAX_KEPT_BYTES: usize = 64 * 1024;

/// The call that is made repeatedly.
#[derive(Clone, Debug)]
pub struct Call {
    pub(crate) address: SocketAddr,
    pub(crate) request: Vec<u8>,
}

impl Call {
    /// Creates a POST to this path.
    pub fn post(address: SocketAddr, path: &str, body: &[u8]) -> Call {
        Call { address, request: http::post(address, path, body) }
    }
}

/// An answer that was read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The head of the answer.
    pub head: Head,
    /// The beginning of the answer's body. It is not kept, and so is empty, if the status is 200.
    pub body: Vec<u8>,
}

/// A client with one connection.
#[derive(Debug)]
pub struct Client {
    pub(crate) stream: TcpStream,
    /// The number of bytes of the request that the connection has not taken yet.
    unsent: usize,
    /// The bytes of a head that is not complete. There are none when a head arrives in one read.
    part_of_head: Vec<u8>,
    /// The answer whose head is complete, and the number of bytes of its body that are missing.
    answer: Option<(Answer, usize)>,
}

impl Client {
    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// Fails if no connection can be made. The error can be downcast to [`std::io::Error`].
    pub fn connect(address: SocketAddr) -> Result<Client> {
        let stream = http::connect(address)?;
        stream.set_nonblocking(true)?;
        Ok(Client { stream, unsent: 0, part_of_head: Vec::new(), answer: None })
    }

    /// Begins to send a request on an idle connection. Returns false if the server has closed it.
    pub(crate) fn send(&mut self, request: &[u8]) -> bool {
        self.unsent = request.len();
        self.send_more(request).is_ok()
    }

    /// Sends as many of the unsent bytes of a request as the connection takes.
    fn send_more(&mut self, request: &[u8]) -> io::Result<()> {
        while self.unsent > 0 {
            match self.stream.write(&request[request.len() - self.unsent..]) {
                Ok(written) => self.unsent -= written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns whether a part of the request is still unsent.
    pub(crate) fn is_sending(&self) -> bool {
        self.unsent > 0
    }

    /// Sends and reads as much as possible without blocking. Returns the answer if it is complete.
    ///
    /// # Errors
    ///
    /// Fails if the connection ends before the answer does, or if the answer is not HTTP/1.1.
    pub(crate) fn proceed(&mut self, request: &[u8], buffer: &mut [u8]) -> Result<Option<Answer>> {
        if self.is_sending() && self.send_more(request).is_err() {
            // The server may have answered before it closed the connection.
            self.unsent = 0;
        }
        let got = match self.stream.read(buffer) {
            Ok(0) => bail!("the server closed a connection"),
            Ok(got) => &buffer[..got],
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error).context("cannot read an answer"),
        };
        self.receive(got)
    }

    fn receive(&mut self, got: &[u8]) -> Result<Option<Answer>> {
        let mut joined = mem::take(&mut self.part_of_head);
        let bytes = if joined.is_empty() {
            got
        } else {
            joined.extend_from_slice(got);
            &joined
        };
        let (mut answer, missing, body) = match self.answer.take() {
            Some((answer, missing)) => (answer, missing, bytes),
            None => {
                let Some(head) = http::parse_head(bytes)? else {
                    self.part_of_head = bytes.to_vec();
                    return Ok(None);
                };
                (Answer { head, body: Vec::new() }, head.body_bytes, &bytes[head.head_bytes..])
            }
        };
        let missing = missing
            .checked_sub(body.len())
            .context("the server sent more than the length it told")?;
        if answer.head.status != 200 {
            let room = MAX_KEPT_BYTES - answer.body.len();
            answer.body.extend_from_slice(&body[..body.len().min(room)]);
        }
        if missing > 0 {
            self.answer = Some((answer, missing));
            return Ok(None);
        }
        Ok(Some(answer))
    }
}
