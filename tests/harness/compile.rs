//! Compiles C and C++ workers against the header and the shared library of this build.

use crate::build::profile_dir;
use crate::repository;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The library name that programs linked with the shared library load when they start.
const SONAME: &str = "libnightcore.so.0";
const FLAGS: [&str; 7] = ["-g", "-O1", "-pedantic", "-Wall", "-Wextra", "-Wshadow", "-Werror"];

/// Returns the program of this name, built from these sources. A program that was built from the
/// same sources before is reused.
pub(crate) fn program(name: &str, sources: &[PathBuf], headers: &[PathBuf]) -> PathBuf {
    let is_cpp = |source: &PathBuf| source.extension().is_some_and(|e| e == "cpp");
    program_in(if sources.iter().any(is_cpp) { "c++17" } else { "c11" }, name, sources, headers)
}

/// Does the same for a given edition of the language.
pub(crate) fn program_in(
    edition: &str,
    name: &str,
    sources: &[PathBuf],
    headers: &[PathBuf],
) -> PathBuf {
    made_once(name, || {
        let include = repository().join("include");
        let public = ["nightcore.h", "nightcore.hpp", "nightcore_testing.hpp"]
            .map(|name| include.join(name));
        let mut command = compiler(edition);
        command.arg("-I").arg(&include).args(sources);
        let read: Vec<&PathBuf> = sources.iter().chain(headers).chain(&public).collect();
        make(name, command, &read, "libnightcore.so")
    })
}

/// Returns the program of this name, built from one C source, the header in this folder, and a
/// library of this build. `flags` are further compiler flags.
pub(crate) fn program_against(
    name: &str,
    source: &PathBuf,
    include: &Path,
    library: &str,
    flags: &[&str],
) -> PathBuf {
    made_once(name, || {
        let mut command = compiler("c11");
        command.args(flags).arg("-I").arg(include).arg(source);
        make(name, command, &[source, &include.join("nightcore.h")], library)
    })
}

/// Builds a program, unless this process has built one of this name. Only one test builds at a
/// time.
fn made_once(name: &str, make: impl FnOnce() -> PathBuf) -> PathBuf {
    static MADE: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if let Some(program) = made.get(name) {
        return program.clone();
    }
    let program = make();
    made.insert(name.to_owned(), program.clone());
    program
}

/// Compiles and links a program, unless the same command has built it from the same files.
fn make(name: &str, mut command: Command, read: &[&PathBuf], library: &str) -> PathBuf {
    let library = profile_dir().join(library);
    let folder = profile_dir().join("test-workers");
    // The folder in which programs find this library under the name that they load.
    let libraries = folder.join(library.file_stem().expect("a library has a name"));
    fs::create_dir_all(&libraries).expect("the target folder is writable");
    link(&library, &libraries.join(SONAME));

    command.args(FLAGS).arg("-pthread").arg(&library);
    command.arg(format!("-Wl,-rpath,{}", libraries.display()));

    let mut hasher = DefaultHasher::new();
    format!("{command:?}").hash(&mut hasher);
    for path in read {
        fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).hash(&mut hasher);
    }
    let program = folder.join(format!("{name}-{:016x}", hasher.finish()));
    if !program.exists() {
        // Another test process may be building the same program, so the program gets its name only
        // when it is complete.
        let part = folder.join(format!("{name}-{}.part", std::process::id()));
        let output = command.arg("-o").arg(&part).output().expect("the compiler runs");
        let messages = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name} cannot be compiled:\n{messages}");
        fs::rename(&part, &program).expect("the target folder is writable");
    }
    program
}

fn link(library: &Path, name: &Path) {
    if fs::read_link(name).is_ok_and(|target| target == library) {
        return;
    }
    let part = name.with_extension(format!("{}.part", std::process::id()));
    symlink(library, &part).expect("the target folder is writable");
    fs::rename(&part, name).expect("the target folder is writable");
}

/// Returns the C or C++ compiler of this machine.
fn compiler(edition: &str) -> Command {
    let target = env!("NIGHTCORE_TARGET");
    let mut build = cc::Build::new();
    build
        .cpp(edition.starts_with("c++"))
        .target(target)
        .host(target)
        .opt_level(1)
        .cargo_metadata(false);
    build.debug(false).warnings(false).std(edition);
    build.get_compiler().to_command()
}
