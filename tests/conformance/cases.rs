//! The cases that every language must pass. SPEC.md says what the worker does in each of them.

use crate::ask::{Ask, Detail, On, Outcome};
use crate::languages::Language;
use harness::pattern;
use std::time::{Duration, Instant};

/// A case.
pub struct Case {
    pub name: &'static str,
    pub run: fn(&Subject) -> Outcome,
}

/// The language that a case tests.
pub struct Subject<'a> {
    pub language: &'static Language,
    /// The language's function.
    pub on: On<'a>,
    /// The language's function that a case may end or overload.
    pub spare: On<'a>,
}

/// The largest body that this engine accepts, in bytes.
pub const MAX_BODY: usize = 4 << 20;
/// The maximum depth of nested calls in this engine.
pub const MAX_DEPTH: usize = 16;
/// The timeout of a call in this engine, in milliseconds.
pub const TIMEOUT_MS: u64 = 10_000;

/// The name of a function that does not exist.
const NOBODY: &str = "Nobody";
/// A function whose program ends immediately.
pub const BROKEN: &str = "Broken";
/// A function that fails because of [`ABSENT`].
pub const FAILING: &str = "Foo";
const ABSENT: &str = "Bar";

/// Lengths of bodies, in bytes: from an empty body to one that is much longer than a message.
pub const LENGTHS: [usize; 6] = [0, 1, 16, 1000, 64 << 10, 1 << 20];

const fn case(name: &'static str, run: fn(&Subject) -> Outcome) -> Case {
    Case { name, run }
}

/// Returns the route of a language's app.
pub fn route(language: &Language) -> String {
    format!("/my%20app/{}", language.name)
}

/// The path and the query that an app receives, or the status that answers a client's mistake.
type AppRequest = Result<(&'static str, &'static str), u16>;

/// Targets, without the prefix that leads to an app, and the expected request of each.
const TARGETS: &[(&str, AppRequest)] = &[
    ("", Ok(("/", ""))),
    ("/a/b?x=1&y=%20", Ok(("/a/b", "x=1&y=%20"))),
    ("/a%20b", Ok(("/a b", ""))),
    ("/gr%C3%B6%C3%9Fe", Ok(("/größe", ""))),
    ("/größe", Ok(("/größe", ""))),
    ("/a%2Fb", Ok(("/a/b", ""))),
    ("//host/a", Ok(("//host/a", ""))),
    ("/a?q=%zz", Ok(("/a", "q=%zz"))),
    ("/100%", Err(400)),
    ("/%zz", Err(400)),
    ("/%4", Err(400)),
];

/// A mistake that a handler can make in a call.
struct Mistake {
    /// The function that is called; `None` stands for the language's own function.
    target: Option<&'static str>,
    /// The metadata that describes the call, as SPEC.md defines it for the case `mistake`.
    pairs: &'static [(&'static str, &'static str)],
    /// The error that the mistake causes in every language.
    error: &'static str,
    /// The languages in which the mistake is impossible. C and Rust have no negative timeout. In C
    /// and C++ a timeout of 0 means no timeout. In Go the timeout belongs to the context, and a
    /// context with such a timeout has already ended.
    not_in: &'static [&'static str],
}

const fn named(target: &'static str) -> Mistake {
    Mistake { target: Some(target), pairs: &[], error: "NOT_FOUND", not_in: &[] }
}

const fn given(pairs: &'static [(&'static str, &'static str)], error: &'static str) -> Mistake {
    Mistake { target: None, pairs, error, not_in: &[] }
}

const LONG_NAME: &str = "a_name_of_a_function_that_has_more_than_the_sixty_three_characters";
const MISTAKES: &[Mistake] = &[
    named(""),
    named("two words"),
    named("Größe"),
    named("9lives"),
    named(LONG_NAME),
    given(&[("name", ""), ("value", "1")], "INVALID_ARGUMENT"),
    given(&[("name", "two words"), ("value", "1")], "INVALID_ARGUMENT"),
    given(&[("name", "größe"), ("value", "1")], "INVALID_ARGUMENT"),
    given(&[("name", "Upper-Case"), ("value", "1")], "OK"),
    given(&[("name", "x"), ("value", "40000")], "PAYLOAD_TOO_LARGE"),
    given(&[("name", "x"), ("value", "70000")], "PAYLOAD_TOO_LARGE"),
    given(&[("size", "4194304")], "OK"),
    given(&[("size", "4194305")], "PAYLOAD_TOO_LARGE"),
    given(&[("timeout-ms", "9000000000000")], "OK"),
    Mistake { not_in: &["c", "go", "rust"], ..given(&[("timeout-ms", "-1")], "INVALID_ARGUMENT") },
    Mistake { not_in: &["c", "cpp", "go"], ..given(&[("timeout-ms", "0")], "INVALID_ARGUMENT") },
];

pub const CASES: &[Case] = &[
    case("echo", |s| {
        LENGTHS
            .iter()
            .try_for_each(|len| s.on.ask("echo").body(pattern(*len)).answers(pattern(*len)))
    }),
    case("upper", |s| {
        s.on.ask("upper").body("Loud, straße 9 @[`{~").answers("LOUD, STRAßE 9 @[`{~")
    }),
    case("binary", |s| {
        let bytes: Vec<u8> = (0..=255).collect();
        s.on.ask("binary").body(&bytes[..]).answers(bytes.iter().map(|b| !b).collect::<Vec<u8>>())
    }),
    case("big", |s| {
        LENGTHS.iter().try_for_each(|len| {
            let bytes: Vec<u8> = (0..*len).map(|i| (i % 251) as u8).collect();
            s.on.ask("big").body(len.to_string()).answers(bytes)
        })
    }),
    case("too_big", |s| {
        let ask = s.on.ask("big").body((MAX_BODY + 1).to_string());
        ask.fails("FUNCTION_FAILED", Detail::Has(&format!("limit of {MAX_BODY}")))
    }),
    case("count", |s| {
        [0, 100_000]
            .iter()
            .try_for_each(|n| s.on.ask("count").body(pattern(*n)).answers(n.to_string()))
    }),
    case("no_case", |s| {
        ["", "nonesuch"].iter().try_for_each(|name| {
            let message = format!("no case \"{name}\"");
            s.on.ask(name).fails("FUNCTION_FAILED", Detail::Is(&message))
        })
    }),
    case("fail", |s| {
        let fails = |message: &str| {
            let ask = s.on.ask("fail").body(message);
            ask.fails_and_logs(Detail::Is(message), s.on, &s.on.failed(message))
        };
        fails("no such user").and(fails("größer als 3"))
    }),
    case("error", |s| {
        let error = "db-7 refused user=shop";
        s.on.ask("error").body(error).fails_untold(s.on)?;
        s.on.ask("call").to(s.on.function, "error").body(error).fails_untold(s.on)?;
        // The spare function is configured to expose its errors.
        s.spare.ask("error").body(error).fails_and_logs(Detail::Has(error), s.spare, error)
    }),
    case("throw", |s| {
        let before = s.on.process(None)?;
        let ask = s.on.ask("throw").body("a defect");
        match s.language.name {
            "c" => ask.fails("FUNCTION_FAILED", Detail::Has("-77"))?,
            _ => ask.fails_untold(s.on)?,
        }
        let ask = s.on.ask("echo");
        ask.answers("")?;
        let after = s.on.process(None)?;
        let same = || ask.wrong(format!("process {before} as before"), format!("process {after}"));
        (before == after).then_some(()).ok_or_else(same)
    }),
    case("sleep", |s| {
        let (ask, began) = (s.on.ask("sleep").body("50"), Instant::now());
        ask.answers("slept")?;
        let took = began.elapsed();
        let slow = || ask.wrong("50 ms or more".into(), format!("{took:?}"));
        (took >= Duration::from_millis(50)).then_some(()).ok_or_else(slow)
    }),
    case("at_once", |s| {
        // The limit is half of the time that the calls take one after the other.
        at_once(16, &s.on.ask("sleep").body("200"), "slept", Duration::from_millis(16 * 200 / 2))
    }),
    case("call_self", |s| {
        let ask = s.on.ask("call").to(s.on.function, "sleep").body("20");
        at_once(32, &ask, "slept", Duration::from_secs(5))
    }),
    case("pass_on", |s| {
        let nobody = [(NOBODY, "NOT_FOUND")];
        s.on.ask("call").to(NOBODY, "echo").fails_by(
            "FUNCTION_FAILED",
            Detail::Has(NOBODY),
            &nobody,
        )?;
        let text = format!("{NOBODY}: NOT_FOUND: there is no function \"{NOBODY}\"");
        let ask = s.on.ask("call").to(NOBODY, "echo");
        ask.fails_and_logs(Detail::Is(&text), s.on, &s.on.failed(&text))?;
        let below = [(FAILING, "FUNCTION_FAILED"), (ABSENT, "NOT_FOUND")];
        s.on.ask("call").to(FAILING, "echo").fails_by(
            "FUNCTION_FAILED",
            Detail::Has(FAILING),
            &below,
        )
    }),
    case("catch", |s| {
        let ask = |target: &str| s.on.ask("catch").to(target, "echo").body("a\nb");
        ask(s.on.function).answers("OK\na\nb")?;
        ask(NOBODY).answers(format!("NOT_FOUND\n{NOBODY}\nthere is no function \"{NOBODY}\""))?;
        let message = format!("{ABSENT}: NOT_FOUND: there is no function \"{ABSENT}\"");
        ask(FAILING)
            .answers(format!("FUNCTION_FAILED\n{FAILING}\n{message}\n{ABSENT} NOT_FOUND"))?;
        let unavailable = format!("UNAVAILABLE\n{BROKEN}\n");
        ask(BROKEN).answers_that("UNAVAILABLE", |text| text.starts_with(&unavailable))
    }),
    case("mistakes", |s| {
        let mistakes = || MISTAKES.iter().filter(|m| !m.not_in.contains(&s.language.name));
        for (by, mistake) in mistakes().flat_map(|m| [("request", m), ("process", m)]) {
            let target = mistake.target.unwrap_or(s.on.function);
            let ask = s.on.ask("mistake").with("by", by).with("target", target);
            let ask = mistake.pairs.iter().fold(ask, |ask, (name, value)| ask.with(name, *value));
            ask.answers(mistake.error)?;
        }
        // In these languages a request cannot be used after it has ended, or must not be used.
        if ["c", "cpp", "rust"].contains(&s.language.name) {
            return Ok(());
        }
        let ask = s.on.ask("mistake").with("by", "ended").with("target", s.on.function);
        ask.answers("INVALID_STATE")
    }),
    case("timeout", |s| {
        let ask =
            s.on.ask("catch").to(s.on.function, "sleep").with("timeout-ms", "50").body("1500");
        let (began, expected) = (Instant::now(), format!("DEADLINE_EXCEEDED\n{}\n", s.on.function));
        ask.answers_that("DEADLINE_EXCEEDED", |text| text.starts_with(&expected))?;
        let took = began.elapsed();
        let late = || {
            ask.wrong("the answer before the callee has slept".into(), format!("it after {took:?}"))
        };
        (took < Duration::from_millis(1500)).then_some(()).ok_or_else(late)?;
        s.on.ask("catch")
            .to(s.on.function, "sleep")
            .with("timeout-ms", "9000")
            .body("1")
            .answers("OK\nslept")
    }),
    case("overloaded", |s| {
        // One call runs and one waits. The calls sleep long enough for all of them to arrive, so
        // the rest exceed the limit.
        let causes = [(s.spare.function, "OVERLOADED")];
        let ask = s.on.ask("fan_out").to(s.spare.function, "sleep").body("200");
        ask.fails_by("FUNCTION_FAILED", Detail::Has("OVERLOADED"), &causes)
    }),
    case("fan_out", |s| {
        [0, 1, 50].iter().try_for_each(|n| {
            let expected: String = (0..*n).map(|i| format!("{i};")).collect();
            s.on.ask("fan_out").to(s.on.function, "echo").body(n.to_string()).answers(expected)
        })?;
        s.on.ask("fan_out").to(s.on.function, "sleep").body("20").answers("slept;".repeat(20))
    }),
    case("fan_out_fails", |s| {
        let causes = [(s.on.function, "FUNCTION_FAILED")];
        let ask = s.on.ask("fan_out").to(s.on.function, "nonesuch").body("8");
        ask.fails_by("FUNCTION_FAILED", Detail::Has("no case"), &causes)
    }),
    case("chain", |s| {
        let me = s.on.function;
        s.on.ask("chain").body("begin").answers("begin")?;
        let route = [me; 4].join(",");
        s.on.ask("chain")
            .with("route", route)
            .body("begin")
            .answers(format!("begin{}", format!(">{me}").repeat(4)))
    }),
    case("too_deep", |s| {
        let route = vec![s.on.function; MAX_DEPTH + 4].join(",");
        s.on.ask("chain").with("route", route).fails("DEPTH_EXCEEDED", Detail::Has(s.on.function))
    }),
    case("metadata", |s| {
        let ask = s.on.ask("metadata").with("x-b", "1").with("y-b", "hidden");
        let ask = ask.with("x-a", "two words, ü").with("x-a", "").with("x-a", "4");
        let own = [("x-b", "1"), ("x-a", "two words, ü"), ("x-a", ""), ("x-a", "4")];
        ask.answers_with(200, &own, "x-b=1\nx-a=two words, ü\nx-a=\nx-a=4\n")?;
        s.on.ask("metadata").answers("")
    }),
    case("status", |s| {
        [200, 201, 404, 503].iter().try_for_each(|status| {
            s.on.ask("status").body(status.to_string()).answers_with(
                *status,
                &[],
                status.to_string(),
            )
        })
    }),
    case("http_error", |s| {
        [404, 503].iter().try_for_each(|status| {
            let ask = s.on.ask("http_error").body(status.to_string());
            ask.answers_with(*status, &[], "as told: größer")?;
            let kind = ask.response()?.header("content-type").unwrap_or_default().to_owned();
            let text = "text/plain; charset=utf-8";
            (kind == text).then_some(()).ok_or_else(|| ask.wrong(text.to_owned(), kind))
        })
    }),
    case("json", |s| {
        if !s.language.decodes_json() {
            return Ok(());
        }
        s.on.ask("json").body(r#"{"a": [1, "größer"]}"#).answers("json")?;
        let deep = "[".repeat(100_000);
        [b"".as_slice(), b"{\"a\":", deep.as_bytes()].iter().try_for_each(|body| {
            let ask = s.on.ask("json").body(*body);
            let response = ask.response()?;
            let got = (response.status, response.header("content-type"), response.text());
            let is_right = got.0 == 400
                && got.1 == Some("text/plain; charset=utf-8")
                && got.2.starts_with("the body of the request is not ");
            is_right
                .then_some(())
                .ok_or_else(|| ask.wrong("400 and why".to_owned(), format!("{got:?}")))
        })?;
        // A function that sends invalid JSON has a bug, so its own call fails.
        let ask = s.on.ask("call").to(s.on.function, "json").body("{");
        ask.fails_by("FUNCTION_FAILED", Detail::Has(""), &[(s.on.function, "FUNCTION_FAILED")])
    }),
    case("origin", |s| {
        s.on.ask("origin").answers("external")?;
        let name = s.on.function;
        s.on.ask("call").to(name, "origin").answers(format!("internal {name}"))
    }),
    case("function", |s| s.on.ask("function").answers(s.on.function)),
    case("id", |s| {
        let me = s.on.function;
        s.on.ask("id").answers_with_its_id()?;
        s.on.ask("chain").with("route", [me; 2].join(",")).with("to", "id").answers_with_its_id()
    }),
    case("deadline", |s| {
        let within =
            |text: &str, most: u64| text.parse().is_ok_and(|ms: u64| ms <= most && ms > most / 2);
        s.on.ask("deadline").answers_that("most of the time", |text| within(text, TIMEOUT_MS))?;
        let ask = s.on.ask("catch").to(s.on.function, "deadline").with("timeout-ms", "4000");
        ask.answers_that("most of 4000 ms", |text| {
            text.strip_prefix("OK\n").is_some_and(|ms| within(ms, 4000))
        })
    }),
    case("path", |s| {
        s.on.ask("path").answers("POST\n/\n\n")?;
        s.on.ask_at("/a/b%20c?x=1&y=%20", "path").answers("POST\n/a/b%20c\nx=1&y=%20\n")
    }),
    case("app", |s| {
        let Some(app) = s.language.app() else { return Ok(()) };
        let ways = [
            (format!("/function/{app}"), format!("/function/{app}")),
            (route(s.language), format!("/my app/{}", s.language.name)),
        ];
        for (way, prefix) in ways {
            for (target, told) in TARGETS {
                let ask = s.on.ask_target(&format!("{way}{target}")).with("x-value", "é, ü");
                let ask = ask.with("upgrade", "websocket").body("body");
                let response = ask.response()?;
                let (status, text) = match told {
                    Ok((path, query)) => (200, format!("POST\n{prefix}\n{path}\n{query}\né, ü\n4")),
                    Err(status) => (*status, response.text()),
                };
                if (response.status, response.text()) != (status, text.clone()) {
                    let got = format!("{} {:?}", response.status, response.text());
                    return Err(ask.wrong(format!("{status} {text:?}"), got));
                }
            }
        }
        Ok(())
    }),
    case("crash", |s| {
        let before = s.spare.process(None)?;
        let ask = s.spare.ask("crash");
        ask.fails("CONTAINER_DIED", Detail::Has(s.spare.function))?;
        let between = s.spare.process(Some(before))?;
        let end = s.spare.engine.function(s.spare.function).last_end.unwrap_or_default();
        if end != "exit code 3" {
            return Err(ask.wrong("the process to end with exit code 3".into(), end));
        }
        let died = format!("CONTAINER_DIED\n{}\n", s.spare.function);
        let ask = s.on.ask("catch").to(s.spare.function, "crash");
        ask.answers_that("CONTAINER_DIED", |text| text.starts_with(&died))?;
        s.spare.process(Some(between))?;
        s.spare.ask("echo").body("again").answers("again")
    }),
    case("client_leaves", |s| {
        let ask = s.on.ask("wait_for_cancel").body("1");
        let connection = ask.send()?;
        s.on.prints("waiting 1")?;
        drop(connection);
        s.on.prints("cancelled 1: CANCELLED")
    }),
    case("cancel_below", |s| {
        let ask = s.on.ask("call").to(s.on.function, "wait_for_cancel").body("2");
        let connection = ask.send()?;
        s.on.prints("waiting 2")?;
        drop(connection);
        s.on.prints("cancelled 2: CANCELLED")
    }),
    case("too_late", |s| {
        let ask =
            s.on.ask("catch")
                .to(s.on.function, "wait_for_cancel")
                .with("timeout-ms", "100")
                .body("3");
        ask.answers_that("DEADLINE_EXCEEDED", |text| text.starts_with("DEADLINE_EXCEEDED\n"))?;
        s.on.prints("cancelled 3: DEADLINE_EXCEEDED")
    }),
    case("later", |s| {
        let me = s.on.function;
        let later = |target: &str, to: &str, body: &str| {
            s.on.ask("later").to(target, to).body(body).answers("begun")
        };
        later(me, "origin", "1")?;
        s.on.prints(&format!("later 1: internal {me}"))?;
        later(me, "sleep", "300")?;
        s.on.prints("later 300: slept")?;
        later(NOBODY, "echo", "2")?;
        s.on.prints("later 2: NOT_FOUND")?;
        later(me, "fail", "3")?;
        s.on.prints("later 3: FUNCTION_FAILED")?;
        let ask = s.on.ask("later").to(me, "sleep").with("timeout-ms", "50").body("1500");
        ask.answers("begun")?;
        s.on.prints("later 1500: DEADLINE_EXCEEDED")?;
        let before = s.spare.process(None)?;
        later(s.spare.function, "crash", "4")?;
        s.on.prints("later 4: CONTAINER_DIED")?;
        s.spare.process(Some(before)).map(drop)
    }),
    case("print", |s| {
        s.on.ask("print").body("to whom it may concern").answers("printed")?;
        s.on.prints("to whom it may concern")
    }),
    case("log", |s| {
        let ask = s.on.ask("call").to(s.on.function, "log").body("what came\n\nof it");
        let id = ask.answers_by_call("logged")?;
        s.on.logs_of_call(&id, &["what came", "", "of it"])
    }),
    case("twice", |s| {
        s.on.ask("twice").body("first").answers("first")?;
        s.on.prints(&format!("twice: {}", s.language.second_answer))
    }),
];

/// Sends `count` copies of a request at once, and checks that all are answered within this time.
fn at_once(count: u32, ask: &Ask<'_>, body: &str, within: Duration) -> Outcome {
    let began = Instant::now();
    let sent: Result<Vec<_>, _> = (0..count).map(|_| ask.send()).collect();
    for mut connection in sent? {
        let response =
            connection.receive().map_err(|e| ask.wrong("an answer".into(), e.to_string()))?;
        if response.status != 200 || response.text() != body {
            let got = format!("{} {:?}", response.status, response.text());
            return Err(ask.wrong(format!("200 {body:?}, {count} times at once"), got));
        }
    }
    let took = began.elapsed();
    let late =
        || ask.wrong(format!("{count} answers within {within:?}"), format!("them after {took:?}"));
    (took <= within).then_some(()).ok_or_else(late)
}
