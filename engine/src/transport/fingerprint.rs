//! Fingerprints a call's input, so that an input that crashed a worker is recognized when it comes
//! again.
//!
//! The fingerprint covers the body and the metadata that select what is being asked for. The rest
//! of a request's metadata differs from one sending to the next: dates, ids of requests and of
//! traces, the sender's name.

use super::payload::Payload;
use crate::ids::Fingerprint;
use nightcore_runtime::protocol::Metadata;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::LazyLock;

/// Names of metadata that belong to the input, besides those that begin with `:`.
const NAMES: [&str; 2] = ["content-type", "content-encoding"];
/// Bytes of a body that are hashed in one piece.
const PIECE_BYTES: usize = 4096;
/// Large bodies are sampled: at most this many pieces are hashed, which takes about 50 µs.
const MAX_PIECES: u64 = 64;

/// The hash's keys differ in each engine, so nobody can make two inputs with the same fingerprint.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

impl Payload {
    /// Fingerprints the input: the body, and the metadata that select what is being asked for.
    ///
    /// Equal inputs have equal fingerprints, whoever sends them and whenever. Different inputs most
    /// likely have different ones.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hasher = KEYS.build_hasher();
        let mut metadata = vec![0; self.metadata_len()];
        self.copy_metadata(&mut metadata);
        // Malformed metadata is an input, too: the worker refuses it.
        let metadata = Metadata::parse(&metadata).unwrap_or_default();
        let selecting =
            metadata.iter().filter(|(name, _)| name.starts_with(':') || NAMES.contains(name));
        for part in selecting.flat_map(|(name, value)| [name.as_bytes(), value]) {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        let len = self.body_len();
        hasher.write_u64(len);
        let mut piece = [0; PIECE_BYTES];
        for offset in offsets(len) {
            let bytes = (len - offset).min(PIECE_BYTES as u64) as usize;
            self.copy_body(offset, &mut piece[..bytes]);
            hasher.write(&piece[..bytes]);
        }
        Fingerprint::new(hasher.finish())
    }
}

/// The offsets of the pieces that are hashed. These are all pieces of a small body, and
/// [`MAX_PIECES`] of a large one, spread evenly from the first to the last.
fn offsets(len: u64) -> impl Iterator<Item = u64> {
    let all = len.div_ceil(PIECE_BYTES as u64);
    let last = len.saturating_sub(PIECE_BYTES as u64);
    (0..all.min(MAX_PIECES)).map(move |piece| match all <= MAX_PIECES {
        true => piece * PIECE_BYTES as u64,
        false => {
            last / (MAX_PIECES - 1) * piece + last % (MAX_PIECES - 1) * piece / (MAX_PIECES - 1)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use nightcore_runtime::protocol::MetadataBuffer;

    fn of(pairs: &[(&str, &str)], body: impl Into<Bytes>) -> Fingerprint {
        let mut metadata = MetadataBuffer::new();
        for (name, value) in pairs {
            metadata.push(name, value.as_bytes()).unwrap();
        }
        Payload::Http { metadata, body: body.into() }.fingerprint()
    }

    #[test]
    fn a_fingerprint_covers_the_request_and_not_its_sender() {
        let post = [(":method", "POST"), (":path", "/a")];
        let one = of(&post, "body");
        let sent_again = [&post[..], &[("date", "now"), ("x-request-id", "7")]].concat();
        assert_eq!(of(&sent_again, "body"), one);
        let typed = [&post[..], &[("content-type", "text/plain")]].concat();
        let others = [
            of(&post, "bodz"),
            of(&post, "body "),
            of(&post, ""),
            of(&[(":method", "POST"), (":path", "/b")], "body"),
            of(&[(":method", "POST"), (":path", "/abody")], ""),
            of(&typed, "body"),
            of(&[], "body"),
        ];
        assert!(others.iter().all(|other| *other != one));
    }

    #[test]
    fn large_bodies_are_told_apart_at_little_cost() {
        for len in [1, PIECE_BYTES, 300_000, 1 << 20, (32 << 20) + 7] {
            let pieces: Vec<u64> = offsets(len as u64).collect();
            assert!(pieces.len() as u64 <= MAX_PIECES && pieces.is_sorted(), "{len}: {pieces:?}");
            let [first, .., last] = [&[0][..], &pieces, &[]].concat()[..] else {
                panic!("{pieces:?}")
            };
            assert_eq!((first, last.max(1)), (0, (len.saturating_sub(PIECE_BYTES) as u64).max(1)));
            let body = vec![1; len];
            let mut other = body.clone();
            other[len - 1] = 2;
            assert_ne!(of(&[], body), of(&[], other));
        }
        assert_eq!(offsets(0).count(), 0);
        let pieces: Vec<u64> = offsets(MAX_PIECES * PIECE_BYTES as u64).collect();
        assert!(pieces.windows(2).all(|pair| pair[1] - pair[0] == PIECE_BYTES as u64));
    }
}
