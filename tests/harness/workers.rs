//! The programs that serve functions in tests.

use crate::build::{later_sources, profile_dir};
use crate::compile::{program, program_against, program_in};
use crate::repository;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A language that a worker is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// C, on worker threads.
    C,
    /// C++.
    Cpp,
    /// Rust.
    Rust,
}

/// Every language.
pub const LANGUAGES: [Language; 3] = [Language::C, Language::Cpp, Language::Rust];

impl Language {
    /// Returns the example program with the functions Foo and Bar.
    pub fn hello(self) -> PathBuf {
        let hello = repository().join("examples/hello");
        match self {
            Language::C => program("hello-c", &[hello.join("c/hello.c")], &[]),
            Language::Cpp => program("hello-cpp", &[hello.join("cpp/hello.cpp")], &[]),
            Language::Rust => profile_dir().join("hello-rust"),
        }
    }

    /// Returns the test worker. In each language it has Echo, Upper, Origin, Fail and Call, also
    /// under names that end in [`Language::suffix`].
    pub fn worker(self) -> PathBuf {
        match self {
            Language::C => c(),
            Language::Cpp => {
                program("worker-cpp", &[repository().join("tests/workers/cpp/worker.cpp")], &[])
            }
            Language::Rust => profile_dir().join("nightcore-test-worker"),
        }
    }

    /// Returns the suffix of its functions' names where several languages share one engine.
    pub fn suffix(self) -> &'static str {
        match self {
            Language::C => "C",
            Language::Cpp => "Cpp",
            Language::Rust => "Rust",
        }
    }
}

/// Returns the C test worker, which has a handler for each success and each failure under test.
pub fn c() -> PathBuf {
    let folder = repository().join("tests/workers/c");
    let sources = [
        "main.c",
        "text.c",
        "answers.c",
        "calls.c",
        "processes.c",
        "waits.c",
        "counts.c",
        "work_counts.c",
        "scribbles.c",
    ];
    let headers = ["worker.h", "work_counts.h"].map(|header| folder.join(header));
    program("worker-c", &sources.map(|source| folder.join(source)), &headers)
}

/// Returns a worker with WorkA, WorkB and WorkC of the C test worker, over an event loop.
pub fn loop_work() -> PathBuf {
    let folder = repository().join("tests/workers/c");
    let sources = ["loop_work.c", "work_counts.c"].map(|source| folder.join(source));
    program("worker-loop-work", &sources, &[folder.join("work_counts.h")])
}

/// Returns a worker in C++20 whose handlers run code when their requests are cancelled.
pub fn cancel() -> PathBuf {
    program_in("c++20", "worker-cancel", &[repository().join("tests/workers/cpp/cancel.cpp")], &[])
}

/// Returns the worker with the C functions that the bench measures: Caller, Echo, Empty, Three.
pub fn bench() -> PathBuf {
    let folder = repository().join("bench/functions");
    let sources = ["main.c", "caller.c", "echo.c", "three.c", "cancel.c", "overload.c"];
    program("bench", &sources.map(|source| folder.join(source)), &[folder.join("functions.h")])
}

/// Returns a C worker over an event loop of its own: Echo, Call, Wait.
pub fn event_loop() -> PathBuf {
    program("worker-loop", &[repository().join("tests/workers/c/event_loop.c")], &[])
}

/// A version of the C interface: that of the header that a program is compiled against, or of the
/// library that it runs with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// The version of this repository.
    Today,
    /// The version of `tests/c/later`, in which each extensible struct has one more field.
    Later,
}

/// Builds the later libnightcore, once in each test process, and returns the folder of its sources.
pub fn later_libnightcore() -> &'static Path {
    static SOURCES: OnceLock<PathBuf> = OnceLock::new();
    SOURCES.get_or_init(later_sources)
}

/// Returns a C worker that uses extensible structs. It is compiled against the header of one
/// version, which lies in the folder `include`, to run with the library of another version.
pub fn structs(header: Version, include: &Path, library: Version) -> PathBuf {
    let source = repository().join("tests/workers/c/structs.c");
    let flags: &[&str] = if header == Version::Later { &["-DLATER"] } else { &[] };
    let file = match library {
        Version::Today => "libnightcore.so",
        Version::Later => {
            later_libnightcore();
            "libnightcore_later.so"
        }
    };
    program_against(&format!("structs-{header:?}-{library:?}"), &source, include, file, flags)
}
