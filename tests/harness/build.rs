//! The programs that a test starts, built once in each test process: cargo builds no other package's
//! programs for a test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The packages whose programs and libraries are used.
const PACKAGES: [&str; 4] =
    ["nightcore-engine", "nightcore-c", "hello-rust", "nightcore-test-worker"];

/// The folder of this profile, in which cargo puts what it builds.
pub(crate) fn profile_dir() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("a test has a path");
        // TARGET/PROFILE/deps/test; the conformance suite is TARGET/PROFILE/nightcore-conformance.
        let folder = test.parent().expect("tests lie in a target folder");
        let profile =
            if folder.ends_with("deps") { folder.parent().expect("as above") } else { folder };
        let target = profile.parent().expect("a profile lies in a target folder");
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--target-dir"]).arg(target);
        for package in PACKAGES {
            cargo.args(["-p", package]);
        }
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let status = cargo.current_dir(crate::repository()).status().expect("cargo runs");
        assert!(status.success(), "the engine and the workers cannot be built");
        profile.to_owned()
    })
}

/// The `nightcore` program.
pub fn nightcore() -> PathBuf {
    profile_dir().join("nightcore")
}
