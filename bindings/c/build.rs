//! Sets the soname of the shared library, which the dynamic loader searches for. Cargo sets none.

/// The soname. It changes with the first release that changes a function instead of adding one.
const SONAME: &str = "libnightcore.so.0";

fn main() {
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,{SONAME}");
    // The tests compile C for the same machine as the library.
    println!(
        "cargo:rustc-env=NIGHTCORE_TARGET={}",
        std::env::var("TARGET").expect("cargo sets TARGET")
    );
    println!("cargo:rerun-if-changed=build.rs");
}
