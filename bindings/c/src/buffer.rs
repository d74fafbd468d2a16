//! Memory of the arena in which a program builds a large answer.

use crate::bytes::present;
use crate::facts::{NC_OK, status};
use crate::given::Room;
use crate::guard::{guard, guard_value};
use crate::request::nc_request;

/// Memory that the engine can read: the library sends a reply that was made in it without a copy.
/// Opaque. The program owns it until nc_reply_buffer or nc_buffer_free.
pub struct nc_buffer {
    pub(crate) room: Room,
}

/// Allocates a buffer for a body of up to `capacity` bytes. It pays off from about 64 KiB. The
/// memory is not initialized. `*buffer` belongs to the program.
///
/// Returns NC_PAYLOAD_TOO_LARGE if `capacity` is over the limit for bodies. Returns NC_OVERLOADED
/// if the process has no shared memory left.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_buffer_new(
    req: *mut nc_request,
    capacity: usize,
    buffer: *mut *mut nc_buffer,
) -> status {
    // SAFETY: the program passes a request and a place for the buffer.
    guard(|| unsafe {
        present(buffer, "buffer")?;
        buffer.write(std::ptr::null_mut());
        nc_request::operate(req, |content| {
            let room = content.side.buffer(capacity)?;
            buffer.write(Box::into_raw(Box::new(nc_buffer { room })));
            Ok(NC_OK)
        })
    })
}

/// Returns the memory to fill. It is valid as long as the buffer. Returns NULL if `buffer` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_buffer_data(buffer: *mut nc_buffer) -> *mut u8 {
    guard_value(std::ptr::null_mut(), || {
        // SAFETY: `buffer` is NULL or points to a live object.
        let buffer = unsafe { buffer.as_mut() };
        buffer.map_or(std::ptr::null_mut(), |buffer| buffer.room.as_mut_slice().as_mut_ptr())
    })
}

/// Returns the size of a buffer in bytes. Returns 0 if `buffer` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_buffer_capacity(buffer: *const nc_buffer) -> usize {
    // SAFETY: `buffer` is NULL or points to a live object.
    guard_value(0, || unsafe { buffer.as_ref() }.map_or(0, |buffer| buffer.room.capacity()))
}

/// Frees a buffer that was not sent. Does nothing if `buffer` is NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nc_buffer_free(buffer: *mut nc_buffer) {
    guard_value((), || {
        if !buffer.is_null() {
            // SAFETY: `nc_buffer_new` made the buffer, and the program gives up its ownership.
            drop(unsafe { Box::from_raw(buffer) });
        }
    });
}
