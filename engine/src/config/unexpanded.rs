//! Finds words that only a shell would expand, such as `~/app` and `$HOME/app`. No shell reads the
//! configuration, and the configuration expands only variables in braces, such as `${HOME}`.

use super::quote::quoted;

/// The words by which a shell joins commands or redirects their output.
const OPERATORS: [&str; 8] = ["&&", "||", "|", "&", ">", ">>", "<", "2>&1"];

/// Says what is wrong with a word that a shell would expand, and what to write instead. The word is
/// given as the file writes it, because the value of a variable could be a secret.
///
/// A dollar sign counts only if a variable of the name behind it is set, since dollar signs have
/// other meanings in patterns, templates and passwords.
pub(super) fn problem(word: &str, is_set: impl Fn(&str) -> bool) -> Option<String> {
    if word == "~" || word.starts_with("~/") {
        let meant = quoted(&word.replacen('~', "${HOME}", 1));
        return Some(format!("no shell expands ~ here; write {meant}"));
    }
    let name = variables(word).find(|name| is_set(name))?;
    Some(format!("no shell expands ${name} here; write ${{{name}}}"))
}

/// Returns the names of the variables that a shell would expand in a word without braces.
fn variables(word: &str) -> impl Iterator<Item = &str> {
    let names = word.split('$').skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        &rest[..end.unwrap_or(rest.len())]
    });
    names.filter(|name| !name.is_empty())
}

/// Says what is wrong with an argument that is an operator of a shell.
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
    fn words_that_a_shell_would_expand_are_found() {
        let is_set = |name: &str| matches!(name, "HOME" | "TOKEN");
        for (word, shown) in [
            ("~", Some("~")),
            ("~/app", Some("~")),
            ("$HOME/app", Some("$HOME")),
            ("a$OTHER$TOKEN", Some("$TOKEN")),
            ("$OTHER", None),
            ("^a$", None),
            ("$1", None),
            ("${HOME}", None),
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
        let token = problem("a$TOKEN", is_set).unwrap();
        assert!(token.ends_with("write ${TOKEN}"), "{token}");
    }

    #[test]
    fn operators_of_shells() {
        assert!(operator("&&").is_some_and(|text| text.contains("\"&&\"")));
        assert_eq!(operator("a|b"), None);
    }
}
