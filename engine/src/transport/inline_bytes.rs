//! The bytes of a payload that came in a message, in buffers that are reused. A call needs two such
//! buffers on its way, and most calls allocate nothing else.

use nightcore_runtime::protocol::limits::MAX_INLINE_BYTES;
use std::cell::RefCell;
use std::ops::Deref;

/// Most buffers that are kept for reuse: as many as the longest queue of one function holds by
/// default.
const MAX_KEPT: usize = 1024;

type InlineBuffer = Box<[u8; MAX_INLINE_BYTES]>;

thread_local! {
    /// The I/O thread's free buffers. The buffer that was freed last is reused first, as it is
    /// still in the cache.
    static KEPT: RefCell<Vec<InlineBuffer>> = const { RefCell::new(Vec::new()) };
}

/// The payload of a message.
#[derive(Debug)]
pub struct InlineBytes {
    /// `None` if there are no bytes.
    buffer: Option<InlineBuffer>,
    len: usize,
}

impl InlineBytes {
    /// Copies two parts of a message into one buffer, one behind the other.
    ///
    /// # Panics
    ///
    /// If they are larger than a message can be.
    #[inline]
    pub fn copy([first, second]: [&[u8]; 2]) -> InlineBytes {
        let len = first.len() + second.len();
        if len == 0 {
            return InlineBytes { buffer: None, len };
        }
        let kept = KEPT.with_borrow_mut(Vec::pop);
        let mut buffer = kept.unwrap_or_else(|| Box::new([0; MAX_INLINE_BYTES]));
        buffer[..first.len()].copy_from_slice(first);
        buffer[first.len()..len].copy_from_slice(second);
        InlineBytes { buffer: Some(buffer), len }
    }
}

impl Deref for InlineBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[..self.len])
    }
}

impl AsRef<[u8]> for InlineBytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for InlineBytes {
    fn drop(&mut self) {
        let Some(buffer) = self.buffer.take() else { return };
        // While the thread ends, the list may be gone already.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if kept.len() < MAX_KEPT {
                kept.push(buffer);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_shows_only_what_was_copied() {
        let first = InlineBytes::copy([&[1; MAX_INLINE_BYTES - 1], &[1]]);
        let address = first.as_ptr();
        drop(first);
        let second = InlineBytes::copy([b"a", b"b"]);
        assert_eq!((second.as_ptr(), &second[..]), (address, &b"ab"[..]));
        assert_eq!(InlineBytes::copy([b"", b""]).len(), 0);
    }
}
