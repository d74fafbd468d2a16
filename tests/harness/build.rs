//! The programs that a test starts. They are built once in each test process, because cargo does
//! not build another package's programs for a test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The packages whose programs and libraries tests use.
const PACKAGES: [&str; 5] =
    ["nightcore-engine", "nightcore-c", "nightcore-c-later", "hello-rust", "nightcore-test-worker"];
/// The programs of these packages.
const PROGRAMS: [&str; 3] = ["nightcore", "hello-rust", "nightcore-test-worker"];

/// Returns the folder of this profile, which contains cargo's build output.
pub(crate) fn profile_dir() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        // A test is TARGET/PROFILE/deps/test; the conformance suite is
        // TARGET/PROFILE/nightcore-conformance.
        let folder = test.parent().expect("tests lie in a target folder");
        let profile =
            if folder.ends_with("deps") { folder.parent().expect("as above") } else { folder };
        let status = cargo_build(profile).status().expect("cargo runs");
        assert!(status.success(), "the engine and the workers cannot be built");
        profile.to_owned()
    })
}

/// Returns the command that builds what tests use, for the profile with this folder.
///
/// The features of a dependency follow from the selected packages. In the test profile all packages
/// are selected, as in tests/run.sh, because another selection would build the engine and its
/// dependencies again. A release build is for measurements, so it has only the features that users
/// get.
fn cargo_build(profile: &Path) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--target-dir"]);
    cargo.arg(profile.parent().expect("a profile lies in a target folder"));
    if profile.ends_with("release") {
        cargo.arg("--release");
        cargo.args(PACKAGES.iter().flat_map(|package| ["-p", package]));
    } else {
        cargo.args(["--workspace", "--lib"]);
        cargo.args(PROGRAMS.iter().flat_map(|program| ["--bin", program]));
    }
    cargo.current_dir(crate::repository());
    cargo
}

/// Builds the shared library of the later libnightcore, and returns its sources; see
/// `tests/c/later`.
pub(crate) fn later_sources() -> PathBuf {
    let mut cargo = cargo_build(profile_dir());
    cargo.args(["--message-format", "json-render-diagnostics"]).stderr(Stdio::inherit());
    let output = cargo.output().expect("cargo runs");
    assert!(output.status.success(), "the later libnightcore cannot be built");
    let messages = String::from_utf8(output.stdout).expect("cargo's messages are JSON");
    let out_dir = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).expect("a message is JSON");
        let package = message["package_id"].as_str()?;
        let out_dir = message["out_dir"].as_str()?;
        package.contains("tests/c/later").then(|| PathBuf::from(out_dir))
    });
    out_dir.expect("cargo says where the build script writes").join("src")
}

/// Returns the path of the `nightcore` program.
pub fn nightcore() -> PathBuf {
    profile_dir().join("nightcore")
}
