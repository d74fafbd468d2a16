//! Bytes that the program and the library lend to each other, and checks of pointers.

use crate::guard::invalid;
use nightcore_runtime::protocol::Failure;
use std::borrow::Cow;
use std::ffi::{CStr, c_char};

/// The most parts of a body that are passed on without an allocation.
const PARTS_ON_STACK: usize = 8;

/// A borrowed array of bytes, without a terminating zero byte. The lender keeps ownership. `data`
/// may be NULL if `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct nc_bytes {
    /// The first byte.
    pub data: *const u8,
    /// The number of bytes.
    pub len: usize,
}

impl nc_bytes {
    /// An empty array.
    pub(crate) const EMPTY: nc_bytes = nc_bytes { data: std::ptr::null(), len: 0 };

    /// Lends bytes to C. An empty Rust slice has a pointer that is dangling, not NULL. A host with
    /// a garbage collector, such as Go, aborts when it finds such a pointer, so `data` is NULL for
    /// an empty slice.
    pub(crate) fn lend(bytes: &[u8]) -> nc_bytes {
        if bytes.is_empty() {
            nc_bytes::EMPTY
        } else {
            nc_bytes { data: bytes.as_ptr(), len: bytes.len() }
        }
    }

    /// Borrows the bytes that the C program lends.
    ///
    /// # Safety
    /// If `data` is not NULL, `len` bytes can be read there for as long as the slice is used.
    pub(crate) unsafe fn borrow<'a>(self) -> Result<&'a [u8], Failure> {
        if self.len == 0 {
            return Ok(&[]);
        }
        if self.data.is_null() {
            return Err(invalid(format!("bytes at NULL with a length of {}", self.len)));
        }
        if self.len > isize::MAX as usize {
            return Err(invalid(format!("no memory has {} bytes", self.len)));
        }
        // SAFETY: `data` is not NULL, and the length fits into an `isize`. By this function's
        // contract the bytes can be read.
        Ok(unsafe { std::slice::from_raw_parts(self.data, self.len) })
    }
}

/// Borrows the parts of a body for as long as `with` runs.
///
/// # Safety
/// `parts` is NULL or points to `count` nc_bytes, each as for [`nc_bytes::borrow`].
pub(crate) unsafe fn with_parts<R>(
    parts: *const nc_bytes,
    count: usize,
    with: impl FnOnce(&[&[u8]]) -> Result<R, Failure>,
) -> Result<R, Failure> {
    // SAFETY: `parts` is NULL or points to `count` nc_bytes.
    let parts = unsafe { slice(parts, count, "parts") }?;
    if count <= PARTS_ON_STACK {
        let mut stack: [&[u8]; PARTS_ON_STACK] = [&[]; PARTS_ON_STACK];
        for (to, part) in stack.iter_mut().zip(parts) {
            // SAFETY: the bytes of each part can be read.
            *to = unsafe { part.borrow() }?;
        }
        return with(&stack[..count]);
    }
    // SAFETY: the bytes of each part can be read.
    let borrowed: Vec<&[u8]> =
        parts.iter().map(|part| unsafe { part.borrow() }).collect::<Result<_, _>>()?;
    with(&borrowed)
}

/// Borrows an array.
///
/// # Safety
/// `first` is NULL or points to `count` values that can be read for as long as the slice is used.
pub(crate) unsafe fn slice<'a, T>(
    first: *const T,
    count: usize,
    what: &str,
) -> Result<&'a [T], Failure> {
    if count == 0 {
        return Ok(&[]);
    }
    if first.is_null() {
        return Err(invalid(format!("{what} is NULL with a count of {count}")));
    }
    if count > isize::MAX as usize / size_of::<T>() {
        return Err(invalid(format!("{what}: no memory has room for {count}")));
    }
    // SAFETY: `first` is not NULL, and the size fits into an `isize`. By this function's contract
    // the values can be read.
    Ok(unsafe { std::slice::from_raw_parts(first, count) })
}

/// Reads a message. Bytes that are not UTF-8 are replaced.
///
/// # Safety
/// As for [`text`].
pub(crate) unsafe fn reason<'a>(text: *const c_char) -> Result<Cow<'a, str>, Failure> {
    if text.is_null() {
        return Err(invalid("message is NULL"));
    }
    // SAFETY: `text` is not NULL, and ends with a zero byte.
    Ok(unsafe { CStr::from_ptr(text) }.to_string_lossy())
}

/// Borrows a text that ends with a zero byte.
///
/// # Safety
/// `text` is NULL, or such a text that can be read for as long as the result is used.
pub(crate) unsafe fn text<'a>(text: *const c_char, what: &str) -> Result<&'a str, Failure> {
    if text.is_null() {
        return Err(invalid(format!("{what} is NULL")));
    }
    // SAFETY: `text` is not NULL, and ends with a zero byte.
    let text = unsafe { CStr::from_ptr(text) };
    text.to_str().map_err(|_| invalid(format!("{what} is not UTF-8: {text:?}")))
}

/// Checks that an output pointer is not NULL. Functions call it before they do anything else.
pub(crate) fn present<T>(out: *mut T, what: &str) -> Result<(), Failure> {
    if out.is_null() { Err(invalid(format!("{what} is NULL"))) } else { Ok(()) }
}
