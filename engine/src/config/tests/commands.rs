//! Commands, working directories and the variables that processes get.

use super::*;

#[test]
fn commands() {
    let error = |command: &str| {
        let messages = messages(&format!("[functions.Foo]\ncommand = {command}\n"));
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages[0].clone()
    };
    assert_eq!(
        error("'python3 bar.py'"),
        "2:11: command: expected an array of strings, found string; \
         write command = [\"python3\", \"bar.py\"]"
    );
    assert_eq!(
        error("''"),
        r#"2:11: command: expected an array of strings, found string; write command = ["./foo"]"#
    );
    assert_eq!(
        error("[]"),
        "2:11: command: the array is empty; \
         write the program and its arguments, such as [\"./foo\"]"
    );
    assert_eq!(error("['']"), "2:12: command[0]: the program's name is empty");
    assert_eq!(error("['./foo', 1]"), "2:21: command[1]: expected a string, found integer");
    assert_eq!(
        error(r#"["./foo", "a\u0000"]"#),
        "2:21: command[1]: a NUL character cannot be passed on"
    );
    assert_eq!(error("3"), r#"2:11: command: expected an array such as ["./foo"], found integer"#);
    assert_eq!(error("['./nowhere']"), "2:12: command not found: nowhere");
    assert_eq!(error("['./plain']"), "2:12: not executable: plain");
    assert_eq!(error("['./data']"), "2:12: not a file: data");
    assert_eq!(
        error("['foo']"),
        "2:12: command not found: \"foo\" is not in PATH; \
         write \"./foo\" for a program beside this file"
    );
    assert_eq!(
        messages("[functions.Foo]\n"),
        [r#"1:12: [functions.Foo] has no command; write, for example, command = ["./foo"]"#]
    );
}

#[test]
fn commands_ignore_cwd_and_heed_the_path_of_env() {
    let fixture = Fixture::new();
    let config = fixture.parse("[functions.Foo]\ncommand = ['./foo']\ncwd = 'data'\n").unwrap();
    assert_eq!(config.functions[0].program, config.directory.join("foo"));
    let path = config.directory.display();
    let config = fixture
        .parse(&format!("[functions.Foo]\ncommand = ['foo']\nenv.PATH = '{path}'\n"))
        .unwrap();
    assert_eq!(config.functions[0].program, config.directory.join("foo"));
}

#[test]
fn working_directories_and_variables() {
    let cases = [
        ("cwd = 'nowhere'", "cwd: no such directory: nowhere"),
        ("cwd = 'plain'", "cwd: not a directory: plain"),
        ("cwd = ''", r#"cwd: the path is empty; for the directory of this file write ".""#),
        ("env = { '' = 'x' }", r#""" cannot be the name of a variable"#),
        ("env = { 'A=B' = 'x' }", r#""A=B" cannot be the name of a variable"#),
        (r#"env.A = "\u0000""#, "env.A: a NUL character cannot be passed on"),
    ];
    for (keys, expected) in cases {
        assert_eq!(function_error(keys), expected);
    }
}
