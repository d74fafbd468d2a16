//! The versions of the library, by which a program can check whether header and library match.

use crate::guard::guard_value;
use std::ffi::{CStr, c_char};

/// The version of the C interface that this header declares. It rises by one whenever functions are
/// added. A function never changes under the same library name (`libnightcore.so.0`).
pub const NC_ABI_VERSION: u32 = 11;

const VERSION: &CStr =
    match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
        Ok(version) => version,
        Err(_) => c"unknown",
    };

/// Returns the NC_ABI_VERSION of the loaded library. If it is at least this header's
/// NC_ABI_VERSION, the library has every function that this header declares.
#[unsafe(no_mangle)]
pub extern "C" fn nc_abi_version() -> u32 {
    NC_ABI_VERSION
}

/// Returns the version of Nightcore that the loaded library belongs to, such as "0.1.0". The text
/// is static: never free it.
#[unsafe(no_mangle)]
pub extern "C" fn nc_version() -> *const c_char {
    guard_value(c"unknown".as_ptr(), || VERSION.as_ptr())
}
