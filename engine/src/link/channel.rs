//! The engine's end of one channel: named pipes, or rings with the named pipes as bells.

use super::hub::HubHandle;
use crate::dispatch::{CallId, ChannelKey, ContainerKey, FunctionId};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::channel::{self, Pipe};
use nightcore_runtime::ipc::inbox::{Filled, Inbox};
use nightcore_runtime::ipc::look::Patience;
use nightcore_runtime::ipc::region::Region;
use nightcore_runtime::ipc::ring::{self, RingReader, RingWriter, Sent, Side};
use nightcore_runtime::protocol::control::{ChannelKind, Mode};
use nightcore_runtime::protocol::limits::MAX_OUTSTANDING;
use nightcore_runtime::protocol::{Broken, Failure, Header, Kind, Message, MessageBuffer};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::spawn_local;

/// Most messages that may wait for a worker which goes on talking and does not read: many times what its calls can have under
/// way. Without a bound a worker that asks and never reads would make the engine hold all its answers.
const MAX_UNSENT: usize = 8 * MAX_OUTSTANDING;

/// A worker's channel.
pub(super) struct Channel {
    pub(super) container: ContainerKey,
    pub(super) slot: u32,
    pub(super) mode: Mode,
    /// Messages go by it, or it is the worker's bell.
    writer: OwnedFd,
    pub(super) rings: Option<Rings>,
    /// The engine's base region of the container, with the cancel words.
    base: Arc<Region>,
    /// The dispatcher's name for it, once the worker is ready.
    pub(super) key: Cell<Option<ChannelKey>>,
    /// Messages that the full pipe did not take, in order; at most some more than [`MAX_UNSENT`].
    unsent: RefCell<VecDeque<Box<[u8]>>>,
    /// Calls whose payload is still being copied for this worker.
    pub(super) copying: RefCell<Vec<CallId>>,
    /// Which functions' names this worker knows as callers, a bit each.
    told: RefCell<Vec<u64>>,
    pub(super) retiring: Cell<bool>,
    pub(super) closed: Cell<bool>,
}

/// A channel that was just made: what is the worker's is still to be sent to it.
pub(super) struct Ends {
    pub(super) to_worker: Pipe,
    pub(super) from_worker: Pipe,
    /// The engine's ends of the rings, and their file.
    pub(super) rings: Option<(Rings, OwnedFd)>,
}

impl Ends {
    /// Makes the pipes in `directory`, with names of this number for a moment.
    pub(super) fn create(directory: &Path, number: u64, kind: ChannelKind) -> io::Result<Ends> {
        let pipe =
            |direction: &str| Pipe::create(&directory.join(format!("pipe-{number}-{direction}")));
        let (to_worker, from_worker) = (pipe("in")?, pipe("out")?);
        let rings = match kind {
            ChannelKind::Fifo => None,
            ChannelKind::Ring => {
                let file = ring::create_file()?;
                Some((Rings::new(ring::open(&file, Side::Engine)?), file))
            }
        };
        Ok(Ends { to_worker, from_worker, rings })
    }
}

/// The engine's ends of a channel's rings, and whether it looks at the one that it reads.
pub(super) struct Rings {
    outgoing: RefCell<RingWriter>,
    pub(super) incoming: RefCell<RingReader>,
    /// It is looked at: the worker need not ring.
    pub(super) looked_at: Cell<bool>,
    /// How much longer its next message is looked for, ns; 0: none is expected.
    pub(super) look_for_ns: Cell<u64>,
    pub(super) patience: RefCell<Patience>,
    /// Since when a message is expected that is not looked for, ns; 0: none is.
    pub(super) asleep_since: Cell<u64>,
}

impl Rings {
    /// Nobody looks at it yet, so the worker is to ring.
    pub(super) fn new((outgoing, incoming): (RingWriter, RingReader)) -> Rings {
        incoming.begin_wait();
        Rings {
            outgoing: RefCell::new(outgoing),
            incoming: RefCell::new(incoming),
            looked_at: Cell::new(false),
            look_for_ns: Cell::new(0),
            patience: RefCell::default(),
            asleep_since: Cell::new(0),
        }
    }
}

/// The writing end, for as long as a task waits for room in it.
struct Writer(Rc<Channel>);

impl AsRawFd for Writer {
    fn as_raw_fd(&self) -> RawFd {
        self.0.writer.as_raw_fd()
    }
}

impl Channel {
    pub(super) fn new(
        container: ContainerKey,
        slot: u32,
        mode: Mode,
        writer: OwnedFd,
        rings: Option<Rings>,
        base: Arc<Region>,
    ) -> Rc<Channel> {
        base.cancel_word(slot).store(0, Ordering::Relaxed);
        Rc::new(Channel {
            container,
            slot,
            mode,
            writer,
            rings,
            base,
            key: Cell::new(None),
            unsent: RefCell::default(),
            copying: RefCell::default(),
            told: RefCell::default(),
            retiring: Cell::new(false),
            closed: Cell::new(false),
        })
    }

    /// Sends a message now, or in its turn when there is room.
    pub(super) fn send(self: &Rc<Self>, message: &MessageBuffer) {
        let bytes = message.as_bytes();
        let mut unsent = self.unsent.borrow_mut();
        if !unsent.is_empty() {
            unsent.push_back(bytes.into());
            return;
        }
        match &self.rings {
            Some(rings) => {
                if !self.put(&mut rings.outgoing.borrow_mut(), bytes) {
                    unsent.push_back(bytes.into());
                    drop(unsent);
                    self.send_unsent();
                }
            }
            None => match channel::send(self.writer.as_fd(), bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    unsent.push_back(bytes.into());
                    spawn_local(flush(self.clone()));
                }
                // Sent; or the worker is gone, which its end of the other pipe tells.
                _ => {}
            },
        }
    }

    /// Puts a message into the ring; false if there is no room.
    fn put(&self, ring: &mut RingWriter, bytes: &[u8]) -> bool {
        match ring.send(bytes) {
            Sent::Seen => true,
            Sent::Ring => {
                self.ring_bell();
                true
            }
            Sent::Full => false,
        }
    }

    /// Wakes the worker. A full pipe wakes it anyway.
    pub(super) fn ring_bell(&self) {
        let _ = channel::send(self.writer.as_fd(), &[0]);
    }

    /// Puts into the ring what there was no room for. If there still is none the worker rings when there is.
    pub(super) fn send_unsent(&self) {
        let Some(rings) = &self.rings else { return };
        let mut unsent = self.unsent.borrow_mut();
        let mut ring = rings.outgoing.borrow_mut();
        while let Some(message) = unsent.front() {
            if self.put(&mut ring, message) {
                unsent.pop_front();
            } else if ring.begin_wait() {
                return;
            } else {
                ring.end_wait();
            }
        }
    }

    /// Calls that were dispatched to this worker, and that it was not even sent.
    pub(super) fn not_sent(&self) -> Vec<CallId> {
        let unsent = self.unsent.borrow();
        let messages = unsent.iter().filter_map(|bytes| Message::parse(bytes).ok()?);
        let dispatched = messages.filter(|(message, _)| message.kind == Kind::Dispatch);
        let dispatched = dispatched.map(|(message, _)| message.header.call);
        dispatched.chain(self.copying.borrow().iter().copied()).collect()
    }

    /// A worker that says something has to read as well.
    pub(super) fn check_unread(&self) -> Result<(), Broken> {
        match self.unsent.borrow().len() {
            0..=MAX_UNSENT => Ok(()),
            unread => Err(Broken::Unread(unread)),
        }
    }

    /// Whether this worker must still be told the name of this function.
    pub(super) fn is_new_caller(&self, function: FunctionId) -> bool {
        let (word, bit) = (function as usize / 64, 1 << (function % 64));
        self.told.borrow().get(word).is_none_or(|told| told & bit == 0)
    }

    /// Sends a message, and notes that this worker knows the caller's name if that is in it. Not before: a message whose payload
    /// takes long to copy is overtaken by others.
    pub(super) fn send_named(self: &Rc<Self>, header: Header, name: &[u8], parts: &[&[u8]]) {
        self.send(&MessageBuffer::new(header, name, parts));
        if name.is_empty() {
            return;
        }
        let mut told = self.told.borrow_mut();
        let (word, bit) = (header.function as usize / 64, 1 << (header.function % 64));
        if told.len() <= word {
            told.resize(word + 1, 0);
        }
        told[word] |= bit;
    }

    /// Tells the worker that a call it runs is cancelled: a thread by a word it looks at, an event loop by a message.
    pub(super) fn cancel(self: &Rc<Self>, call: CallId) {
        match self.mode {
            Mode::Threads => self.base.cancel_word(self.slot).store(call, Ordering::Relaxed),
            Mode::EventLoop => {
                let header = Header { sent_at: now_ns(), ..Header::new(Kind::Cancel, call) };
                self.send(&MessageBuffer::new(header, b"", &[]));
            }
        }
    }

    /// Tells an idle worker to end.
    pub(super) fn retire(self: &Rc<Self>) {
        self.retiring.set(true);
        let header = Header { sent_at: now_ns(), ..Header::new(Kind::Retire, 0) };
        self.send(&MessageBuffer::new(header, b"", &[]));
    }

    /// Sends the end of an internal call that got no answer.
    pub(super) fn send_failure(
        self: &Rc<Self>,
        tag: u64,
        function: Option<FunctionId>,
        failure: &Failure,
    ) {
        let (metadata, text) = failure.encode();
        let header = Header {
            status: failure.status.number(),
            function: function.unwrap_or(0),
            metadata_len: metadata.as_bytes().len() as u32,
            body_len: text.len() as u64,
            sent_at: now_ns(),
            ..Header::new(Kind::Failed, tag)
        };
        self.send(&MessageBuffer::new(header, b"", &[metadata.as_bytes(), text.as_bytes()]));
    }
}

/// Waits for room in a full pipe and sends what is due.
async fn flush(channel: Rc<Channel>) {
    // SAFETY: `Writer` keeps the channel, and so its descriptor, open for as long as it is registered, and always
    // names the same one.
    let registered =
        unsafe { AsyncFd::register_with_interest(Writer(channel.clone()), Interest::WRITABLE) };
    let Ok(fd) = registered else {
        channel.unsent.borrow_mut().clear();
        return;
    };
    loop {
        let Ok(mut ready) = fd.writable().await else { return };
        let mut unsent = channel.unsent.borrow_mut();
        while let Some(message) = unsent.front() {
            match channel::send(channel.writer.as_fd(), message) {
                Ok(()) => drop(unsent.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // The worker is gone: what it was not sent is looked at when its channel is closed.
                Err(_) => return,
            }
        }
        if unsent.is_empty() {
            return;
        }
        ready.clear_ready();
    }
}

/// Why reading a channel ended.
pub(super) enum Ending {
    /// The worker closed its end.
    Closed,
    /// The worker broke a rule.
    Broken(Broken),
}

/// Reads a channel until it ends.
pub(super) async fn read(hub: HubHandle, channel: Rc<Channel>, reader: OwnedFd) {
    // SAFETY: an OwnedFd is open as long as it lives, always the same, and the AsyncFd owns it.
    let Ok(fd) = (unsafe { AsyncFd::register_with_interest(reader, Interest::READABLE) }) else {
        return;
    };
    let ending = match channel.rings {
        Some(_) => read_bell(&hub, &channel, &fd).await,
        None => read_pipe(&hub, &channel, &fd).await,
    };
    if let Some(ending) = ending {
        hub.borrow_mut().channel_ended(&channel, ending);
    }
}

/// Reads messages from a pipe. No ending: the channel was closed by the engine.
async fn read_pipe(
    hub: &HubHandle,
    channel: &Rc<Channel>,
    fd: &AsyncFd<OwnedFd>,
) -> Option<Ending> {
    // Kept only while a part of a message is in it, so that an idle channel costs no buffer.
    let mut kept: Option<Inbox> = None;
    loop {
        let mut ready = poll_fn(|context| fd.poll_read_ready(context)).await.ok()?;
        if channel.closed.get() {
            return None;
        }
        let mut inbox = kept.take().unwrap_or_else(|| hub.borrow_mut().spare_inbox());
        let filled = inbox.fill(fd.get_ref().as_fd());
        let ending = match filled {
            Ok(Filled::Bytes { drained }) => {
                // Fewer bytes than asked for: the pipe was empty, and the next message gives a new edge.
                if drained {
                    ready.clear_ready();
                }
                hub.borrow_mut().take_messages(channel, &mut inbox).err().map(Ending::Broken)
            }
            Ok(Filled::End) if inbox.is_empty() => Some(Ending::Closed),
            Ok(Filled::End) => Some(Ending::Broken(Broken::Truncated)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                ready.clear_ready();
                None
            }
            Err(_) => Some(Ending::Closed),
        };
        if inbox.is_empty() {
            hub.borrow_mut().keep_inbox(inbox);
        } else {
            kept = Some(inbox);
        }
        if ending.is_some() {
            return ending;
        }
    }
}

/// Hears a ring's bell. What its bytes are does not matter.
async fn read_bell(
    hub: &HubHandle,
    channel: &Rc<Channel>,
    fd: &AsyncFd<OwnedFd>,
) -> Option<Ending> {
    let mut bytes = [0; 64];
    loop {
        let mut ready = poll_fn(|context| fd.poll_read_ready(context)).await.ok()?;
        if channel.closed.get() {
            return None;
        }
        match nix::unistd::read(fd, &mut bytes) {
            Ok(0) => return Some(Ending::Closed),
            Ok(read) => {
                if read < bytes.len() {
                    ready.clear_ready();
                }
                if let Err(broken) = hub.borrow_mut().rung(channel) {
                    return Some(Ending::Broken(broken));
                }
            }
            Err(nix::Error::EAGAIN) => ready.clear_ready(),
            Err(nix::Error::EINTR) => {}
            Err(_) => return Some(Ending::Closed),
        }
    }
}
