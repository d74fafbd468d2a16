//! Calls that make calls: the links between parents and children.

use super::state::{Caller, Parent};
use super::table::CallTable;
use crate::ids::CallNumber;

impl<P, R> CallTable<P, R> {
    /// Adds a call to the children of the one that made it. Its place is the number of children so
    /// far.
    #[inline]
    pub fn add_child(&mut self, parent: CallNumber, child: CallNumber) {
        if let Some(children) = self.get_mut(parent).and_then(|call| call.children_mut()) {
            children.push(child);
        }
    }

    /// Removes a child that has ended from its parent. `queued_ns` is how long the child and the
    /// calls below it were queued.
    #[inline]
    pub fn forget_child(&mut self, parent: Parent, queued_ns: u64) {
        let Some(call) = self.get_mut(parent.call) else { return };
        call.child_ended(queued_ns);
        let Some(children) = call.children_mut() else { return };
        if parent.place >= children.len() {
            return;
        }
        children.swap_remove(parent.place);
        // The last child has moved to the place that became free.
        let moved = children.get(parent.place).copied();
        if let Some(moved) = moved.and_then(|id| self.get_mut(id))
            && let Some(Caller::Call(of_moved)) = moved.caller_mut()
        {
            of_moved.place = parent.place;
        }
    }
}
