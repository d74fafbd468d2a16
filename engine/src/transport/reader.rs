//! The reading end of a channel's pipe. The pipe carries messages, or is the bell of a ring.

use super::channel::{Channel, MAX_MESSAGES_A_TURN};
use crate::watched::Watched;
use nightcore_runtime::ipc::inbox::{Filled, Inbox};
use nightcore_runtime::protocol::{Broken, Message};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use tokio::io::Interest;

/// An inbox that no channel uses now. An idle channel holds no inbox, so it needs no buffer.
#[derive(Default)]
pub(super) struct SpareInbox(Cell<Option<Inbox>>);

/// The reading end of a channel.
pub struct Reader {
    channel: Rc<Channel>,
    fd: Watched,
    /// Bytes that were read and not taken yet.
    inbox: Option<Inbox>,
    /// Where to look for more messages in the next turn.
    more: More,
    spare: Rc<SpareInbox>,
}

/// Where a worker may have more messages. Other workers have their turn first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum More {
    /// Nothing is known of more messages.
    None,
    /// There may be more in the pipe.
    InPipe,
    /// There may be whole messages in the inbox.
    InInbox,
}

/// An event on a worker's channel.
#[derive(Debug)]
pub enum ReaderEvent {
    /// Bytes came by the pipe: call [`Reader::take`].
    Bytes,
    /// The bell was rung: call [`Channel::rung`] and [`Channel::take_from_ring`].
    Bell,
    /// The channel has ended.
    End(CloseReason),
}

/// Why a channel has ended.
#[derive(Debug)]
pub enum CloseReason {
    /// The worker closed its end.
    Closed,
    /// The worker broke a rule.
    Broken(Broken),
}

impl Reader {
    pub(super) fn new(
        channel: Rc<Channel>,
        fd: OwnedFd,
        spare: Rc<SpareInbox>,
    ) -> io::Result<Reader> {
        let fd = Watched::new(fd, Interest::READABLE)?;
        Ok(Reader { channel, fd, inbox: None, more: More::None, spare })
    }

    /// The channel.
    pub(crate) fn channel(&self) -> &Rc<Channel> {
        &self.channel
    }

    /// Waits for the next event of the worker; `None` once the engine has closed the channel.
    pub(crate) async fn next(&mut self) -> Option<ReaderEvent> {
        let more = std::mem::replace(&mut self.more, More::None);
        if more != More::None {
            tokio::task::yield_now().await;
            if self.channel.is_closed() {
                return None;
            }
        }
        if more == More::InInbox {
            return Some(ReaderEvent::Bytes);
        }
        match self.channel.rings() {
            Some(_) => self.next_bell().await,
            None => self.next_bytes().await,
        }
    }

    async fn next_bytes(&mut self) -> Option<ReaderEvent> {
        loop {
            let mut ready = self.fd.readable().await.ok()?;
            if self.channel.is_closed() {
                return None;
            }
            let spare = || self.spare.0.take().unwrap_or_default();
            let inbox = self.inbox.get_or_insert_with(spare);
            let ending = match inbox.fill(self.fd.as_fd()) {
                Ok(Filled::Bytes { drained }) => {
                    // Fewer bytes came than were asked for, so the pipe was empty, and the next
                    // message makes epoll report it again.
                    if drained {
                        ready.clear_ready();
                    } else {
                        self.more = More::InPipe;
                    }
                    return Some(ReaderEvent::Bytes);
                }
                Ok(Filled::End) if inbox.is_empty() => Some(CloseReason::Closed),
                Ok(Filled::End) => Some(CloseReason::Broken(Broken::Truncated)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    None
                }
                Err(_) => Some(CloseReason::Closed),
            };
            self.put_by();
            if let Some(ending) = ending {
                return Some(ReaderEvent::End(ending));
            }
        }
    }

    /// Waits for the bell. The values of its bytes do not matter.
    async fn next_bell(&mut self) -> Option<ReaderEvent> {
        let mut bytes = [0; 64];
        loop {
            let mut ready = self.fd.readable().await.ok()?;
            if self.channel.is_closed() {
                return None;
            }
            match nix::unistd::read(&self.fd, &mut bytes) {
                Ok(0) => return Some(ReaderEvent::End(CloseReason::Closed)),
                Ok(read) => {
                    if read < bytes.len() {
                        ready.clear_ready();
                    } else {
                        self.more = More::InPipe;
                    }
                    return Some(ReaderEvent::Bell);
                }
                Err(nix::Error::EAGAIN) => ready.clear_ready(),
                Err(nix::Error::EINTR) => {}
                Err(_) => return Some(ReaderEvent::End(CloseReason::Closed)),
            }
        }
    }

    /// Passes complete messages that were read to `handle`, up to [`MAX_MESSAGES_A_TURN`].
    ///
    /// # Errors
    ///
    /// The rule that the worker has broken, found here or by `handle`.
    pub(crate) fn take(
        &mut self,
        mut handle: impl FnMut(&Rc<Channel>, &Message<'_>) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        let Some(inbox) = &mut self.inbox else { return Ok(()) };
        let mut result = Ok(());
        let mut taken = 0;
        while result.is_ok() {
            if taken == MAX_MESSAGES_A_TURN {
                self.more = More::InInbox;
                break;
            }
            taken += 1;
            result = match inbox.take() {
                Ok(Some(message)) => {
                    self.channel.check_unread().and_then(|()| handle(&self.channel, &message))
                }
                Ok(None) => break,
                Err(broken) => Err(broken),
            };
        }
        self.put_by();
        result
    }

    /// Puts the inbox aside for any channel to use, unless a part of a message is in it.
    fn put_by(&mut self) {
        if self.inbox.as_ref().is_some_and(Inbox::is_empty) {
            self.spare.0.set(self.inbox.take());
        }
    }
}
