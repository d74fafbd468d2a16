//! Tests that requests and replies are the same for handlers in every language.

use harness::workers::{LANGUAGES, Language};
use harness::{Engine, Setup};

/// Starts an engine with each handler in each language: EchoC, EchoCpp, ...
fn engine() -> Engine {
    let mut setup = Setup::new();
    for language in LANGUAGES {
        for handler in ["Echo", "Upper", "Origin", "Call", "Fail"] {
            let name = format!("{handler}{}", language.suffix());
            setup = setup.function(&name, &language.worker(), "");
        }
    }
    setup.start()
}

fn pairs() -> impl Iterator<Item = (Language, Language)> {
    LANGUAGES.into_iter().flat_map(|caller| LANGUAGES.map(|callee| (caller, callee)))
}

#[test]
fn every_language_calls_every_other_and_is_told_who_calls() {
    let engine = engine();
    let every_byte: Vec<u8> = (0..=255).collect();
    for (caller, callee) in pairs() {
        let (call, callee) = (format!("Call{}", caller.suffix()), callee.suffix());
        let through =
            |handler: &str, body: &[u8]| [format!("{handler}{callee}\n").as_bytes(), body].concat();
        assert_eq!(
            engine.answer(&call, through("Echo", &every_byte)),
            every_byte,
            "{call} {callee}"
        );
        assert_eq!(engine.text(&call, through("Upper", b"loud, please")), "LOUD, PLEASE");
        assert_eq!(engine.text(&call, through("Origin", b"")), format!("internal {call}"));

        let failed = engine.call(&call, through("Fail", b"no such user"));
        let problem = failed.problem();
        assert_eq!((failed.status, problem.error.as_str()), (500, "FUNCTION_FAILED"));
        assert_eq!(problem.function.as_deref(), Some(call.as_str()));
        let [cause] = &problem.cause[..] else { panic!("{problem:?}") };
        let expected = (format!("Fail{callee}"), "FUNCTION_FAILED".into(), "no such user".into());
        assert_eq!((cause.function.clone(), cause.error.clone(), cause.message.clone()), expected);
    }
    for language in LANGUAGES {
        assert_eq!(engine.text(&format!("Origin{}", language.suffix()), ""), "external");
        let failed = engine.call(&format!("Fail{}", language.suffix()), "out of luck");
        let problem = failed.problem();
        assert_eq!((failed.status, problem.error.as_str()), (500, "FUNCTION_FAILED"));
        assert_eq!((problem.detail.as_str(), problem.cause.len()), ("out of luck", 0));
    }
    engine.stop();
}

#[test]
fn the_causes_of_an_error_list_every_function_down_to_the_one_that_failed() {
    let engine = engine();
    let failed = engine.call("CallC", "CallCpp\nCallRust\nFailC\nbroken");
    let causes: Vec<String> =
        failed.problem().cause.into_iter().map(|cause| cause.function).collect();
    assert_eq!(causes, ["CallCpp", "CallRust", "FailC"]);
    let unknown = engine.call("CallRust", "CallC\nNobody\n").problem();
    let causes: Vec<(&str, &str)> =
        unknown.cause.iter().map(|cause| (cause.function.as_str(), cause.error.as_str())).collect();
    assert_eq!(causes, [("CallC", "FUNCTION_FAILED"), ("Nobody", "NOT_FOUND")]);
    engine.stop();
}
