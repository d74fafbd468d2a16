//! libnightcore as a later version could be: every extensible struct has one more field. build.rs
//! makes the sources from those in `bindings/c/src`.

#![allow(missing_docs, non_camel_case_types)]
// The lints already check the original sources.
#![allow(clippy::all, clippy::undocumented_unsafe_blocks)]

include!(concat!(env!("OUT_DIR"), "/src/lib.rs"));
