//! Calls: the state of each, the caller that waits for it, and the calls below it. This code does
//! no I/O, and its functions take the time as an argument.

mod call;
mod deadlines;
mod load;
mod new_call;
mod state;
mod table;
mod tree;

pub use call::{Call, Dispatched, Ended, Times};
pub use deadlines::Deadlines;
pub use load::{ContainerLoad, FunctionLoad, Loads, OpenCalls};
pub use new_call::{NewCall, NewLease};
pub use state::{Caller, Held, Outcome, Parent, Patience, Share, Start};
pub use table::CallTable;
