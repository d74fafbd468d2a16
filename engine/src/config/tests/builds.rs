//! Functions that are built before they run.

use super::*;

/// The functions of a fixture whose program `new` and script `new.js` are not built yet.
const UNBUILT: &str = "[functions.Foo]\ncommand = ['./new']\nbuild = ['cc', '-o', 'new', 'a b.c']\n\
                       [functions.Bar]\ncommand = ['sh', 'new.js']\nbuild = ['tsc']\n\
                       cwd = 'data'\n";

#[test]
fn a_program_that_is_to_be_built_may_be_missing_only_while_it_is_written() {
    let fixture = Fixture::new();
    let said = fixture.errors(UNBUILT);
    let directory = fixture.directory.path().canonicalize().unwrap();
    let place = directory.display();
    assert!(
        said.contains(&format!(
            "2:12: command not found: new; it is made by its build: run \"cc -o new 'a b.c'\" in \
             {place}, or start nightcore dev, which runs it"
        )),
        "{said}"
    );
    assert!(said.contains("sh finds no file data/new.js; it is made by its build: run \"tsc\" in"));
    let config = parse(UNBUILT, &fixture.path(), &[], Purpose::Develop, &lookup).unwrap();
    assert_eq!(config.functions[0].program, directory.join("new"));
    assert_eq!(config.functions[1].program.file_name().unwrap(), "sh");
    // A program that no build makes must still exist.
    let toml = "[functions.Foo]\ncommand = ['new']\nbuild = ['make']\n";
    assert!(parse(toml, &fixture.path(), &[], Purpose::Develop, &lookup).is_err());
    assert!(!fixture.errors(toml).contains("made by its build"), "it is looked up in PATH");
    let toml = "[functions.Foo]\ncommand = ['./new']\n";
    assert!(parse(toml, &fixture.path(), &[], Purpose::Develop, &lookup).is_err());
    // If the program exists, no message mentions its build.
    let toml = "[functions.Foo]\ncommand = ['./plain']\nbuild = ['make']\n";
    assert!(!fixture.errors(toml).contains("build"));
}

#[test]
fn a_build_is_a_command_that_is_printed_as_it_is_written() {
    let fixture = Fixture::new();
    let toml = "[defaults]\nbuild = ['make', '${COUNT}']\n[functions.Foo]\ncommand = ['./foo']\n\
                [functions.Bar]\ncommand = ['./foo']\nbuild = ['./foo', \"it's\"]\n\
                [functions.Plain]\ncommand = ['./foo']\nbuild = []\n";
    let config = fixture.parse(toml).unwrap();
    let [foo, bar, plain] = &config.functions[..] else { panic!("{config:?}") };
    assert_eq!(plain.keys.build, None);
    let words = |function: &FunctionConfig| function.keys.build.clone().unwrap().words;
    assert_eq!(words(foo), ["make", "3"]);
    assert_eq!(foo.keys.build.as_ref().unwrap().to_string(), "make '${COUNT}'");
    assert_eq!(bar.keys.build.as_ref().unwrap().to_string(), r"./foo 'it'\''s'");
    let printed = config.to_toml();
    assert!(printed.contains("build = [\"make\", \"${COUNT}\"]"), "{printed}");
    assert_eq!(words(&fixture.parse(&printed).unwrap().functions[1]), words(bar));
    let directory = fixture.directory.path().canonicalize().unwrap();
    assert_eq!(
        bar.find_builder(&directory, bar.keys.build.as_ref().unwrap()),
        Ok(directory.join("foo"))
    );
    assert!(foo.keys.keeps_processes(&Keys { build: None, ..foo.keys.clone() }));
    let wrong = fixture.errors("[functions.Foo]\ncommand = ['./foo']\nbuild = 'go build'\n");
    assert!(wrong.contains("write build = [\"go\", \"build\"]"), "{wrong}");
    let joined = fixture.parse("[functions.Foo]\ncommand = ['./foo']\nbuild = ['a', '&&', 'b']\n");
    assert_eq!(joined.unwrap().warnings.len(), 1);
}
