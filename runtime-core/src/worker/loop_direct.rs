//! The state of an event loop's direct calls: those that it makes and those that it runs.

use super::loop_calls::LoopCalls;
use super::loop_timer::LoopTimer;
use crate::ipc::desk::{Desk, DirectTimes, SEATS, Seat};
use crate::protocol::{CallNumber, Status};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// This bit is set in the numbers by which events name requests that came directly. The engine's
/// numbers count generations of calls in their upper half, from 1 on, and never set this bit.
const CAME_DIRECTLY: u64 = 1 << 63;

/// The state of direct calls that an event loop and its requests share.
pub(super) struct LoopDirect {
    pub(super) desk: Desk,
    pub(super) timer: Arc<LoopTimer>,
    calls: Mutex<LoopCalls>,
    /// One bit for each seat, set if it is taken.
    seats: Mutex<u128>,
    /// Held while calls are counted at the desk, which only one thread may do at a time.
    counting: Mutex<()>,
    last_request: AtomicU64,
}

const _: () = assert!(SEATS == u128::BITS as usize);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl LoopDirect {
    pub(super) fn new(desk: Desk) -> io::Result<LoopDirect> {
        Ok(LoopDirect {
            desk,
            timer: Arc::new(LoopTimer::new()?),
            calls: Mutex::default(),
            seats: Mutex::new(0),
            counting: Mutex::new(()),
            last_request: AtomicU64::new(CAME_DIRECTLY),
        })
    }

    /// The direct calls that are under way. This lock is taken after all others.
    pub(super) fn calls(&self) -> MutexGuard<'_, LoopCalls> {
        lock(&self.calls)
    }

    /// Takes a free seat for the handler of a call; `None` if no seat is free.
    pub(super) fn take_seat(&self, call: CallNumber) -> Option<Seat> {
        let mut taken = lock(&self.seats);
        let seat = Seat::new(taken.trailing_ones() as usize)?;
        *taken |= 1 << seat.number();
        self.desk.take(seat, call);
        Some(seat)
    }

    /// Frees a seat.
    pub(super) fn leave_seat(&self, seat: Seat) {
        let mut taken = lock(&self.seats);
        self.desk.leave(seat);
        *taken &= !(1 << seat.number());
    }

    /// The number of a new request that came directly.
    pub(super) fn new_request(&self) -> CallNumber {
        let number = self.last_request.fetch_add(1, Ordering::Relaxed) | CAME_DIRECTLY;
        CallNumber::new(number).expect("its highest bit is set")
    }

    /// Counts a direct call that has ended.
    pub(super) fn count(&self, seat: Seat, status: Status, times: DirectTimes) {
        let _counting = lock(&self.counting);
        self.desk.end(seat, status, times);
    }
}
