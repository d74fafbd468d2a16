//! The leases of this container: workers of other functions that it may call directly.
//!
//! The launching thread adds and ends leases when the engine says so. A thread takes a lease for a
//! call and puts it back afterwards, so each lease is used by one thread at a time.

use super::direct_files::DirectFiles;
use super::loop_bell::LoopBell;
use super::memory::DirectMemory;
use super::peer::Peer;
use crate::ipc::direct::{DirectFile, DirectState};
use crate::ipc::ring::{RingReader, RingWriter, this_core};
use crate::ipc::spin::Prediction;
use crate::protocol::control::{LeaseEnded, Leased, Mode};
use crate::protocol::{CallNumber, Failure, FunctionId, Status};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// The state that the launching thread and the thread that uses a lease share.
#[derive(Debug)]
pub(super) struct LeaseState {
    pub(super) file: DirectFile,
    /// Set when the lease is over: the failure for calls that have no answer yet.
    over: OnceLock<Failure>,
}

impl LeaseState {
    fn end(&self, failure: Failure, mode: Mode) {
        let _ = self.over.set(failure);
        if mode == Mode::Threads {
            self.file.wake_caller();
        }
    }

    /// Returns the failure for calls that have no answer yet, if the lease is over.
    pub(super) fn over(&self) -> Option<&Failure> {
        self.over.get()
    }
}

/// The caller's end of a direct channel.
#[derive(Debug)]
pub(super) struct CallerEnd {
    pub(super) state: Arc<LeaseState>,
    pub(super) lease: CallNumber,
    pub(super) callee: FunctionId,
    pub(super) timeout_ns: u64,
    pub(super) max_depth: u32,
    pub(super) writer: RingWriter,
    pub(super) reader: RingReader,
    pub(super) memory: DirectMemory,
    /// The side of the callee.
    pub(super) peer: Peer,
    /// The bell at which an event loop waits for answers.
    pub(super) bell: Option<LoopBell>,
    /// Predicts how soon answers come.
    pub(super) answers: Prediction,
    last_call: u64,
    /// Whether an answer may still come that nobody waits for. The lease cannot be used again then.
    pub(super) lost: bool,
}

impl CallerEnd {
    /// Opens the caller's end, which the engine sent with the message LEASED.
    fn open(leased: &Leased, descriptors: Vec<OwnedFd>, mode: Mode) -> io::Result<CallerEnd> {
        let files = DirectFiles::new(descriptors, mode)?;
        let file = DirectFile::map(&files.channel)?;
        let (writer, reader) = file.caller_ends();
        Ok(CallerEnd {
            state: Arc::new(LeaseState { file, over: OnceLock::new() }),
            lease: leased.lease,
            callee: leased.callee,
            timeout_ns: u64::try_from(leased.timeout.as_nanos()).unwrap_or(u64::MAX),
            max_depth: u32::from(leased.max_depth),
            writer,
            reader,
            memory: DirectMemory::of_caller(&files)?,
            peer: files.peer,
            bell: files.bell,
            answers: Prediction::default(),
            last_call: 0,
            lost: false,
        })
    }

    /// Returns the number of a new call.
    pub(super) fn next_call(&mut self) -> CallNumber {
        self.last_call += 1;
        CallNumber::new(self.last_call).unwrap_or(self.lease)
    }
}

#[derive(Debug, Default)]
struct Pool {
    /// The leases that no thread uses, by the callee's name. The one at the end is taken first.
    free: HashMap<String, Vec<CallerEnd>>,
    all: HashMap<CallNumber, Arc<LeaseState>>,
}

/// The leases of this container.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// How many leases there are. If there are none, nothing is locked.
    count: AtomicUsize,
    pool: Mutex<Pool>,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a lease that the engine has granted. If it cannot be used, nothing is added, and the
    /// engine takes the lease back when it has been idle for a while.
    pub(super) fn add(&self, leased: Leased, descriptors: Vec<OwnedFd>, mode: Mode) {
        let Ok(end) = CallerEnd::open(&leased, descriptors, mode) else { return };
        let mut pool = self.lock();
        pool.all.insert(leased.lease, end.state.clone());
        pool.free.entry(leased.name).or_default().push(end);
        self.count.store(pool.all.len(), Ordering::Release);
    }

    /// Ends a lease. A thread that waits for an answer by it is woken. An event loop finds out by
    /// itself.
    pub(super) fn end(&self, ended: LeaseEnded, mode: Mode) {
        let mut pool = self.lock();
        let Some(state) = pool.all.remove(&ended.lease) else { return };
        self.count.store(pool.all.len(), Ordering::Release);
        pool.free.retain(|_, ends| {
            ends.retain(|end| end.lease != ended.lease);
            !ends.is_empty()
        });
        drop(pool);
        let status = if ended.status.ends_a_call() { ended.status } else { Status::Unavailable };
        state.end(Failure::new(status, ended.text), mode);
    }

    /// Ends all leases, as the session is over. Threads that wait for an answer are woken.
    pub(super) fn end_all(&self, failure: &Failure, mode: Mode) {
        let states: Vec<_> = self.lock().all.values().cloned().collect();
        states.iter().for_each(|state| state.end(failure.clone(), mode));
    }

    /// Takes a lease of this function that no thread uses.
    #[inline]
    pub(super) fn take(&self, name: &str) -> Option<CallerEnd> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut pool = self.lock();
        let ends = pool.free.get_mut(name)?;
        let here = this_core();
        let near = ends.iter().rposition(|end| end.state.file.is_home(here));
        let at = near.or(ends.len().checked_sub(1))?;
        Some(ends.remove(at))
    }

    /// Puts a lease back after a call, which has ended for its caller. If the callee is still at
    /// work, other leases are taken before this one.
    pub(super) fn done(&self, name: &str, end: CallerEnd) {
        let is_free = end.state.file.state() == DirectState::Free;
        if end.lost || !end.state.file.is_busy() && end.state.file.has_ended() {
            return;
        }
        let mut pool = self.lock();
        if !pool.all.contains_key(&end.lease) {
            return;
        }
        let ends = match pool.free.get_mut(name) {
            Some(ends) => ends,
            None => pool.free.entry(name.to_owned()).or_default(),
        };
        let at = if is_free { ends.len() } else { 0 };
        ends.insert(at, end);
    }
}
