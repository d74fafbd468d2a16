//! Words that only a shell would expand: `~/app`, `$HOME/app`. No shell reads the configuration.

use super::quote::quoted;

/// Words by which a shell joins commands or redirects what they print.
const OPERATORS: [&str; 8] = ["&&", "||", "|", "&", ">", ">>", "<", "2>&1"];

/// What is wrong with a word that a shell would expand, and what to write instead.
///
/// A dollar sign counts if the name behind it is that of a variable that is set, since it has other
/// meanings in patterns, templates and passwords.
pub(super) fn problem(word: &str, is_set: impl Fn(&str) -> bool) -> Option<String> {
    let home = std::env::var("HOME").ok();
    if word == "~" || word.starts_with("~/") {
        let meant = home.map(|home| word.replacen('~', &home, 1));
        return Some(told("~", meant));
    }
    let (name, shown) = variables(word).find(|(name, _)| is_set(name))?;
    // Values of other variables could be secrets.
    let meant = home.filter(|_| name == "HOME").map(|home| word.replacen(shown, &home, 1));
    Some(told(shown, meant))
}

fn told(shown: &str, meant: Option<String>) -> String {
    let meant = meant.map_or("the value itself".to_owned(), |meant| quoted(&meant));
    format!("no shell expands {shown} here; write {meant}")
}

/// The names of variables in a word, each with how it stands there.
fn variables(word: &str) -> impl Iterator<Item = (&str, &str)> {
    word.match_indices('$').filter_map(move |(at, _)| {
        let rest = &word[at + 1..];
        let (name, len) = match rest.strip_prefix('{') {
            Some(rest) => {
                let name = rest.split_once('}')?.0;
                (name, name.len() + 3)
            }
            None => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                let name = &rest[..end.unwrap_or(rest.len())];
                (name, name.len() + 1)
            }
        };
        (!name.is_empty()).then(|| (name, &word[at..at + len]))
    })
}

/// What is wrong with an argument that joins commands in a shell.
pub(super) fn operator(word: &str) -> Option<String> {
    OPERATORS.contains(&word).then(|| {
        format!(
            "no shell reads the command, so {} is an argument of the program; \
             for a shell write [\"sh\", \"-c\", \"...\"]",
            quoted(word)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_would_expand() {
        let is_set = |name: &str| matches!(name, "HOME" | "TOKEN");
        for (word, shown) in [
            ("~", Some("~")),
            ("~/app", Some("~")),
            ("$HOME/app", Some("$HOME")),
            ("--file=${HOME}/x", Some("${HOME}")),
            ("a$OTHER$TOKEN", Some("$TOKEN")),
            ("$OTHER", None),
            ("^a$", None),
            ("$1", None),
            ("${HOME", None),
            ("${}", None),
            ("$", None),
            ("a~", None),
            ("~user", None),
            ("$HOMEé", Some("$HOME")),
        ] {
            let problem = problem(word, is_set);
            assert_eq!(problem.is_some(), shown.is_some(), "{word}: {problem:?}");
            if let (Some(problem), Some(shown)) = (problem, shown) {
                let start = format!("no shell expands {shown} here; write ");
                assert!(problem.starts_with(&start), "{word}: {problem}");
            }
        }
        let token = problem("$TOKEN", is_set).unwrap();
        assert!(token.ends_with("write the value itself"), "{token}");
    }

    #[test]
    fn operators_of_shells() {
        assert!(operator("&&").is_some_and(|text| text.contains("\"&&\"")));
        assert_eq!(operator("a|b"), None);
    }
}
