//! The one table of errors: number, name, HTTP status. Every language's errors are tested against
//! it.

/// How a call or an operation of the library ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Status {
    /// It went well.
    Ok = 0,
    /// No such function, or it may not be called from outside.
    NotFound = 1,
    /// A request or an answer is over the limit.
    PayloadTooLarge = 2,
    /// The handler failed or threw.
    FunctionFailed = 3,
    /// The process died under the call.
    ContainerDied = 4,
    /// A queue or a budget is full.
    Overloaded = 5,
    /// No worker can be had now.
    Unavailable = 6,
    /// The deadline passed.
    DeadlineExceeded = 7,
    /// The caller left.
    Cancelled = 8,
    /// Calls are nested too deep.
    DepthExceeded = 9,
    /// An argument is not valid. Local to the library, never on the wire, as are all that follow.
    InvalidArgument = 100,
    /// The object belongs to another thread.
    WrongThread = 101,
    /// The process has forked; the handle belongs to its parent.
    Forked = 102,
    /// Nothing to be had now; wait for the descriptor.
    Again = 103,
    /// The operation is not allowed in this state, such as a second answer to one request.
    InvalidState = 104,
    /// The process was not started by Nightcore.
    NotStarted = 105,
    /// The engine refused this process, such as for its protocol version or its token.
    Refused = 106,
    /// The engine has ended the session: serve no more.
    Ended = 107,
    /// A fault inside the library.
    Internal = 108,
}

/// One row of the table of errors.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The status the row is about.
    pub status: Status,
    /// Its name, in upper case.
    pub name: &'static str,
    /// The HTTP status a client of the gateway sees; 500 for what none ever sees.
    pub http: u16,
    /// What it says to a person.
    pub title: &'static str,
}

const fn row(status: Status, name: &'static str, http: u16, title: &'static str) -> Row {
    Row { status, name, http, title }
}

/// All statuses, in the order of their numbers.
pub const TABLE: [Row; 19] = [
    row(Status::Ok, "OK", 200, "it went well"),
    row(Status::NotFound, "NOT_FOUND", 404, "no such function"),
    row(Status::PayloadTooLarge, "PAYLOAD_TOO_LARGE", 413, "the payload is over the limit"),
    row(Status::FunctionFailed, "FUNCTION_FAILED", 500, "the function failed"),
    row(Status::ContainerDied, "CONTAINER_DIED", 502, "the function's process died under the call"),
    row(Status::Overloaded, "OVERLOADED", 503, "a queue or a budget is full"),
    row(Status::Unavailable, "UNAVAILABLE", 503, "no worker can be had now"),
    row(Status::DeadlineExceeded, "DEADLINE_EXCEEDED", 504, "the deadline passed"),
    row(Status::Cancelled, "CANCELLED", 499, "the caller left"),
    row(Status::DepthExceeded, "DEPTH_EXCEEDED", 508, "calls are nested too deep"),
    row(Status::InvalidArgument, "INVALID_ARGUMENT", 400, "an argument is not valid"),
    row(Status::WrongThread, "WRONG_THREAD", 500, "the request belongs to another thread"),
    row(Status::Forked, "FORKED", 500, "this process is a fork of a worker"),
    row(Status::Again, "AGAIN", 500, "nothing to be had now"),
    row(Status::InvalidState, "INVALID_STATE", 500, "not allowed in this state"),
    row(Status::NotStarted, "NOT_STARTED", 500, "not started by Nightcore"),
    row(Status::Refused, "REFUSED", 500, "the engine refused this process"),
    row(Status::Ended, "ENDED", 500, "the engine has ended the session"),
    row(Status::Internal, "INTERNAL", 500, "a fault inside the library"),
];

impl Status {
    /// The status with this number, if there is one.
    pub fn from_number(number: u32) -> Option<Status> {
        TABLE.iter().find(|row| row.status as u32 == number).map(|row| row.status)
    }

    /// The status with this number if it may end a call, as a failure that is sent in a message.
    pub fn failure_from_wire(number: u32) -> Option<Status> {
        Status::from_number(number).filter(|s| s.ends_a_call())
    }

    /// Whether the status may be the failure of a call, rather than one of the library's own.
    pub fn ends_a_call(self) -> bool {
        self != Status::Ok && (self as u32) < Status::InvalidArgument as u32
    }

    /// The status with which a call ends whose handler failed with this one: the library's own
    /// never leave the process.
    pub fn of_a_call(self) -> Status {
        if self.ends_a_call() { self } else { Status::FunctionFailed }
    }

    fn row(self) -> &'static Row {
        TABLE.iter().find(|row| row.status == self).unwrap_or(&TABLE[TABLE.len() - 1])
    }

    /// The number in messages and in the C ABI.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The name, such as `NOT_FOUND`.
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The HTTP status a client of the gateway sees.
    pub fn http(self) -> u16 {
        self.row().http
    }

    /// What it says to a person.
    pub fn title(self) -> &'static str {
        self.row().title
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_found_again() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(Status::from_number(row.status.number()), Some(row.status));
            assert_eq!(row.status.name(), row.name);
            assert!(
                TABLE[..index]
                    .iter()
                    .all(|r| r.name != row.name && r.status.number() < row.status.number())
            );
        }
        assert_eq!(Status::from_number(99), None);
        assert_eq!(Status::failure_from_wire(0), None);
        assert_eq!(Status::failure_from_wire(100), None);
        assert_eq!(Status::failure_from_wire(9), Some(Status::DepthExceeded));
    }
}
