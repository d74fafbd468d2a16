//! Counts the HTTP/2 frames that a client sends, so that a turn is bounded by the work in it and
//! not only by its bytes.
//!
//! A frame that carries almost nothing, such as PRIORITY, has 14 bytes and costs about 100 ns. A
//! turn of 32 KiB of such frames takes a hundred times as long as the same bytes of a body.

/// The maximum number of frames in one turn: about 10 µs of work. A request with a body has at
/// least two frames, and the frames of a body are 16 KiB long.
const MAX_FRAMES_IN_TURN: usize = 64;
/// The minimum size of a read, so that a client that has sent many short frames makes progress.
const MIN_READ_BYTES: usize = 512;
/// The bytes with which an HTTP/2 client begins. They are not a frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The size of a frame's head: three bytes of length, and six that do not matter here.
const HEAD_BYTES: usize = 9;

/// Counts the frames in the bytes that are read from a client.
#[derive(Debug)]
pub(super) struct Frames {
    at: At,
    /// The maximum size of the next read.
    read_bytes: usize,
    most_bytes: usize,
}

/// The position of the next byte in the client's stream.
#[derive(Clone, Copy, Debug)]
enum At {
    /// In the preface, of which this many bytes have arrived.
    Preface(usize),
    /// In the head of a frame: the number of its bytes that have arrived, and the length read so
    /// far.
    Head { come: usize, length: usize },
    /// In a frame that has this many bytes left.
    Payload(usize),
    /// The client speaks HTTP/1.
    Other,
}

impl Frames {
    /// Starts at the beginning of a client's stream. A read has at most `most_bytes`.
    pub(super) fn new(most_bytes: usize) -> Frames {
        Frames { at: At::Preface(0), read_bytes: most_bytes, most_bytes }
    }

    /// Returns the maximum size of the next read, if it is below the usual one.
    #[inline]
    pub(super) fn read_bytes(&self) -> Option<usize> {
        (self.read_bytes < self.most_bytes).then_some(self.read_bytes)
    }

    /// Counts the frames in bytes that were read. Returns true if there were so many that the turn
    /// is over.
    #[inline]
    pub(super) fn note(&mut self, bytes: &[u8]) -> bool {
        if matches!(self.at, At::Other) || bytes.is_empty() {
            return false;
        }
        let frames = self.count(bytes);
        if frames > MAX_FRAMES_IN_TURN {
            let fits = bytes.len() * MAX_FRAMES_IN_TURN / frames;
            self.read_bytes = fits.clamp(MIN_READ_BYTES, self.most_bytes);
        } else if frames < MAX_FRAMES_IN_TURN / 2 {
            self.read_bytes = (2 * self.read_bytes).min(self.most_bytes);
        }
        frames >= MAX_FRAMES_IN_TURN / 2
    }

    /// Returns the number of frames whose heads end in these bytes.
    fn count(&mut self, mut bytes: &[u8]) -> usize {
        let mut frames = 0;
        while let [first, rest @ ..] = bytes {
            match &mut self.at {
                At::Preface(come) if PREFACE[*come] == *first => {
                    *come += 1;
                    if *come == PREFACE.len() {
                        self.at = At::Head { come: 0, length: 0 };
                    }
                    bytes = rest;
                }
                At::Preface(_) | At::Other => {
                    self.at = At::Other;
                    return frames;
                }
                At::Head { come, length } => {
                    if *come < 3 {
                        *length = *length << 8 | usize::from(*first);
                    }
                    *come += 1;
                    if *come == HEAD_BYTES {
                        frames += 1;
                        self.at = At::Payload(*length);
                    }
                    bytes = rest;
                }
                At::Payload(left) => {
                    let skipped = (*left).min(bytes.len());
                    *left -= skipped;
                    bytes = &bytes[skipped..];
                    if *left == 0 {
                        self.at = At::Head { come: 0, length: 0 };
                    }
                }
            }
        }
        frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0; HEAD_BYTES + length];
        frame[..3].copy_from_slice(&(length as u32).to_be_bytes()[1..]);
        frame
    }

    #[test]
    fn frames_are_counted_however_they_are_cut() {
        let frames = [0, 5, 300, 0, 70_000, 1].map(frame).concat();
        let all = [PREFACE, &frames].concat();
        for piece in [1, 2, 7, 64, 1000, all.len()] {
            let mut counter = Frames::new(32 * 1024);
            let counted: usize = all.chunks(piece).map(|piece| counter.count(piece)).sum();
            assert_eq!(counted, 6, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_client_of_many_short_frames_is_read_in_small_parts() {
        let mut counter = Frames::new(32 * 1024);
        assert!(!counter.note(PREFACE) && counter.read_bytes().is_none());
        let short = frame(5).repeat(2000);
        assert!(counter.note(&short), "its turn is over");
        assert_eq!(counter.read_bytes(), Some(MAX_FRAMES_IN_TURN * 14));
        for _ in 0..10 {
            assert!(!counter.note(&frame(16 * 1024)));
        }
        assert_eq!(counter.read_bytes(), None);
    }

    #[test]
    fn http_1_has_no_frames() {
        let mut counter = Frames::new(32 * 1024);
        assert!(!counter.note(b"POST /function/Foo HTTP/1.1\r\n"));
        assert!(!counter.note(&[0; 4096]));
        assert!(matches!(counter.at, At::Other));
    }
}
