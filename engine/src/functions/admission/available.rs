//! Whether a function can be called at all.

use super::refusal::Refusal;

/// Admits a call unless there is a reason why the function cannot be called now.
pub fn check(unavailable: Option<&str>) -> Result<(), Refusal> {
    match unavailable {
        Some(reason) => Err(Refusal::Unavailable { reason: reason.to_owned() }),
        None => Ok(()),
    }
}
