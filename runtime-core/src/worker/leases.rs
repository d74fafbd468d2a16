//! The leases of this container: workers of other functions that it may call directly.
//!
//! The launching thread adds and ends leases as the engine says. A thread takes one for a call and
//! puts it back afterwards, so each is used by one thread at a time.

use super::direct_files::DirectFiles;
use super::memory::DirectMemory;
use crate::ipc::direct::DirectFile;
use crate::ipc::ring::{RingReader, RingWriter, this_core};
use crate::ipc::spin::Prediction;
use crate::protocol::control::{LeaseEnded, Leased};
use crate::protocol::{CallNumber, Failure, FunctionId, Status};
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// What the launching thread and the thread that uses a lease share.
#[derive(Debug)]
pub(super) struct LeaseState {
    pub(super) file: DirectFile,
    /// Set when the lease is over: how a call ends that has no answer.
    over: OnceLock<Failure>,
}

impl LeaseState {
    /// If the lease is over: how a call ends that has no answer.
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
    /// How soon answers come.
    pub(super) answers: Prediction,
    last_call: u64,
    /// An answer may still come that nobody waits for: the lease cannot be used again.
    pub(super) lost: bool,
}

impl CallerEnd {
    /// The end that came with LEASED.
    fn open(leased: &Leased, descriptors: Vec<OwnedFd>) -> io::Result<CallerEnd> {
        let files = DirectFiles::new(descriptors)?;
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
            answers: Prediction::default(),
            last_call: 0,
            lost: false,
        })
    }

    /// The number of one more call.
    pub(super) fn next_call(&mut self) -> CallNumber {
        self.last_call += 1;
        CallNumber::new(self.last_call).unwrap_or(self.lease)
    }
}

#[derive(Debug, Default)]
struct Pool {
    /// Leases that no thread uses, by the callee's name. The one that was used last comes first.
    free: HashMap<String, Vec<CallerEnd>>,
    all: HashMap<CallNumber, Arc<LeaseState>>,
}

/// The leases of this container.
#[derive(Debug, Default)]
pub(super) struct Leases {
    /// How many there are: without any, nothing is locked.
    count: AtomicUsize,
    pool: Mutex<Pool>,
}

impl Leases {
    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The engine has granted a lease. If it cannot be used, the engine takes it back when it has
    /// been idle for a while.
    pub(super) fn add(&self, leased: Leased, descriptors: Vec<OwnedFd>) {
        let Ok(end) = CallerEnd::open(&leased, descriptors) else { return };
        let mut pool = self.lock();
        pool.all.insert(leased.lease, end.state.clone());
        pool.free.entry(leased.name).or_default().push(end);
        self.count.store(pool.all.len(), Ordering::Release);
    }

    /// A lease is over. A thread that waits for an answer by it is woken.
    pub(super) fn end(&self, ended: LeaseEnded) {
        let mut pool = self.lock();
        let Some(state) = pool.all.remove(&ended.lease) else { return };
        self.count.store(pool.all.len(), Ordering::Release);
        pool.free.retain(|_, ends| {
            ends.retain(|end| end.lease != ended.lease);
            !ends.is_empty()
        });
        drop(pool);
        let status = if ended.status.ends_a_call() { ended.status } else { Status::Unavailable };
        let _ = state.over.set(Failure::new(status, ended.text));
        state.file.wake_caller();
    }

    /// The session is over: threads that wait for an answer are woken.
    pub(super) fn end_all(&self, failure: &Failure) {
        let states: Vec<_> = self.lock().all.values().cloned().collect();
        for state in states {
            let _ = state.over.set(failure.clone());
            state.file.wake_caller();
        }
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

    /// Puts a lease back.
    pub(super) fn put_back(&self, name: &str, end: CallerEnd) {
        if end.lost || end.state.file.has_ended() {
            return;
        }
        let mut pool = self.lock();
        if !pool.all.contains_key(&end.lease) {
            return;
        }
        match pool.free.get_mut(name) {
            Some(ends) => ends.push(end),
            None => drop(pool.free.insert(name.to_owned(), vec![end])),
        }
    }

    /// Puts a lease back whose callee is still at work for a caller that has left: others are taken
    /// first.
    pub(super) fn put_behind(&self, name: &str, end: CallerEnd) {
        if end.lost {
            return;
        }
        let mut pool = self.lock();
        if pool.all.contains_key(&end.lease) {
            pool.free.entry(name.to_owned()).or_default().insert(0, end);
        }
    }
}
