//! The bounds of a function's queue.

use super::refusal::Refusal;
use crate::calls::FunctionLoad;
use crate::functions::spec::Spec;

/// Admits a call unless its function's queue is full. An empty queue takes one call of any size.
/// `bytes` is the length of the call's payload.
pub fn check(load: &FunctionLoad, spec: &Spec, bytes: u64) -> Result<(), Refusal> {
    let (queued, queued_bytes) = (load.queued(), load.queued_bytes());
    if queued >= spec.queue_calls {
        return Err(Refusal::QueueFull { queued });
    }
    if queued > 0 && queued_bytes + bytes > spec.queue_bytes {
        return Err(Refusal::QueueBytes { queued_bytes });
    }
    Ok(())
}
