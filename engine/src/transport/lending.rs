//! The engine's view of a direct channel between two containers. The engine makes its files and
//! keeps its shared words mapped, but passes no message of it.

use super::channel::Channel;
use crate::ids::{CallNumber, ContainerKey, FunctionId};
use nightcore_runtime::ipc::channel::Pipe;
use nightcore_runtime::ipc::direct::{DirectFile, DirectState, Seen};
use nightcore_runtime::ipc::region::{self, payload_bytes, units_for};
use nightcore_runtime::ipc::ring;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::limits::{BASE_UNITS, MAX_METADATA_BYTES};
use nightcore_runtime::protocol::{CancelReason, Status};
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;

/// The files of a direct channel that one of its sides gets.
pub(crate) type DirectFiles = Vec<OwnedFd>;

/// A worker that is lent to a container, and the direct channel between them.
pub struct Lending {
    file: DirectFile,
    /// The worker's channel, and its function.
    channel: Rc<Channel>,
    callee: FunctionId,
    /// The container that makes the calls.
    caller: ContainerKey,
    caller_mode: Mode,
    is_recalled: bool,
    /// Whether the caller has cancelled its call.
    is_cancelled: bool,
    /// The number of claimed calls when the engine last checked, and the time in ns since when it
    /// has not changed.
    idle: (u32, u64),
}

impl Lending {
    /// Makes a direct channel between this worker and a container. Returns it with the files for
    /// the caller and for the callee.
    ///
    /// # Errors
    ///
    /// If shared memory or a descriptor cannot be had.
    pub(crate) fn create(
        (channel, callee): (Rc<Channel>, FunctionId),
        (caller, caller_mode): (ContainerKey, Mode),
        max_body_bytes: u64,
        now: u64,
    ) -> io::Result<(Lending, [DirectFiles; 2])> {
        // A region holds the largest payload, since one call is under way at a time. It takes
        // address space only: the kernel allocates a page when it is first written.
        let largest = units_for(payload_bytes(MAX_METADATA_BYTES, max_body_bytes));
        let units = u32::try_from(largest).unwrap_or(BASE_UNITS).max(BASE_UNITS);
        let files =
            [ring::create_file()?, region::create_file(units)?, region::create_file(units)?];
        let file = DirectFile::map(&files[0])?;
        let again: io::Result<Vec<OwnedFd>> = files.iter().map(OwnedFd::try_clone).collect();
        let (mut for_caller, mut for_callee) = (Vec::from(files), again?);
        // An event loop waits at a bell. Each channel has a bell of its own, so that one peer
        // cannot keep another one from ringing.
        let (caller_bell, callee_bell) = (bell_of(caller_mode)?, bell_of(channel.mode())?);
        let give = |bell: Option<Pipe>, to: &mut DirectFiles| {
            bell.map(|bell| {
                to.push(bell.reader);
                bell.writer
            })
        };
        let rings_caller = give(caller_bell, &mut for_caller);
        let rings_callee = give(callee_bell, &mut for_callee);
        for_caller.extend(rings_callee);
        for_callee.extend(rings_caller);
        let idle = (file.claimed(), now);
        let (is_recalled, is_cancelled) = (false, false);
        let lending =
            Lending { file, channel, callee, caller, caller_mode, is_recalled, is_cancelled, idle };
        Ok((lending, [for_caller, for_callee]))
    }

    /// The channel of the lent worker.
    pub(crate) fn channel(&self) -> &Rc<Channel> {
        &self.channel
    }

    /// The function of the lent worker.
    pub(crate) fn callee(&self) -> FunctionId {
        self.callee
    }

    /// The container that makes the calls.
    pub(crate) fn caller(&self) -> ContainerKey {
        self.caller
    }

    /// Whether the worker is being taken back.
    pub(crate) fn is_recalled(&self) -> bool {
        self.is_recalled
    }

    /// Takes the worker back. No new call can begin, and the worker ends the lease after the call
    /// that is under way.
    pub(crate) fn recall(&mut self, lease: CallNumber) {
        if std::mem::replace(&mut self.is_recalled, true) {
            return;
        }
        self.file.end();
        self.channel.recall(lease);
        if self.channel.mode() == Mode::Threads {
            self.file.wake_callee();
        }
    }

    /// Notes that the caller has cancelled its call. Returns false if that was noted before.
    pub(crate) fn note_cancelled(&mut self) -> bool {
        !std::mem::replace(&mut self.is_cancelled, true)
    }

    /// The call that is under way.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.file.seen()
    }

    /// Whether a call is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.file.is_busy()
    }

    /// Cancels the direct call that was seen. A thread that waits for the call is woken; an event
    /// loop is told by the cancellation of its request. Returns false if the call has ended.
    pub(crate) fn cancel(&self, seen: Seen, reason: CancelReason) -> bool {
        let is_cancelled = self.file.cancel(seen, reason);
        if is_cancelled && self.caller_mode == Mode::Threads {
            self.file.wake_caller();
        }
        is_cancelled
    }

    /// Notes that the worker has ended the lease, perhaps without being told to. No new call can
    /// begin. A call that the worker did not take must go through the engine.
    pub(crate) fn refuse(&self) {
        self.file.close();
    }

    /// How long, in ns, the worker has been without a direct call.
    pub(crate) fn idle_ns(&mut self, now: u64) -> u64 {
        let claimed = self.file.claimed();
        if self.is_busy() || claimed != self.idle.0 {
            self.idle = (claimed, now);
        }
        now.saturating_sub(self.idle.1)
    }

    /// The status of the direct call that was lost because its worker died. `status` is that of the
    /// lease's end. Returns `None` if no call was lost. A worker that died cannot count the call
    /// itself.
    pub(crate) fn lost_call(&self, status: Status) -> Option<Status> {
        if status != Status::ContainerDied {
            return None;
        }
        match self.file.state() {
            DirectState::Called => Some(status),
            DirectState::Abandoned(reason) => Some(reason.status()),
            DirectState::Free | DirectState::Refused | DirectState::Left(_) => None,
        }
    }
}

/// Creates the pipe that wakes a side of this mode. A thread needs none.
fn bell_of(mode: Mode) -> io::Result<Option<Pipe>> {
    match mode {
        Mode::Threads => Ok(None),
        Mode::EventLoop => Pipe::without_name().map(Some),
    }
}
