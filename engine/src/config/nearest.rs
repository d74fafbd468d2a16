//! Finds the known word that an unknown word was probably meant to be.

/// The length in characters above which a word is not compared: such a word is not a typing
/// mistake, and the comparison would be slow.
const MAX_CHARS: usize = 64;

/// Returns the known word that is nearest to `word`, if at most about a third of it differs.
pub(super) fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    if word.chars().nth(MAX_CHARS).is_some() {
        return None;
    }
    let word = word.to_lowercase().replace('-', "_");
    let distance = |known: &str| strsim::osa_distance(&word, known);
    let best = known.iter().copied().min_by_key(|known| distance(known))?;
    let allowed = (best.chars().count() / 3).max(1);
    (distance(best) <= allowed).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["command", "cwd", "env", "timeout", "max_depth"];

    #[test]
    fn finds_typing_mistakes() {
        assert_eq!(nearest("timout", KNOWN), Some("timeout"));
        assert_eq!(nearest("tiemout", KNOWN), Some("timeout"));
        assert_eq!(nearest("Command", KNOWN), Some("command"));
        assert_eq!(nearest("max-depth", KNOWN), Some("max_depth"));
        assert_eq!(nearest("evn", KNOWN), Some("env"));
    }

    #[test]
    fn does_not_guess_wildly() {
        assert_eq!(nearest("image", KNOWN), None);
        assert_eq!(nearest("", KNOWN), None);
        assert_eq!(nearest(&"timeout".repeat(1000), KNOWN), None);
        assert_eq!(nearest("x", &[]), None);
    }
}
