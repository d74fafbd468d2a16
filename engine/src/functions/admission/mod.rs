//! Whether a call is admitted: a sequence of small checks, each of which admits the call or refuses
//! it with a typed reason. [`Function::admit`](super::Function::admit) is the sequence.

pub(super) mod available;
pub(super) mod bounds;
pub(super) mod lateness;
pub mod quarantine;
mod refusal;

pub use refusal::Refusal;
