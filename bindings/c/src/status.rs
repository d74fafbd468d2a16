//! The statuses, as plain constants: a C caller may hand over any number, which no Rust enum may
//! hold.

use std::ffi::CStr;

/// It went well.
pub const NC_OK: i32 = 0;
/// No such function, or it may not be called from outside.
pub const NC_NOT_FOUND: i32 = 1;
/// A request or an answer is over the limit.
pub const NC_PAYLOAD_TOO_LARGE: i32 = 2;
/// The handler failed or threw.
pub const NC_FUNCTION_FAILED: i32 = 3;
/// The process died under the call.
pub const NC_CONTAINER_DIED: i32 = 4;
/// A queue or a budget is full.
pub const NC_OVERLOADED: i32 = 5;
/// No worker can be had now.
pub const NC_UNAVAILABLE: i32 = 6;
/// The deadline passed.
pub const NC_DEADLINE_EXCEEDED: i32 = 7;
/// The caller left.
pub const NC_CANCELLED: i32 = 8;
/// Calls are nested too deep.
pub const NC_DEPTH_EXCEEDED: i32 = 9;
/// An argument is not valid. This status and those that follow are the library's own: no call ends
/// with one.
pub const NC_INVALID_ARGUMENT: i32 = 100;
/// The request belongs to another thread.
pub const NC_WRONG_THREAD: i32 = 101;
/// The process has forked; the handle belongs to its parent.
pub const NC_FORKED: i32 = 102;
/// Nothing to be had now; wait for the descriptor, or once more.
pub const NC_AGAIN: i32 = 103;
/// Not allowed in this state, such as a second answer to one request.
pub const NC_INVALID_STATE: i32 = 104;
/// The process was not started by Nightcore.
pub const NC_NOT_STARTED: i32 = 105;
/// The engine refused this process, such as for its protocol version or its token.
pub const NC_REFUSED: i32 = 106;
/// The engine has ended the session: serve no more.
pub const NC_ENDED: i32 = 107;
/// A fault inside the library.
pub const NC_INTERNAL: i32 = 108;

pub(crate) const NAMES: [(i32, &CStr); 19] = [
    (NC_OK, c"OK"),
    (NC_NOT_FOUND, c"NOT_FOUND"),
    (NC_PAYLOAD_TOO_LARGE, c"PAYLOAD_TOO_LARGE"),
    (NC_FUNCTION_FAILED, c"FUNCTION_FAILED"),
    (NC_CONTAINER_DIED, c"CONTAINER_DIED"),
    (NC_OVERLOADED, c"OVERLOADED"),
    (NC_UNAVAILABLE, c"UNAVAILABLE"),
    (NC_DEADLINE_EXCEEDED, c"DEADLINE_EXCEEDED"),
    (NC_CANCELLED, c"CANCELLED"),
    (NC_DEPTH_EXCEEDED, c"DEPTH_EXCEEDED"),
    (NC_INVALID_ARGUMENT, c"INVALID_ARGUMENT"),
    (NC_WRONG_THREAD, c"WRONG_THREAD"),
    (NC_FORKED, c"FORKED"),
    (NC_AGAIN, c"AGAIN"),
    (NC_INVALID_STATE, c"INVALID_STATE"),
    (NC_NOT_STARTED, c"NOT_STARTED"),
    (NC_REFUSED, c"REFUSED"),
    (NC_ENDED, c"ENDED"),
    (NC_INTERNAL, c"INTERNAL"),
];

#[cfg(test)]
mod tests {
    use super::NAMES;
    use nightcore_runtime::protocol::status::TABLE;

    #[test]
    fn the_constants_are_the_table_s() {
        let ours: Vec<(u32, &str)> =
            NAMES.iter().map(|(number, name)| (*number as u32, name.to_str().unwrap())).collect();
        let theirs: Vec<(u32, &str)> =
            TABLE.iter().map(|row| (row.status.number(), row.name)).collect();
        assert_eq!(ours, theirs);
    }
}
