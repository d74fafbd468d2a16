//! A worker's channel of either kind, and the control socket beside it, for mistakes that are the
//! same on both kinds.

use crate::raw::{self, Kind, RawHeader, RawMessage};
use crate::ring::Ring;
use nightcore_runtime::ipc::channel::{self, set_blocking};
use nightcore_runtime::ipc::inbox::{Filled, Inbox};
use std::os::fd::{AsFd, OwnedFd};

/// A channel of either kind.
pub enum Channel {
    Fifo { reader: OwnedFd, writer: OwnedFd, inbox: Inbox },
    Ring(Ring),
}

impl Channel {
    /// Creates the channel from the descriptors of CREATE_WORKER.
    pub fn new(descriptors: Vec<OwnedFd>) -> crate::Result<Channel> {
        if descriptors.len() == 3 {
            return Ok(Channel::Ring(Ring::new(descriptors)?));
        }
        let [reader, writer] =
            <[OwnedFd; 2]>::try_from(descriptors).map_err(|_| "no pipes came")?;
        set_blocking(&reader)?;
        set_blocking(&writer)?;
        Ok(Channel::Fifo { reader, writer, inbox: Inbox::default() })
    }

    /// Sends bytes, which need not be a message. Waits until there is room for them.
    pub fn send(&mut self, bytes: &[u8]) {
        match self {
            // If the engine has closed its end, no further mistake is possible.
            Channel::Fifo { writer, .. } => drop(channel::send(writer.as_fd(), bytes)),
            Channel::Ring(ring) => ring.send(bytes),
        }
    }

    pub fn send_header(&mut self, header: RawHeader) {
        self.send(RawMessage::new(header, b"", &[]).as_bytes());
    }

    /// Waits for the next call, and returns its number.
    pub fn next_call(&mut self) -> crate::Result<u64> {
        let (kind, call) = self.next_message()?;
        if kind == Kind::Dispatch {
            Ok(call)
        } else {
            Err(format!("{kind:?} came instead of a call").into())
        }
    }

    /// Waits for the next message. Returns the number of its call if the message is of this kind.
    pub fn next_of(&mut self, wanted: Kind) -> crate::Result<Option<u64>> {
        let (kind, call) = self.next_message()?;
        Ok((kind == wanted).then_some(call))
    }

    /// Waits for the next message. Returns its kind and the number of its call.
    pub fn next_message(&mut self) -> crate::Result<(Kind, u64)> {
        Ok(match self {
            Channel::Ring(ring) => {
                let (kind, header, _) = ring.receive()?;
                ring.give_back();
                (kind, header.call)
            }
            Channel::Fifo { reader, inbox, .. } => loop {
                if let Some(message) = inbox.take()? {
                    let message = raw::read(message.as_bytes());
                    break (message.kind, message.header.call);
                }
                if inbox.fill(reader.as_fd())? == Filled::End {
                    return Err("the engine closed the channel".into());
                }
            },
        })
    }
}
