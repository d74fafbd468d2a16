//! Whether a function can be called at all.

use super::refusal::Refusal;
use crate::functions::spec::Spec;

/// Admits a call unless the function is unavailable.
pub fn check(unavailable: Option<&str>, spec: &Spec) -> Result<(), Refusal> {
    match unavailable {
        Some(reason) => Err(Refusal::Unavailable { reason: spec.told_reason(reason) }),
        None => Ok(()),
    }
}
