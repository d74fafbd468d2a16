//! What an event loop keeps for direct calls, those that it makes and those that it runs.

use super::loop_calls::LoopCalls;
use super::loop_timer::LoopTimer;
use crate::ipc::desk::{Desk, DirectTimes, SEATS, Seat};
use crate::protocol::{CallNumber, Status};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Set in the numbers by which events name requests that came directly. The engine's numbers count
/// generations of calls in their upper half, from 1 on, and do not come that far.
const CAME_DIRECTLY: u64 = 1 << 63;

/// What an event loop and its requests share about direct calls.
pub(super) struct LoopDirect {
    pub(super) desk: Desk,
    pub(super) timer: Arc<LoopTimer>,
    calls: Mutex<LoopCalls>,
    /// The seats that are taken, a bit each.
    seats: Mutex<u128>,
    /// Held while calls are counted at the desk, which one thread at a time may do.
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

    /// The direct calls that are under way. Locked after all else.
    pub(super) fn calls(&self) -> MutexGuard<'_, LoopCalls> {
        lock(&self.calls)
    }

    /// Takes a free seat for the handler of a call; `None` if there is none.
    pub(super) fn take_seat(&self, call: CallNumber) -> Option<Seat> {
        let mut taken = lock(&self.seats);
        let seat = Seat::new(taken.trailing_ones() as usize)?;
        *taken |= 1 << seat.number();
        self.desk.take(seat, call);
        Some(seat)
    }

    /// A seat is free again.
    pub(super) fn leave_seat(&self, seat: Seat) {
        let mut taken = lock(&self.seats);
        self.desk.leave(seat);
        *taken &= !(1 << seat.number());
    }

    /// A number for one more request that came directly.
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
