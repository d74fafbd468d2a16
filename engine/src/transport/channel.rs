//! The engine's end of one channel: named pipes, or rings with the named pipes as bells.

use super::outbox::{Outbox, empty_when_writable};
use super::outgoing::Outgoing;
use super::rings::Rings;
use crate::ids::{CallNumber, ChannelKey, ContainerKey, FunctionId};
use crate::watched::Watched;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::channel;
use nightcore_runtime::ipc::desk::Desk;
use nightcore_runtime::ipc::region::Region;
use nightcore_runtime::ipc::ring::Sent;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::desk_counts::DeskCounts;
use nightcore_runtime::protocol::limits::MAX_OUTSTANDING;
use nightcore_runtime::protocol::to_worker::{
    AnswerFailed, CancelCall, Lend, Recall, Resumed, Retire, ToWorker,
};
use nightcore_runtime::protocol::{
    Broken, CANCEL_REASON_SINCE_VERSION, CancelReason, CancelWord, Failure, InlinePayload,
    InvokeNumber, Message, MessageBuffer, WireFailure, WirePayload,
};
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::io::Interest;
use tokio::task::spawn_local;

/// Most messages that may wait for a worker that sends messages and does not read its own. It is
/// many times what the worker's calls can have under way. Without a bound, a worker that asks and
/// never reads would make the engine hold all its answers.
const MAX_UNSENT: usize = 8 * MAX_OUTSTANDING;
/// Most messages of one worker that are handled before other workers have their turn.
pub(super) const MAX_MESSAGES_A_TURN: usize = 32;

/// A worker's channel.
pub struct Channel {
    container: ContainerKey,
    /// The worker's number in its container. `None` for a caller, by which the container makes
    /// calls and runs none.
    slot: Option<u32>,
    mode: Mode,
    /// Whether the worker understands why a call was cancelled.
    knows_reasons: bool,
    state: Cell<ChannelState>,
    /// The pipe to the worker. It carries the messages, or is the worker's bell if there are rings.
    writer: Rc<OwnedFd>,
    rings: Option<Rings>,
    /// The engine's base region of the container. It holds the cancel words.
    base: Arc<Region>,
    /// Messages for which there was no room: at most a few more than [`MAX_UNSENT`].
    outbox: RefCell<Outbox<Box<[u8]>>>,
    /// Calls whose payload is still being copied for this worker.
    copying: RefCell<Vec<CallNumber>>,
    /// The functions whose names this worker knows as callers.
    told: RefCell<FunctionSet>,
    /// The worker's counts of direct calls, as they were last read.
    direct_counts: RefCell<Option<Box<DeskCounts>>>,
}

/// The state of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// The worker has not said that it is ready.
    Starting,
    /// The worker is ready. The scheduler knows it by this key.
    Ready(ChannelKey),
    /// The channel is closed: the engine reads nothing from it any more.
    Closed,
}

/// The container of a channel, and the channel's slot in it.
pub(super) struct Place {
    pub(super) container: ContainerKey,
    /// `None` for a caller.
    pub(super) slot: Option<u32>,
    pub(super) mode: Mode,
    /// The version of the protocol that the container speaks.
    pub(super) version: u16,
}

impl Channel {
    pub(super) fn new(
        place: Place,
        writer: OwnedFd,
        rings: Option<Rings>,
        base: Arc<Region>,
    ) -> Rc<Channel> {
        let Place { container, slot, mode, version } = place;
        if let Some(slot) = slot {
            base.cancel_word(slot).store(CancelWord::NONE, Ordering::Relaxed);
        }
        Rc::new(Channel {
            container,
            slot,
            mode,
            knows_reasons: version >= CANCEL_REASON_SINCE_VERSION,
            state: Cell::new(ChannelState::Starting),
            writer: Rc::new(writer),
            rings,
            base,
            outbox: RefCell::new(Outbox::new(MAX_UNSENT)),
            copying: RefCell::default(),
            told: RefCell::default(),
            direct_counts: RefCell::default(),
        })
    }

    /// The container whose worker is at the other end.
    pub(crate) fn container(&self) -> ContainerKey {
        self.container
    }

    /// The worker's number in its container; none for a caller.
    pub(super) fn slot(&self) -> Option<u32> {
        self.slot
    }

    /// Whether this is a caller: its container makes calls by it outside of any request, and runs
    /// none.
    pub(crate) fn is_caller(&self) -> bool {
        self.slot.is_none()
    }

    /// Whether its worker is a thread or an event loop.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    #[inline]
    pub(super) fn rings(&self) -> Option<&Rings> {
        self.rings.as_ref()
    }

    /// The state of the channel.
    #[inline]
    pub(crate) fn state(&self) -> ChannelState {
        self.state.get()
    }

    /// Notes that the worker is ready.
    pub(crate) fn set_ready(&self, key: ChannelKey) {
        self.state.set(ChannelState::Ready(key));
    }

    /// Closes the channel, and returns the state that it was in.
    pub(crate) fn close(&self) -> ChannelState {
        self.state.replace(ChannelState::Closed)
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.state.get() == ChannelState::Closed
    }

    // Sending.

    /// Sends a message at once if there is room, or else keeps it in the outbox, behind those that
    /// wait.
    fn send(self: &Rc<Self>, message: &MessageBuffer) {
        let bytes = message.as_bytes();
        let mut outbox = self.outbox.borrow_mut();
        if !outbox.is_empty() {
            outbox.keep(bytes.into());
            return;
        }
        match &self.rings {
            Some(rings) => {
                if self.put(rings, bytes).is_err() {
                    outbox.keep(bytes.into());
                    drop(outbox);
                    self.send_unsent();
                }
            }
            None => match channel::send(self.writer.as_fd(), bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    outbox.keep(bytes.into());
                    spawn_local(self.clone().empty_outbox());
                }
                // The message was sent, or the worker is gone. The end of its other pipe tells of
                // the latter.
                _ => {}
            },
        }
    }

    /// Puts a message into the ring.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if there is no room.
    #[inline]
    fn put(&self, rings: &Rings, bytes: &[u8]) -> io::Result<()> {
        match rings.put(bytes) {
            Sent::Seen => Ok(()),
            Sent::Ring => {
                self.ring_bell();
                Ok(())
            }
            Sent::Full => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Wakes the worker. If the pipe is full, the bytes in it wake the worker anyway.
    fn ring_bell(&self) {
        let _ = channel::send(self.writer.as_fd(), &[0]);
    }

    /// Moves messages from the outbox to the ring. If some still do not fit, the worker rings the
    /// engine's bell when there is room.
    pub(crate) fn send_unsent(&self) {
        let Some(rings) = &self.rings else { return };
        let mut outbox = self.outbox.borrow_mut();
        while !outbox.is_empty() {
            outbox.flush(|message| self.put(rings, message));
            let mut ring = rings.outgoing.borrow_mut();
            if outbox.is_empty() || ring.begin_wait() {
                return;
            }
            ring.end_wait();
        }
    }

    /// Waits for room in a full pipe and sends the messages in the outbox. If the worker is gone,
    /// they stay in the outbox until the channel is closed.
    async fn empty_outbox(self: Rc<Self>) {
        match Watched::new(self.writer.clone(), Interest::WRITABLE) {
            Ok(fd) => {
                empty_when_writable(&self.outbox, &fd, |message| {
                    channel::send(fd.as_fd(), message)
                })
                .await;
            }
            Err(_) => self.outbox.borrow_mut().clear(),
        }
    }

    /// The calls that were dispatched to this worker but have not been sent to it yet.
    pub(crate) fn not_sent(&self) -> Vec<CallNumber> {
        let outbox = self.outbox.borrow();
        let dispatched = outbox.unsent().filter_map(|bytes| {
            let (message, _) = Message::parse(bytes).ok()??;
            match ToWorker::read(&message) {
                Ok(ToWorker::Dispatch(dispatch)) => Some(dispatch.call),
                _ => None,
            }
        });
        dispatched.chain(self.copying.borrow().iter().copied()).collect()
    }

    /// Notes that the payload of this call is being copied. The call is not sent until that is
    /// done.
    pub(super) fn begin_copy(&self, call: CallNumber) {
        self.copying.borrow_mut().push(call);
    }

    /// Notes that the payload of this call has been copied.
    pub(super) fn end_copy(&self, call: CallNumber) {
        self.copying.borrow_mut().retain(|copying| *copying != call);
    }

    // Messages to the worker.

    /// Whether this worker has not been told the name of this function yet.
    #[inline]
    pub(crate) fn is_new_caller(&self, function: FunctionId) -> bool {
        !self.told.borrow().has(function)
    }

    /// Sends a message with its payload.
    #[inline]
    pub(super) fn send_outgoing(self: &Rc<Self>, message: Outgoing<'_>, payload: WirePayload<'_>) {
        self.send_telling(&message.write(payload), message.told());
    }

    /// Sends a message. If it tells the name of a function, notes that the worker knows that name
    /// now. This is noted no earlier, since other messages overtake one whose payload takes long to
    /// copy.
    pub(super) fn send_telling(
        self: &Rc<Self>,
        message: &MessageBuffer,
        function: Option<FunctionId>,
    ) {
        self.send(message);
        if let Some(function) = function {
            self.told.borrow_mut().add(function);
        }
    }

    /// Tells the worker that a call it runs is cancelled, and why. A thread polls a cancel word; an
    /// event loop gets a message.
    pub(crate) fn cancel(self: &Rc<Self>, call: CallNumber, reason: CancelReason) {
        let reason = Some(reason).filter(|_| self.knows_reasons);
        match self.mode {
            Mode::Threads => {
                let reason = reason.unwrap_or(CancelReason::Caller);
                let word = CancelWord { call, reason }.pack();
                // A caller runs no calls.
                if let Some(slot) = self.slot {
                    self.base.cancel_word(slot).store(word, Ordering::Relaxed);
                }
            }
            Mode::EventLoop => self.send(&CancelCall { call, reason, sent_at: now_ns() }.write()),
        }
    }

    /// Tells an idle worker to end.
    pub(crate) fn retire(self: &Rc<Self>) {
        self.send(&Retire { sent_at: now_ns() }.write());
    }

    /// Lends the worker: it runs the calls of this lease from now on.
    pub(crate) fn lend(self: &Rc<Self>, lease: CallNumber) {
        self.send(&Lend { call: lease }.write());
    }

    /// Tells the worker that one of its calls has a slot again.
    pub(crate) fn resume(self: &Rc<Self>, call: CallNumber) {
        self.send(&Resumed { call }.write());
    }

    /// Takes the worker back: it is told to end this lease.
    pub(super) fn recall(self: &Rc<Self>, lease: CallNumber) {
        self.send(&Recall { call: lease }.write());
    }

    // The worker's counters of direct calls.

    fn desk(&self) -> Option<&Desk> {
        self.rings.as_ref().and_then(|rings| rings.desk.as_ref())
    }

    /// Lends the slot of a call's handler, if the handler waits for a direct call. Returns false if
    /// it does not wait.
    pub(crate) fn lend_slot(&self, call: CallNumber) -> bool {
        self.desk().is_some_and(|desk| desk.lend(call))
    }

    /// Whether a call's handler waits for a direct call without having lent its slot.
    pub(crate) fn waits(&self, call: CallNumber) -> bool {
        self.desk().is_some_and(|desk| desk.waits(call))
    }

    /// The deadline, in ns, of the direct call that the worker runs under this lease. `None` if it
    /// runs none.
    pub(crate) fn runs_until(&self, lease: CallNumber) -> Option<u64> {
        self.desk().and_then(|desk| desk.runs_until(lease))
    }

    /// Returns what the worker has counted since the last call of this method. `None` if the worker
    /// has no desk.
    pub(crate) fn new_direct_counts(&self) -> Option<DeskCounts> {
        let counts = self.desk()?.counts();
        let before = self.direct_counts.borrow_mut().replace(Box::new(counts));
        Some(counts.since(before.as_deref().unwrap_or(&DeskCounts::default())))
    }

    /// Sends the failure of an internal call that got no answer.
    pub(crate) fn send_failure(
        self: &Rc<Self>,
        call: InvokeNumber,
        function: Option<FunctionId>,
        failure: &Failure,
    ) {
        let (metadata, text) = failure.encode();
        let payload = InlinePayload { metadata: metadata.as_bytes(), body: text.as_bytes() };
        let failure = WireFailure { status: failure.status, payload };
        self.send(&AnswerFailed { call, function, sent_at: now_ns(), failure }.write());
    }

    // Messages from the worker.

    /// Passes the messages in the ring to `handle`, up to [`MAX_MESSAGES_A_TURN`], and returns how
    /// many there were.
    ///
    /// # Errors
    ///
    /// The rule that the worker has broken, found here or by `handle`.
    pub(crate) fn take_from_ring(
        &self,
        mut handle: impl FnMut(&Message<'_>) -> Result<(), Broken>,
    ) -> Result<usize, Broken> {
        let Some(rings) = &self.rings else { return Ok(0) };
        let mut reader = rings.incoming.borrow_mut();
        let mut taken = 0;
        while taken < MAX_MESSAGES_A_TURN && !self.is_closed() {
            let Some(message) = reader.take()? else { break };
            self.check_unread()?;
            handle(&message)?;
            if reader.give_back() {
                self.ring_bell();
            }
            taken += 1;
        }
        Ok(taken)
    }

    /// Notes that the worker rang the engine's bell: there is a message, or room for messages that
    /// wait.
    pub(crate) fn rung(&self, now: u64) {
        self.send_unsent();
        if let Some(rings) = &self.rings {
            rings.rung(now);
        }
    }

    /// Notes that a message has come. If the engine was spinning for it, `expects_more` is asked
    /// whether the worker is to send another one.
    pub(crate) fn found(&self, expects_more: impl FnOnce() -> bool) {
        if let Some(rings) = &self.rings {
            rings.found(expects_more);
        }
    }

    /// Checks that the worker reads its messages, as a worker that sends messages must.
    ///
    /// # Errors
    ///
    /// If too many messages wait for it.
    #[inline]
    pub(super) fn check_unread(&self) -> Result<(), Broken> {
        match self.outbox.borrow().overfull() {
            None => Ok(()),
            Some(unread) => Err(Broken::Unread(unread)),
        }
    }
}

/// A set of functions, with one bit for each.
#[derive(Debug, Default)]
struct FunctionSet(Vec<u64>);

impl FunctionSet {
    /// The index of the word that holds a function's bit, and that bit.
    #[inline]
    fn place(function: FunctionId) -> (usize, u64) {
        let number = function.number();
        (number as usize / 64, 1 << (number % 64))
    }

    #[inline]
    fn has(&self, function: FunctionId) -> bool {
        let (word, bit) = FunctionSet::place(function);
        self.0.get(word).is_some_and(|told| told & bit != 0)
    }

    fn add(&mut self, function: FunctionId) {
        let (word, bit) = FunctionSet::place(function);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= bit;
    }
}
