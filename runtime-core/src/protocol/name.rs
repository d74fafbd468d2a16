//! Names of functions.

use super::limits::MAX_NAME_BYTES;

/// The rule as a regular expression, which a name matches as a whole.
pub const PATTERN: &str = "[A-Za-z_][A-Za-z0-9_-]{0,62}";

/// Returns whether a function may have this name.
pub fn is_valid(name: &str) -> bool {
    let bytes = name.as_bytes();
    let Some(first) = bytes.first() else { return false };
    bytes.len() <= MAX_NAME_BYTES
        && (first.is_ascii_alphabetic() || *first == b'_')
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_has_the_limit() {
        let rest = MAX_NAME_BYTES - 1;
        assert_eq!(PATTERN, format!("[A-Za-z_][A-Za-z0-9_-]{{0,{rest}}}"));
    }

    #[test]
    fn names_follow_the_pattern() {
        for good in ["a", "_", "Foo", "foo-bar_9", &"x".repeat(63)] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", "9a", "-a", "a b", "a/b", "é", "a\0", &"x".repeat(64)] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
