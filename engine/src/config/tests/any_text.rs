//! No text makes the reader of a configuration panic.

use super::*;
use proptest::prelude::*;
use std::path::Path;

/// Generates a piece of text that the grammar or the checks treat specially.
fn token() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "[",
            "]",
            "{",
            "}",
            "=",
            ".",
            ",",
            "\"",
            "'",
            "\"\"\"",
            "'''",
            "\n",
            "\r",
            "#",
            "\\",
            "\\u",
            "0x",
            "-",
            "1",
            "99999999999999999999",
            "1.5",
            "inf",
            "nan",
            "1979-05-27",
            "true",
            "functions",
            "Foo",
            "command",
            "[functions.Foo]",
            "[[functions]]",
            "[functions.Foo.env]",
            "timeout",
            "workers",
            "min",
            "max",
            "\"5s\"",
            "\u{feff}",
            "\0",
            "é",
            "\u{1b}",
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

proptest! {
    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = reading(&text, Path::new("nightcore.toml"));
    }

    #[test]
    fn no_mix_of_tokens_panics(tokens in prop::collection::vec(token(), 0..40)) {
        let _ = reading(&tokens.concat(), Path::new("nightcore.toml"));
    }

    #[test]
    fn no_mutation_of_a_good_file_panics(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..20, token()), 1..6),
    ) {
        let mut text = FULL.to_owned();
        for (at, removed, inserted) in edits {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary(start + removed).max(start);
            text.replace_range(start..end, &inserted);
        }
        let _ = reading(&text, Path::new("nightcore.toml"));
    }
}
