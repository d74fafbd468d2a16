//! What was built, so that a program can tell whether header and library belong together.

use crate::guard::guard_value;
use std::ffi::{CStr, c_char};

/// The functions this header declares. It rises by one whenever functions are added. What is there
/// is never changed under the same name of the library (`libnightcore.so.0`).
pub const NC_ABI_VERSION: u32 = 10;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"unknown",
    };

/// The NC_ABI_VERSION of the library that is loaded. It has all that this header declares if it is
/// at least the header's NC_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn nc_abi_version() -> u32 {
    NC_ABI_VERSION
}

/// The version of Nightcore that the loaded library belongs to, such as "0.1.0". Valid for good.
#[unsafe(no_mangle)]
pub extern "C" fn nc_version() -> *const c_char {
    guard_value(c"unknown".as_ptr(), || VERSION.as_ptr())
}
