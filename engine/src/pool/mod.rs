//! Containers and workers, as the scheduler sees them. No I/O, and time is an argument.

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
