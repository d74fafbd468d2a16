//! Determines the outcome of a call from the status that its handler returned.

use crate::facts::NC_OK;
use crate::guard::number;
use nightcore_runtime::protocol::{Failure, Status};

/// Returns the outcome of a call whose handler returned `status`. `last` is the failure of the last
/// operation of the request that failed.
pub(crate) fn outcome(status: i32, last: Option<Failure>) -> Result<(), Failure> {
    if status == NC_OK {
        return Ok(());
    }
    if let Some(last) = last
        && number(&last) == status
    {
        return Err(last.passed_on());
    }
    Err(match u32::try_from(status).ok().and_then(Status::from_number) {
        Some(status) if status.ends_a_call() => Failure::new(status, status.title()),
        Some(status) => Failure::new(
            Status::FunctionFailed,
            format!("the handler returned {status}: {}", status.title()),
        ),
        None => Failure::new(Status::FunctionFailed, format!("the handler returned {status}")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_status_fails_the_call() {
        assert_eq!(outcome(0, None), Ok(()));
        assert_eq!(outcome(5, None).unwrap_err().status, Status::Overloaded);
        for status in [3, 100, -1, 77] {
            assert_eq!(outcome(status, None).unwrap_err().status, Status::FunctionFailed);
        }
    }

    #[test]
    fn the_status_of_the_last_failed_call_passes_its_error_on() {
        let failure =
            Failure { function: "Bar".into(), ..Failure::new(Status::NotFound, "no Bar") };
        let passed = outcome(1, Some(failure.clone())).unwrap_err();
        assert_eq!(passed, failure.clone().passed_on());
        assert_eq!(passed.cause[0].function, "Bar");
        assert!(outcome(6, Some(failure)).unwrap_err().cause.is_empty());
    }
}
