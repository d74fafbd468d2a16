//! Tells the harness for which machine the C and C++ workers are to be compiled.

fn main() {
    println!(
        "cargo:rustc-env=NIGHTCORE_TARGET={}",
        std::env::var("TARGET").expect("cargo sets TARGET")
    );
    println!("cargo:rerun-if-changed=build.rs");
}
