//! The id by which a person follows a call.

use std::fmt;
use std::str::FromStr;

/// Begins a line of a container's output that is about a call: then come the container's log key,
/// the call's id and a space.
pub const LINE_MARK: u8 = 0x1e;
/// Digits of a call id.
const DIGITS: usize = 16;

/// The secret of one container by which its runtime marks lines as being about a call.
///
/// The launcher makes it and takes a mark from that container's output only. So what a function
/// prints of what it was sent cannot pass for a line about a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LogKey([u8; DIGITS]);

impl LogKey {
    /// The key with this number, which must come from a source of randomness.
    pub fn of_number(number: u64) -> LogKey {
        LogKey(CallId(number).digits())
    }

    /// The key as it is written in a mark and in the environment.
    pub fn digits(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Returns the mark that begins a line about a call.
    pub fn mark(&self, call: CallId) -> Vec<u8> {
        [&[LINE_MARK], &self.0[..], &call.digits(), b" "].concat()
    }
}

impl FromStr for LogKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<LogKey, Self::Err> {
        text.parse().map(|CallId(number)| LogKey::of_number(number))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogKey(..)")
    }
}

/// The id of a call from outside, which is random: no other call has it, of this engine or another,
/// and nobody can guess it. Every internal call that it leads to has it too, so that all that is
/// said about any of them is found by it. Written as 16 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallId(u64);

impl CallId {
    /// The id with this number.
    pub fn new(number: u64) -> CallId {
        CallId(number)
    }

    /// The id that a message carries; `None` for 0, which stands for no id.
    #[inline]
    pub(super) fn from_wire(number: u64) -> Option<CallId> {
        (number != 0).then_some(CallId(number))
    }

    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The id as it is written.
    pub fn digits(self) -> [u8; DIGITS] {
        let mut digits = [0; DIGITS];
        digits[..DIGITS / 2].copy_from_slice(&eight_digits(self.0 >> 32));
        digits[DIGITS / 2..].copy_from_slice(&eight_digits(self.0 & 0xffff_ffff));
        digits
    }
}

impl FromStr for CallId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<CallId, Self::Err> {
        let is_one =
            text.len() == DIGITS && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_one);
        number.map(CallId).ok_or("the id of a call has 16 digits of 0 to 9 and a to f")
    }
}

/// Returns the call that a line of a container's output is about, if it says so by the container's
/// key, and the line without the mark.
pub fn line_of_call(line: &[u8], key: LogKey) -> (Option<CallId>, &[u8]) {
    let told = || {
        let marked = line.strip_prefix(&[LINE_MARK])?.strip_prefix(&key.0)?;
        let (id, text) = marked.split_at_checked(DIGITS)?;
        Some((str::from_utf8(id).ok()?.parse().ok()?, text.strip_prefix(b" ")?))
    };
    told().map_or((None, line), |(id, text)| (Some(id), text))
}

/// The digits of a number of 32 bits, all at once: every external call is told its id.
fn eight_digits(number: u64) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let pairs = (number & 0xffff_0000) << 16 | number & 0xffff;
    let bytes = (pairs & 0x0000_ff00_0000_ff00) << 8 | pairs & 0x0000_00ff_0000_00ff;
    // One of the digits in each byte.
    let values = (bytes & 0x00f0_00f0_00f0_00f0) << 4 | bytes & 0x000f_000f_000f_000f;
    let letters = (values + 6 * ONES) >> 4 & ONES;
    (values + u64::from(b'0') * ONES + letters * u64::from(b'a' - b'9' - 1)).to_be_bytes()
}

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_sixteen_digits() {
        for (number, written) in [
            (0, "0000000000000000"),
            (0x2a_0000_0bcd, "0000002a00000bcd"),
            (u64::MAX, "ffffffffffffffff"),
        ] {
            let id = CallId::new(number);
            assert_eq!(
                (id.to_string().as_str(), str::from_utf8(&id.digits())),
                (written, Ok(written))
            );
        }
    }

    #[test]
    fn only_what_is_written_as_one_is_an_id() {
        assert_eq!("0000002a00000bcd".parse(), Ok(CallId(0x2a_0000_0bcd)));
        for text in ["", "2a", "0000002A00000bcd", "+000002a00000bcd", "0000002a00000bcd0"] {
            assert!(text.parse::<CallId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_line_says_which_call_it_is_about_if_it_has_the_key() {
        let key = LogKey::of_number(0xabc);
        let marked = [&key.mark(CallId(7))[..], b"text"].concat();
        assert_eq!(marked, b"\x1e0000000000000abc0000000000000007 text");
        assert_eq!(line_of_call(&marked, key), (Some(CallId(7)), &b"text"[..]));
        assert_eq!(line_of_call(&key.mark(CallId(7)), key), (Some(CallId(7)), &b""[..]));
        for line in [
            &b"\x1e0000000000000abd0000000000000007 text"[..],
            b"\x1e0000000000000abc0000000000000007",
            b"\x1e0000000000000abc000000000000000x text",
            b"\x1e0000000000000007 text",
            b"0000000000000abc0000000000000007 text",
            b"",
        ] {
            assert_eq!(line_of_call(line, key), (None, line));
        }
    }

    #[test]
    fn a_key_comes_back_from_its_digits_and_is_not_shown() {
        let key = LogKey::of_number(u64::MAX - 1);
        assert_eq!(key.digits().parse(), Ok(key));
        assert!("fffffffffffffffe ".parse::<LogKey>().is_err());
        assert!(!format!("{key:?}").contains("fe"));
    }
}
