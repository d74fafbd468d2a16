//! Metadata: ordered pairs of a name and a value, duplicates kept.
//!
//! Encoded pair by pair as two little-endian 16-bit lengths, the name, the value. Names are
//! lower-case; those that begin with `:` are Nightcore's own (`:method`, `:path`, `:query`,
//! `:status`, `:cause`).

use super::limits::MAX_METADATA_BYTES;
use super::status::Status;

/// Metadata that has been checked to be well-formed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Metadata<'a> {
    bytes: &'a [u8],
}

/// Why metadata is not well-formed or does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// A length points outside.
    #[error("metadata is cut off or has a wrong length")]
    Malformed,
    /// A name is empty or has characters other than visible ASCII.
    #[error("a metadata name must be 1 to 255 visible ASCII characters")]
    Name,
    /// Over the limit of 32 KiB.
    #[error("metadata is over {MAX_METADATA_BYTES} bytes")]
    TooLarge,
}

impl MetadataError {
    /// The status of an operation that was given such metadata, the same in every language.
    pub fn status(self) -> Status {
        match self {
            MetadataError::Malformed | MetadataError::Name => Status::InvalidArgument,
            MetadataError::TooLarge => Status::PayloadTooLarge,
        }
    }
}

fn name_is_valid(name: &[u8]) -> bool {
    // Not `all`: without an early end it takes many bytes at a time.
    let are_valid = |ok, b: &u8| ok & b.is_ascii_graphic() & !b.is_ascii_uppercase();
    (1..=255).contains(&name.len()) && name.iter().fold(true, are_valid)
}

type Pair<'a> = (&'a [u8], &'a [u8]);

fn split_pair(bytes: &[u8]) -> Option<(Pair<'_>, &[u8])> {
    let (lengths, rest) = bytes.split_first_chunk::<4>()?;
    let name_len = usize::from(u16::from_le_bytes([lengths[0], lengths[1]]));
    let value_len = usize::from(u16::from_le_bytes([lengths[2], lengths[3]]));
    let (name, rest) = rest.split_at_checked(name_len)?;
    let (value, rest) = rest.split_at_checked(value_len)?;
    Some(((name, value), rest))
}

impl<'a> Metadata<'a> {
    /// Checks encoded metadata.
    pub fn parse(bytes: &'a [u8]) -> Result<Metadata<'a>, MetadataError> {
        if bytes.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge);
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            let ((name, _), after) = split_pair(rest).ok_or(MetadataError::Malformed)?;
            if !name_is_valid(name) {
                return Err(MetadataError::Name);
            }
            rest = after;
        }
        Ok(Metadata { bytes })
    }

    /// The pairs, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let mut rest = self.bytes;
        std::iter::from_fn(move || {
            let ((name, value), after) = split_pair(rest)?;
            rest = after;
            Some((str::from_utf8(name).unwrap_or_default(), value))
        })
    }

    /// The first value of this name.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(n, _)| *n == name).map(|(_, value)| value)
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The encoded form.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Metadata being made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataBuffer {
    bytes: Vec<u8>,
}

impl MetadataBuffer {
    /// Empty metadata.
    pub fn new() -> MetadataBuffer {
        MetadataBuffer::default()
    }

    /// Returns empty metadata with room for this number of bytes.
    pub fn with_capacity(bytes: usize) -> MetadataBuffer {
        MetadataBuffer { bytes: Vec::with_capacity(bytes) }
    }

    /// Adds a pair at the end. Upper-case letters of its name become lower-case.
    ///
    /// # Errors
    /// If the name is malformed, or there is no room for the pair.
    pub fn push(&mut self, name: &str, value: &[u8]) -> Result<(), MetadataError> {
        if name_is_valid(name.as_bytes()) {
            return self.push_valid(name, value);
        }
        let lower = name.to_ascii_lowercase();
        if name_is_valid(lower.as_bytes()) {
            return self.push_valid(&lower, value);
        }
        Err(MetadataError::Name)
    }

    #[inline]
    fn push_valid(&mut self, name: &str, value: &[u8]) -> Result<(), MetadataError> {
        if self.bytes.len() + 4 + name.len() + value.len() > MAX_METADATA_BYTES {
            return Err(MetadataError::TooLarge);
        }
        let ([a, b], [c, d]) =
            ((name.len() as u16).to_le_bytes(), (value.len() as u16).to_le_bytes());
        self.bytes.reserve(4 + name.len() + value.len());
        self.bytes.extend_from_slice(&[a, b, c, d]);
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    /// The encoded form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the pairs that were pushed.
    pub fn as_metadata(&self) -> Metadata<'_> {
        Metadata { bytes: &self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn order_and_duplicates_are_kept() {
        let mut buffer = MetadataBuffer::new();
        for (name, value) in [("a", "1"), (":status", "200"), ("a", "2")] {
            buffer.push(name, value.as_bytes()).unwrap();
        }
        let metadata = Metadata::parse(buffer.as_bytes()).unwrap();
        let pairs: Vec<_> = metadata.iter().collect();
        assert_eq!(pairs, [("a", &b"1"[..]), (":status", b"200"), ("a", b"2")]);
        assert_eq!(metadata.get("a"), Some(&b"1"[..]));
        assert_eq!(metadata.get("b"), None);
    }

    #[test]
    fn names_become_lower_case() {
        let mut buffer = MetadataBuffer::new();
        buffer.push("Content-Type", b"text/plain").unwrap();
        assert_eq!(buffer.as_metadata().get("content-type"), Some(&b"text/plain"[..]));
    }

    #[test]
    fn limits_and_names_are_kept() {
        let mut buffer = MetadataBuffer::new();
        assert_eq!(buffer.push("über", b""), Err(MetadataError::Name));
        assert_eq!(buffer.push("", b""), Err(MetadataError::Name));
        assert_eq!(buffer.push("a b", b""), Err(MetadataError::Name));
        assert_eq!(
            buffer.push("x", &vec![0; MAX_METADATA_BYTES - 4]),
            Err(MetadataError::TooLarge)
        );
        assert_eq!(buffer.push("x", &vec![0; MAX_METADATA_BYTES - 5]), Ok(()));
        assert_eq!(Metadata::parse(&[1, 0, 0, 0]), Err(MetadataError::Malformed));
        assert_eq!(Metadata::parse(&vec![0; MAX_METADATA_BYTES + 1]), Err(MetadataError::TooLarge));
    }

    proptest! {
        #[test]
        fn any_bytes_are_metadata_or_an_error(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            if let Ok(metadata) = Metadata::parse(&bytes) {
                let sum: usize = metadata.iter().map(|(n, v)| 4 + n.len() + v.len()).sum();
                prop_assert_eq!(sum, bytes.len());
            }
        }
    }
}
