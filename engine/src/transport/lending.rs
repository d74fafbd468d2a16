//! A direct channel between two containers, as the engine sees it: it made the files, keeps the
//! words mapped, and passes no message.

use super::channel::Channel;
use crate::ids::{CallNumber, ContainerKey, FunctionId};
use nightcore_runtime::ipc::direct::{DirectFile, DirectState, Seen};
use nightcore_runtime::ipc::region::{self, payload_bytes, units_for};
use nightcore_runtime::ipc::ring;
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
    is_recalled: bool,
    /// How many direct calls the worker had run when it was last looked at, and since when.
    idle: (u64, u64),
}

impl Lending {
    /// Makes a direct channel between this worker and a container, and its files for both sides.
    ///
    /// # Errors
    /// If there is no shared memory, or no descriptor left.
    pub(crate) fn create(
        (channel, callee): (Rc<Channel>, FunctionId),
        caller: ContainerKey,
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
        let idle = (channel.direct_calls(), now);
        let lending = Lending { file, channel, callee, caller, is_recalled: false, idle };
        Ok((lending, [files.into(), again?]))
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
        self.file.wake_callee();
    }

    /// The call that is under way.
    pub(crate) fn seen(&self) -> Option<Seen> {
        self.file.seen()
    }

    /// Whether a call is under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.file.is_busy()
    }

    /// Cancels the direct call that was seen. The caller is told. False: it has ended.
    pub(crate) fn cancel(&self, seen: Seen, reason: CancelReason) -> bool {
        let is_cancelled = self.file.cancel(seen, reason);
        if is_cancelled {
            self.file.wake_caller();
        }
        is_cancelled
    }

    /// The worker has ended the lease: a call that it did not take is to go through the engine.
    pub(crate) fn refuse(&self) {
        self.file.refuse();
    }

    /// How long, in ns, the worker has run no direct call.
    pub(crate) fn idle_ns(&mut self, now: u64) -> u64 {
        let calls = self.channel.direct_calls();
        if self.is_busy() || calls != self.idle.0 {
            self.idle = (calls, now);
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
            DirectState::Free | DirectState::Refused => None,
        }
    }
}
