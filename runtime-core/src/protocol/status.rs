//! The statuses of calls and of the library: number, name, HTTP status and text of each.

/// Declares the statuses: the enum, and the table with all that is known of each.
macro_rules! statuses {
    ($($(#[doc = $doc:literal])* $status:ident = $number:literal,
        $name:literal, $http:literal, $title:literal;)*) => {
        /// How a call or an operation of the library ended.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Status { $($(#[doc = $doc])* $status = $number),* }

        /// All statuses, in the order of their numbers.
        pub const TABLE: &[Row] = &[$(Row {
            status: Status::$status,
            name: $name,
            http: $http,
            title: $title,
            doc: concat!($($doc),*),
        }),*];
    };
}

/// The properties of a status.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The status.
    pub status: Status,
    /// Its name, in upper case.
    pub name: &'static str,
    /// The HTTP status that a client of the gateway gets; 500 for a status that no client gets.
    pub http: u16,
    /// A short text for messages.
    pub title: &'static str,
    /// The sentences that document it in every language, with a space before each line.
    pub doc: &'static str,
}

// `make bindings` writes these rows into the C header and into the sources of every language.
statuses! {
    /// The operation succeeded.
    Ok = 0, "OK", 200, "it went well";
    /// There is no function of this name, or it may not be called from outside.
    NotFound = 1, "NOT_FOUND", 404, "no such function";
    /// A body is larger than the configured limit, or the metadata are larger than 32 KiB.
    PayloadTooLarge = 2, "PAYLOAD_TOO_LARGE", 413, "the payload is over the limit";
    /// The handler failed: it returned an error or raised an exception.
    FunctionFailed = 3, "FUNCTION_FAILED", 500, "the function failed";
    /// The function's process died during the call.
    ContainerDied = 4, "CONTAINER_DIED", 502, "the function's process died under the call";
    /// A queue or a memory budget is full.
    Overloaded = 5, "OVERLOADED", 503, "a queue or a budget is full";
    /// No worker of the function is available, or the engine has stopped.
    Unavailable = 6, "UNAVAILABLE", 503, "no worker can be had now";
    /// The deadline passed.
    DeadlineExceeded = 7, "DEADLINE_EXCEEDED", 504, "the deadline passed";
    /// The caller no longer waits for the answer.
    Cancelled = 8, "CANCELLED", 499, "the caller left";
    /// Calls are nested too deeply.
    DepthExceeded = 9, "DEPTH_EXCEEDED", 508, "calls are nested too deep";
    /// An argument is not valid.
    InvalidArgument = 100, "INVALID_ARGUMENT", 400, "an argument is not valid";
    /// The request belongs to another thread.
    WrongThread = 101, "WRONG_THREAD", 500, "the request belongs to another thread";
    /// The process is a fork of a worker, whose handles belong to its parent.
    Forked = 102, "FORKED", 500, "this process is a fork of a worker";
    /// Nothing is ready: wait for the descriptor to become readable, or try again.
    Again = 103, "AGAIN", 500, "nothing to be had now";
    /// The operation is not allowed in this state, such as a second reply to one request.
    InvalidState = 104, "INVALID_STATE", 500, "not allowed in this state";
    /// The process was not started by Nightcore.
    NotStarted = 105, "NOT_STARTED", 500, "not started by Nightcore";
    /// The engine refused this process, such as for its protocol version or its token.
    Refused = 106, "REFUSED", 500, "the engine refused this process";
    /// The engine has ended the session: end the process.
    Ended = 107, "ENDED", 500, "the engine has ended the session";
    /// The library has a defect.
    Internal = 108, "INTERNAL", 500, "a fault inside the library";
}

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

    /// Returns the text of the status for people.
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
