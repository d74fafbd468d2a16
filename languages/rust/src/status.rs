//! The statuses of failed calls.

use nightcore_runtime::protocol;
use std::fmt;

macro_rules! statuses {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Why a call failed, or why the library refused an operation. `docs/errors.md` describes
        /// each status; later versions may add more.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Status {
            $($(#[doc = $doc])* $name,)*
        }

        impl Status {
            /// Converts a status. One that a Rust program never gets is a defect of the library.
            pub(crate) fn of(status: protocol::Status) -> Status {
                match status {
                    $(protocol::Status::$name => Status::$name,)*
                    _ => Status::Internal,
                }
            }

            pub(crate) fn to_protocol(self) -> protocol::Status {
                match self {
                    $(Status::$name => protocol::Status::$name,)*
                }
            }
        }
    };
}

statuses! {
    /// There is no such function, or clients may not call it.
    NotFound,
    /// A request or a reply is over the limit.
    PayloadTooLarge,
    /// The handler failed or panicked.
    FunctionFailed,
    /// The function's process died during the call.
    ContainerDied,
    /// A queue or a budget is full.
    Overloaded,
    /// The function has no worker now.
    Unavailable,
    /// The deadline has passed.
    DeadlineExceeded,
    /// The caller has left.
    Cancelled,
    /// Calls are nested too deeply.
    DepthExceeded,
    /// An argument is not valid. Like all statuses that follow, it is the library's own and never
    /// leaves the process.
    InvalidArgument,
    /// The operation is not allowed in this state, such as a call after the request has ended.
    InvalidState,
    /// This process is a fork of a worker; requests belong to the parent.
    Forked,
    /// Nightcore did not start this process.
    NotStarted,
    /// The engine refused this process.
    Refused,
    /// The engine has ended the session.
    Ended,
    /// A defect of the library.
    Internal,
}

impl Status {
    /// Returns the name in logs, metrics and HTTP responses, such as `NOT_FOUND`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.to_protocol().name()
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
