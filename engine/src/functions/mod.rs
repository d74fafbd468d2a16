//! Functions: their queues, their slots, and which calls they admit. This code does no I/O, and its
//! functions take the time as an argument.

pub mod admission;
pub mod concurrency;
pub mod cores;
mod counts;
mod function;
mod histogram;
mod queue;
mod retries;
mod segments;
mod slots;
mod spec;
mod table;

pub use counts::{Counts, OUTCOMES, Origin, RESPONSE_CLASSES};
pub use function::{Candidate, Function};
pub use histogram::Histogram;
pub use queue::Lane;
pub use segments::{Ran, Segments};
pub use spec::{DEFAULT_MAX_EVENT_LOOP, DEFAULT_MAX_THREADS, Spec};
pub use table::Functions;
