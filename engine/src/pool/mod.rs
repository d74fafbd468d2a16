//! Containers and workers, as the scheduler sees them. This code does no I/O, and its functions
//! take the time as an argument.

mod containers;
mod edges;
mod failed_calls;
mod generations;
mod invokes;
mod members;
mod workers;

pub use containers::{Container, Membership, Phase};
pub use failed_calls::FailedCalls;
pub use generations::Generations;
pub use members::{Members, Pool};
pub use workers::Workers;
