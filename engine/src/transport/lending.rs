//! A direct channel between two containers, as the engine sees it: it made the files, keeps the
//! words mapped, and passes no message.

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

/// The files of a direct channel, for one of its sides.
pub(crate) type DirectFiles = Vec<OwnedFd>;

/// A worker that is lent to a container.
pub struct Lending {
    file: DirectFile,
    /// The worker's channel, and its function.
    channel: Rc<Channel>,
    callee: FunctionId,
    /// The container that calls.
    caller: ContainerKey,
    caller_mode: Mode,
    is_recalled: bool,
    /// Whether the caller has said that it wants no answer.
    is_cancelled: bool,
    /// How many calls had been claimed when the engine looked last, and since when, ns.
    idle: (u32, u64),
}

impl Lending {
    /// Makes a direct channel between this worker and a container, and its files for both sides.
    ///
    /// # Errors
    /// If there is no shared memory, or no descriptor left.
    pub(crate) fn create(
        (channel, callee): (Rc<Channel>, FunctionId),
        (caller, caller_mode): (ContainerKey, Mode),
        max_body_bytes: u64,
        now: u64,
    ) -> io::Result<(Lending, [DirectFiles; 2])> {
        // The largest payload fits, since one is under way at a time. It is address space only:
        // pages are taken when they are first written.
        let largest = units_for(payload_bytes(MAX_METADATA_BYTES, max_body_bytes));
        let units = u32::try_from(largest).unwrap_or(BASE_UNITS).max(BASE_UNITS);
        let files =
            [ring::create_file()?, region::create_file(units)?, region::create_file(units)?];
        let file = DirectFile::map(&files[0])?;
        let again: io::Result<Vec<OwnedFd>> = files.iter().map(OwnedFd::try_clone).collect();
        let (mut for_caller, mut for_callee) = (Vec::from(files), again?);
        // An event loop has a bell, at which it waits. Each channel has its own: what one peer does
        // to a bell cannot keep another one from ringing.
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

    /// The worker's channel.
    pub(crate) fn channel(&self) -> &Rc<Channel> {
        &self.channel
    }

    /// The worker's function.
    pub(crate) fn callee(&self) -> FunctionId {
        self.callee
    }

    /// The container that calls.
    pub(crate) fn caller(&self) -> ContainerKey {
        self.caller
    }

    /// Whether it is being taken back.
    pub(crate) fn is_recalled(&self) -> bool {
        self.is_recalled
    }

    /// Takes the worker back: no call begins any more, and the worker ends the lease after the one
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

    /// Its caller wants no answer any more. False if it has said so before.
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

    /// Cancels the direct call that was seen. A thread that waits for it is woken; an event loop
    /// hears that its request is cancelled. False: it has ended.
    pub(crate) fn cancel(&self, seen: Seen, reason: CancelReason) -> bool {
        let is_cancelled = self.file.cancel(seen, reason);
        if is_cancelled && self.caller_mode == Mode::Threads {
            self.file.wake_caller();
        }
        is_cancelled
    }

    /// The worker has ended the lease, maybe without being told to: no call begins any more, and
    /// one that it did not take is to go through the engine.
    pub(crate) fn refuse(&self) {
        self.file.close();
    }

    /// How long, in ns, the worker has run no direct call.
    pub(crate) fn idle_ns(&mut self, now: u64) -> u64 {
        let claimed = self.file.claimed();
        if self.is_busy() || claimed != self.idle.0 {
            self.idle = (claimed, now);
        }
        now.saturating_sub(self.idle.1)
    }

    /// How the direct call ended that was under way when the lease ended with this status, because
    /// its worker died. Its worker can count it no more.
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

/// The pipe by which a side of this mode is woken; a thread needs none.
fn bell_of(mode: Mode) -> io::Result<Option<Pipe>> {
    match mode {
        Mode::Threads => Ok(None),
        Mode::EventLoop => Pipe::without_name().map(Some),
    }
}
