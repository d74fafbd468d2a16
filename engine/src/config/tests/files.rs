//! Files that cannot be read, and texts that are not TOML.

use super::*;

#[test]
fn a_file_without_functions_shows_two_lines() {
    let expected = "nightcore.toml: there is no function in it; a function takes two lines:\n\n    \
                    [functions.Foo]\n    command = [\"./foo\"]";
    for text in ["", "# nothing\n", "[gateway]\n", "[functions]\n"] {
        assert_eq!(Fixture::new().errors(text), expected);
    }
}

#[test]
fn syntax_errors_come_alone() {
    assert_eq!(
        Fixture::new().errors(
            "[functions.Foo]\ncommand = [\"./foo\"]\nbogus = 1\ncommand = []\n[functions.Foo]\n"
        ),
        r#"nightcore.toml:4:1: duplicate key "command"
  4 | command = []
    | ^^^^^^^

nightcore.toml:5:12: duplicate key "Foo"
  5 | [functions.Foo]
    |            ^^^"#
    );
    let shown = messages("[functions.Foo]\ncommand = [\"./foo]\nbogus = 1\n");
    assert!(shown[0].starts_with("2:"), "{shown:?}");
    let shown = messages("[functions.Foo]\ncommand = ./foo\nx = 'a\n");
    assert!(shown[0].starts_with("2:11: "), "{shown:?}");
    assert!(shown.iter().any(|message| message.starts_with("3:")), "{shown:?}");
}

#[test]
fn files_that_cannot_be_read() {
    let fixture = Fixture::new();
    let directory = format!("{}/", fixture.directory.path().display());
    let error = |path: &Path| {
        Config::load(path, &[], Purpose::Serve).unwrap_err().to_string().replace(&directory, "")
    };
    assert_eq!(
        error(&fixture.path()),
        "nightcore.toml: no such file; name another one, or create it with these two lines:\n\n    \
         [functions.Foo]\n    command = [\"./foo\"]"
    );
    assert_eq!(error(&fixture.directory.path().join("data")), "data: is a directory, not a file");

    fs::write(fixture.path(), b"[functions.Foo]\ncommand = [\"\xff\"]\n").unwrap();
    assert_eq!(
        error(&fixture.path()),
        "nightcore.toml:2:13: the text is not valid UTF-8\n  2 | command = [\"\u{fffd}\"]\n    \
         |             ^"
    );

    let limit = usize::try_from(MAX_FILE_BYTES).unwrap();
    let mut text = b"[functions.Foo]\ncommand = [\"./foo\"]\n".to_vec();
    text.resize(limit, b'\n');
    fs::write(fixture.path(), &text).unwrap();
    assert!(Config::load(&fixture.path(), &[], Purpose::Serve).is_ok());
    text.push(b'\n');
    fs::write(fixture.path(), &text).unwrap();
    assert_eq!(error(&fixture.path()), "nightcore.toml: the file is larger than 1MiB");
}

#[test]
fn a_byte_order_mark_and_carriage_returns_are_taken() {
    let config = parse_ok("\u{feff}[functions.Foo]\r\ncommand = ['./foo']\r\n");
    assert_eq!(config.functions[0].line, 1);
}

#[test]
fn very_many_errors_are_counted() {
    let keys: Vec<_> = (0..20_000).map(|index| format!("a{index} = 1")).collect();
    let shown = Fixture::new().errors(&format!("functions = {{ {} }}", keys.join(", ")));
    assert!(shown.ends_with("\n\nand 19980 more"), "{shown}");
}

#[test]
fn deep_nesting_is_an_error() {
    let deep = "[".repeat(100_000);
    assert!(Fixture::new().parse(&format!("a = {deep}")).is_err());
    let dotted = vec!["a"; 100_000].join(".");
    assert!(Fixture::new().parse(&format!("{dotted} = 1")).is_err());
}
