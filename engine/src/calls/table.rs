//! All calls under way, by number.

use super::call::Call;
use super::load::{FunctionLoad, Loads};
use super::new_call::{NewCall, NewLease};
use crate::ids::CallNumber;
use slab::Slab;

/// The low bits of a number, which are the call's place in the table. The bits above them are the
/// generation of that place, so that a number is not reused for 2^31 calls.
const PLACE_BITS: u32 = 32;
/// Generations count from 1 to this number, and then start again. The highest bit of a number is
/// always clear: a cancel word keeps the reason there.
const MAX_GENERATION: u32 = u32::MAX >> 1;

/// All calls under way.
#[derive(Debug)]
pub struct CallTable<P, R> {
    slots: Slab<Call<P, R>>,
    generation: u32,
}

impl<P, R> Default for CallTable<P, R> {
    fn default() -> Self {
        CallTable { slots: Slab::new(), generation: 0 }
    }
}

fn place(id: CallNumber) -> usize {
    (id.number() & u64::from(u32::MAX)) as usize
}

impl<P, R> CallTable<P, R> {
    /// Puts a call into its function's queue, and gives it a number.
    #[inline]
    pub fn enter(&mut self, call: NewCall<P, R>, now: u64, load: &mut FunctionLoad) -> CallNumber {
        self.insert(|id| call.enter(id, now, load))
    }

    /// Makes a worker run a lease, and gives the lease a number.
    pub fn lend(&mut self, lease: NewLease, loads: Loads<'_>) -> CallNumber {
        self.insert(|id| lease.begin(id, loads))
    }

    #[inline]
    fn insert(&mut self, call: impl FnOnce(CallNumber) -> Call<P, R>) -> CallNumber {
        self.generation = self.generation % MAX_GENERATION + 1;
        let entry = self.slots.vacant_entry();
        let number = u64::from(self.generation) << PLACE_BITS | entry.key() as u64;
        let id = CallNumber::new(number).expect("generations count from 1");
        entry.insert(call(id));
        id
    }

    /// The call with this number, if it is under way.
    #[inline]
    pub fn get(&self, id: CallNumber) -> Option<&Call<P, R>> {
        self.slots.get(place(id)).filter(|call| call.id == id)
    }

    /// The call with this number, mutably, if it is under way.
    #[inline]
    pub fn get_mut(&mut self, id: CallNumber) -> Option<&mut Call<P, R>> {
        self.slots.get_mut(place(id)).filter(|call| call.id == id)
    }

    /// Removes a call.
    #[inline]
    pub fn remove(&mut self, id: CallNumber) -> Option<Call<P, R>> {
        self.get(id)?;
        self.slots.try_remove(place(id))
    }

    /// How many calls are under way.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether no call is under way.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All calls under way, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Call<P, R>> {
        self.slots.iter().map(|(_, call)| call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Caller;
    use crate::ids::{CallId, FunctionId};

    #[test]
    fn ids_are_never_used_twice_and_leave_the_highest_bit_clear() {
        let mut calls = CallTable::<(), ()>::default();
        let mut load = FunctionLoad::default();
        let mut seen = std::collections::HashSet::new();
        calls.generation = MAX_GENERATION - 3;
        for _ in 0..10 {
            let admitted = NewCall {
                function: FunctionId::new(1).unwrap(),
                caller: Caller::Client(()),
                payload: (),
                bytes: 0,
                input: None,
                root: CallId::new(7),
                depth: 0,
                deadline: 0,
            };
            let id = calls.enter(admitted, 0, &mut load);
            assert!(id.number() != 0 && id.number() >> 63 == 0, "{:#x}", id.number());
            assert!(seen.insert(id));
            assert!(calls.remove(id).is_some() && calls.get(id).is_none());
        }
    }
}
