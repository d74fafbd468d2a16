//! Helpers of tests in C and C++: the compilers, and the shared library.

use std::path::PathBuf;
use std::process::Command;

/// Builds libnightcore.so in the target folder of the test, and returns its path. cargo does not
/// guarantee that it builds the library for a test.
pub fn build() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // The path of a test is TARGET/PROFILE/deps/NAME.
    let profile = test.ancestors().nth(2).expect("tests lie in a target folder");
    let target = profile.parent().expect("a profile lies in a target folder");
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--lib", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo runs");
    assert!(status.success(), "libnightcore cannot be built");
    profile.join("libnightcore.so")
}

/// Returns the command of this machine's C11 or C++17 compiler.
pub fn compiler(cpp: bool) -> Command {
    let mut build = cc::Build::new();
    let target = env!("NIGHTCORE_TARGET");
    build
        .cpp(cpp)
        .target(target)
        .host(target)
        .opt_level(1)
        .cargo_metadata(false)
        .debug(false)
        .warnings(false);
    build.std(if cpp { "c++17" } else { "c11" });
    build.get_compiler().to_command()
}
