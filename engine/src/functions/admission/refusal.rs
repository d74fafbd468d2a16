//! The reasons for which a call is not admitted.

use nightcore_runtime::protocol::{CancelReason, Failure, Status};

/// The reason for which a call is not admitted.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// No function has this name.
    NotFound {
        /// The name.
        name: String,
    },
    /// The call that makes this one was cancelled.
    CallerGone(CancelReason),
    /// The calls would be nested too deeply.
    TooDeep {
        /// The greatest depth of calls of the function.
        max_depth: u32,
    },
    /// The call that makes this one has as many calls under way as it may have.
    TooManyCalls {
        /// How many calls that is.
        most: usize,
    },
    /// The call's input was under way at too many deaths of containers.
    Quarantined {
        /// The function's name.
        name: String,
        /// How many deaths.
        deaths: u32,
        /// For how much longer it is refused, ns.
        left_ns: u64,
    },
    /// The function cannot be called now.
    Unavailable {
        /// The reason.
        reason: String,
    },
    /// The queue holds as many calls as it may.
    QueueFull {
        /// How many calls that is.
        queued: u32,
    },
    /// The queue holds as many bytes as it may.
    QueueBytes {
        /// How many bytes that is.
        queued_bytes: u64,
    },
    /// The call would end after its deadline.
    TooLate {
        /// How many calls are in the queue.
        queued: u32,
        /// How long the call would take, ns.
        takes_ns: u64,
        /// The time until the call's deadline, ns.
        left_ns: u64,
    },
}

impl Refusal {
    /// The status with which the call ends.
    pub fn status(&self) -> Status {
        match self {
            Refusal::NotFound { .. } => Status::NotFound,
            Refusal::CallerGone(reason) => reason.status(),
            Refusal::TooDeep { .. } => Status::DepthExceeded,
            Refusal::Quarantined { .. } => Status::FunctionFailed,
            Refusal::Unavailable { .. } => Status::Unavailable,
            Refusal::TooManyCalls { .. }
            | Refusal::QueueFull { .. }
            | Refusal::QueueBytes { .. }
            | Refusal::TooLate { .. } => Status::Overloaded,
        }
    }

    fn text(&self) -> String {
        match self {
            Refusal::NotFound { name } => format!("there is no function {name:?}"),
            Refusal::CallerGone(CancelReason::Deadline) => "the deadline has passed".to_owned(),
            Refusal::CallerGone(CancelReason::Caller) => "the caller has left".to_owned(),
            Refusal::TooDeep { max_depth } => {
                format!("calls are nested more than {max_depth} deep")
            }
            Refusal::TooManyCalls { most } => format!("{most} internal calls are under way"),
            Refusal::Quarantined { name, deaths, left_ns } => {
                let left_s = left_ns.div_ceil(1_000_000_000);
                format!(
                    "this input was under way at {deaths} deaths of processes of {name}, \
                     and is refused for another {left_s} s"
                )
            }
            Refusal::Unavailable { reason } => reason.clone(),
            Refusal::QueueFull { queued } => format!("{queued} calls are queued"),
            Refusal::QueueBytes { queued_bytes } => {
                format!("calls of {queued_bytes} bytes are queued")
            }
            Refusal::TooLate { queued, takes_ns, left_ns } => {
                let [takes, left] = [*takes_ns, *left_ns].map(|ns| ns as f64 / 1e6);
                format!(
                    "{queued} calls are queued: it would take {takes:.1} ms, \
                     and there are {left:.1} ms"
                )
            }
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure::new(refusal.status(), refusal.text())
    }
}
