//! Memory of the arena to make a large answer in.

use crate::bytes::present;
use crate::facts::NC_OK;
use crate::guard::{guard, guard_value};
use crate::request::nc_request;
use nightcore_runtime::worker::{Buffer, RunningCall};

/// Memory that the engine can read: an answer that is made in it is sent without a copy. Opaque.
/// Belongs to who was given it, until nc_reply_buffer or nc_buffer_free.
pub struct nc_buffer {
    pub(crate) buffer: Buffer,
}

/// Takes room for a body of up to `capacity` bytes, to `buffer`. Worth it from about 64 KiB on.
/// The memory is not initialized.
///
/// NC_PAYLOAD_TOO_LARGE: over the limit for bodies. NC_OVERLOADED: this process has no more memory
/// to share.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_buffer_new(
    req: *mut nc_request,
    capacity: usize,
    buffer: *mut *mut nc_buffer,
) -> i32 {
    // SAFETY: a request and a place for the buffer, as the header asks for.
    guard(|| unsafe {
        present(buffer, "buffer")?;
        buffer.write(std::ptr::null_mut());
        nc_request::operate(req, |content| {
            let made = content.side.buffer(capacity)?;
            buffer.write(Box::into_raw(Box::new(nc_buffer { buffer: made })));
            Ok(NC_OK)
        })
    })
}

/// The memory to fill; valid as long as the buffer. NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_buffer_data(buffer: *mut nc_buffer) -> *mut u8 {
    guard_value(std::ptr::null_mut(), || {
        // SAFETY: NULL or a buffer, as the header asks for.
        let buffer = unsafe { buffer.as_mut() };
        buffer.map_or(std::ptr::null_mut(), |buffer| buffer.buffer.as_mut_slice().as_mut_ptr())
    })
}

/// How many bytes it has; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_buffer_capacity(buffer: *const nc_buffer) -> usize {
    // SAFETY: NULL or a buffer, as the header asks for.
    guard_value(0, || unsafe { buffer.as_ref() }.map_or(0, |buffer| buffer.buffer.capacity()))
}

/// Frees a buffer that is not to be sent; takes NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_buffer_free(buffer: *mut nc_buffer) {
    guard_value((), || {
        if !buffer.is_null() {
            // SAFETY: a buffer of the caller's own, as the header asks for, which `nc_buffer_new`
            // has made.
            drop(unsafe { Box::from_raw(buffer) });
        }
    });
}
