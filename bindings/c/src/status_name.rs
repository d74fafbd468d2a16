//! The names of the statuses.

use crate::facts::NAMES;
use crate::guard::guard_value;
use std::ffi::c_char;

/// Returns the name of a status, such as "NOT_FOUND". Returns "UNKNOWN" if no status has this
/// number. The text is static: never free it.
#[unsafe(no_mangle)]
pub extern "C" fn nc_status_name(status: i32) -> *const c_char {
    guard_value(c"UNKNOWN".as_ptr(), || {
        let name = NAMES
            .iter()
            .find(|(number, _)| *number == status)
            .map_or(c"UNKNOWN", |(_, name)| *name);
        name.as_ptr()
    })
}
