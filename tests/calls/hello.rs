//! Tests of the hello example: each language alone, and every language calling every other.

use harness::Setup;
use harness::workers::{LANGUAGES, Language};

/// The answer, which has no newline.
const EXPECTED: &[u8] = b"From function Bar: Hello, World";

fn hello(caller: Language, callee: Language) {
    let engine = Setup::new()
        .functions(&["Foo"], &caller.hello())
        .functions(&["Bar"], &callee.hello())
        .start();
    let answer = engine.answer("Foo", "Hello");
    assert_eq!(
        answer,
        EXPECTED,
        "{caller:?} calls {callee:?}: {}",
        String::from_utf8_lossy(&answer)
    );
    engine.stop();
}

#[test]
fn c_calls_every_language() {
    for callee in LANGUAGES {
        hello(Language::C, callee);
    }
}

#[test]
fn cpp_calls_every_language() {
    for callee in LANGUAGES {
        hello(Language::Cpp, callee);
    }
}

#[test]
fn rust_calls_every_language() {
    for callee in LANGUAGES {
        hello(Language::Rust, callee);
    }
}

#[test]
fn one_request_is_one_external_and_one_internal_call() {
    let engine = Setup::new().functions(&["Foo", "Bar"], &Language::C.hello()).start();
    assert_eq!(engine.answer("Foo", "Hello"), EXPECTED);
    let (foo, bar) = (engine.function("Foo"), engine.function("Bar"));
    assert_eq!((foo.external, foo.internal, foo.answered), (1, 0, 1));
    assert_eq!((bar.external, bar.internal, bar.answered), (0, 1, 1));
    engine.stop();
}
