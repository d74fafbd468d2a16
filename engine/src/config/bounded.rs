//! Reads files whose size is bounded.

use super::limits::MAX_FILE_BYTES;
use super::units::format_size;
use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// Returns the content of a file.
///
/// # Errors
///
/// If the file cannot be read, or has more than [`MAX_FILE_BYTES`].
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that the file is too large.
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let text = format!("the file is larger than {}", format_size(MAX_FILE_BYTES));
        return Err(io::Error::new(ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}
