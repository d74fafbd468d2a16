//! Tests of extensible structs of the C interface: programs and libraries of different versions run
//! together.

use harness::workers::{Version, later_libnightcore, structs};
use harness::{Setup, repository};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The names of the two kinds of worker, with threads and with an event loop.
const SKINS: [&str; 2] = ["threads", "loop"];
/// Programs and libraries of different versions.
const MIXED: [(Version, Version); 2] =
    [(Version::Today, Version::Later), (Version::Later, Version::Today)];
/// Programs and libraries of the same version.
const ALIKE: [(Version, Version); 2] =
    [(Version::Today, Version::Today), (Version::Later, Version::Later)];
/// The error of an older library for a field that it does not know.
const UNKNOWN: &str = "INVALID_ARGUMENT options sets a field of nc_call_options that this \
    libnightcore does not know, as it is older than the program's header: upgrade it, or leave the \
    field zero";

/// Returns the folder with the header of a version. The later header is generated from its sources.
fn include(version: Version) -> &'static Path {
    static LATER: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    static TODAY: OnceLock<PathBuf> = OnceLock::new();
    match version {
        Version::Today => TODAY.get_or_init(|| repository().join("include")),
        Version::Later => {
            let (_dir, path) = LATER.get_or_init(|| {
                let dir = tempfile::tempdir().unwrap();
                let config = repository().join("bindings/c/cbindgen.toml");
                let bindings = cbindgen::Builder::new()
                    .with_src(later_libnightcore().join("lib.rs"))
                    .with_config(cbindgen::Config::from_file(config).unwrap())
                    .generate()
                    .unwrap();
                bindings.write_to_file(dir.path().join("nightcore.h"));
                let path = dir.path().to_owned();
                (dir, path)
            });
            path
        }
    }
}

/// Runs both kinds of worker for each pair of header and library, under another program if `under`
/// has its command. Returns the text of each function, by the kind of worker and the pair.
fn run(pairs: &[(Version, Version)], under: &[&str]) -> BTreeMap<String, String> {
    let today = structs(Version::Today, include(Version::Today), Version::Today);
    let mut setup = Setup::new().command("Seen", &[today.to_str().unwrap(), "seen"], "");
    let mut names = Vec::new();
    for (header, library) in pairs {
        let program = structs(*header, include(*header), *library);
        for skin in SKINS {
            let name = format!("{skin}{header:?}{library:?}");
            let command = [under, &[program.to_str().unwrap(), skin, &name]].concat();
            setup = setup.command(&name, &command, "");
            names.push(name);
        }
    }
    let engine = setup.start();
    let mut told = BTreeMap::new();
    for name in names {
        let first = engine.text(&name, "");
        // The function is called again, because an event loop goes on with structs of other sizes.
        assert_eq!(engine.text(&name, ""), first);
        told.insert(name, first);
    }
    engine.terminate();
    engine.wait_until_gone();
    // The engine's log has the errors that valgrind has found.
    let wrong = |line: &&str| line.contains("==") && !under.is_empty();
    let wrong: Vec<String> = engine.stderr().lines().filter(wrong).map(str::to_owned).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    told
}

/// Checks the texts of the functions of a pair: how a call with the new field ended, and the value
/// of the new field of an event.
fn check(told: &BTreeMap<String, String>, pair: (Version, Version), call: &str, event: &str) {
    let (header, library) = pair;
    let test_run =
        call.replace("options sets", "request sets").replace("nc_call_options", "nc_test_request");
    assert_eq!(
        told[&format!("threads{header:?}{library:?}")],
        format!(
            "nc_call_with: {call}\nnc_call_start: {call}\nnc_process_call: {call}\n\
             nc_process_call_start: {call}\nnc_test_run: {test_run}\n"
        )
    );
    assert_eq!(
        told[&format!("loop{header:?}{library:?}")],
        format!(
            "nc_call_start: {call}\nnc_worker_next: gave {event}\n\
             nc_worker_next_many: gave {event}\n"
        )
    );
}

fn check_mixed(told: &BTreeMap<String, String>) {
    check(told, (Version::Today, Version::Later), "nothing to set", "0x6c6174657221");
    check(told, (Version::Later, Version::Today), UNKNOWN, "0");
}

#[test]
fn programs_run_with_older_and_newer_libraries() {
    let told = run(&[MIXED, ALIKE].concat(), &[]);
    check_mixed(&told);
    check(&told, (Version::Today, Version::Today), "nothing to set", "0");
    // The field exists. It is read and written if both sides know it.
    let call = "INVALID_ARGUMENT later is 7";
    check(&told, (Version::Later, Version::Later), call, "0x6c6174657221");
}

#[test]
fn they_touch_no_memory_that_is_not_theirs() {
    let found = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !found.is_ok_and(|status| status.success()) {
        println!("skipped: valgrind is not installed");
        return;
    }
    let valgrind = [
        "valgrind",
        "--quiet",
        "--error-exitcode=9",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
    ];
    check_mixed(&run(&MIXED, &valgrind));
}

/// Returns a header without its comments.
fn header(version: Version) -> String {
    let text = fs::read_to_string(include(version).join("nightcore.h")).unwrap();
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// Returns the structs of a header that begin with their size, with their texts.
fn extensible(header: &str) -> BTreeMap<&str, &str> {
    let structs = header.split("typedef struct {").skip(1).map(|rest| {
        let (fields, rest) = rest.split_once("\n} ").unwrap();
        (rest.split_once(';').unwrap().0, fields)
    });
    structs.filter(|(_, fields)| fields.contains("struct_size;")).collect()
}

/// Returns the functions of a header that take a pointer to one of these structs.
fn takers<'a>(header: &'a str, structs: &BTreeSet<&str>) -> BTreeSet<&'a str> {
    let functions = header.split(';').filter_map(|text| {
        let (head, parameters) = text.split_once("(")?;
        let name = head.rsplit([' ', '*', '\n']).next()?;
        Some((name.strip_prefix("nc_").map(|_| name)?, parameters))
    });
    let takes = |parameters: &str| {
        let mut words = parameters.split(|c: char| !c.is_alphanumeric() && c != '_');
        words.any(|word| structs.contains(word))
    };
    functions.filter(|(_, parameters)| takes(parameters)).map(|(name, _)| name).collect()
}

#[test]
fn no_struct_and_no_function_is_forgotten() {
    let (today, later) = (header(Version::Today), header(Version::Later));
    let (today_structs, later_structs) = (extensible(&today), extensible(&later));
    let names: BTreeSet<&str> = today_structs.keys().copied().collect();
    assert!(names.contains("nc_call_options") && names.contains("nc_event"), "{names:?}");

    // Each struct has a constant with its smallest size, and is declared with `extensible!`.
    for name in &names {
        let constant = format!("#define {}_MIN_SIZE ", name.to_uppercase());
        assert!(today.contains(&constant), "nightcore.h has no {constant}");
    }
    let mut declared = BTreeSet::new();
    for entry in fs::read_dir(repository().join("bindings/c/src")).unwrap() {
        let path = entry.unwrap().path();
        let source = fs::read_to_string(&path).unwrap();
        let rules = path.ends_with("extensible.rs");
        for text in source.split("extensible!(").skip(1).filter(|_| !rules) {
            declared.insert(text.split_whitespace().next().unwrap().to_owned());
        }
        let reads = source.contains(".struct_size") || source.contains(").struct_size");
        assert!(rules || !reads, "{} reads a size by itself", path.display());
    }
    assert_eq!(names, declared.iter().map(String::as_str).collect());

    // In the later library each struct has one more field. The rest of the header is the same.
    assert_eq!(names, later_structs.keys().copied().collect());
    for (name, fields) in &later_structs {
        assert_eq!(*fields, format!("{}\n    uint64_t later;", today_structs[name]), "{name}");
    }

    // The worker has tried each function that takes such a struct, with structs of all sizes.
    let told = run(&[(Version::Today, Version::Today)], &[]);
    let tried: BTreeSet<&str> = told
        .values()
        .flat_map(|lines| lines.lines().map(|line| line.split_once(':').unwrap().0))
        .collect();
    assert_eq!(takers(&today, &names), tried);
}
