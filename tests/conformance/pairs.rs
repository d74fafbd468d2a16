//! Cases with a caller and a callee, which must pass for every pair of languages.

use crate::ask::{Detail, On, Outcome};
use crate::cases::LENGTHS;
use harness::pattern;

/// A case with a caller and a callee.
pub struct Pair {
    pub name: &'static str,
    /// Runs the case. The arguments are the caller and the name of the callee.
    pub run: fn(&On, &str) -> Outcome,
}

const fn pair(name: &'static str, run: fn(&On, &str) -> Outcome) -> Pair {
    Pair { name, run }
}

/// The name of a function that does not exist.
const NOBODY: &str = "Nobody";

pub const PAIRS: &[Pair] = &[
    pair("call", |caller, callee| {
        LENGTHS.iter().try_for_each(|len| {
            let body = pattern(*len);
            caller.ask("call").to(callee, "echo").body(&body[..]).answers(&body)
        })
    }),
    pair("catch", |caller, callee| {
        let ask = caller.ask("catch").to(callee, "fail").body("no such ü");
        ask.answers(format!("FUNCTION_FAILED\n{callee}\nno such ü"))
    }),
    pair("untold", |caller, callee| {
        let (secret, answer) = ("db-7 refused", format!("FUNCTION_FAILED\n{callee}\n"));
        let ask = caller.ask("catch").to(callee, "error").body(secret);
        ask.answers_that("an error without its text", |text| {
            text.starts_with(&answer) && !text.contains(secret)
        })
    }),
    pair("causes", |caller, callee| {
        let causes = [(callee, "FUNCTION_FAILED"), (NOBODY, "NOT_FOUND")];
        let ask = caller.ask("chain").with("route", format!("{callee},{NOBODY}"));
        ask.fails_by("FUNCTION_FAILED", Detail::Has(NOBODY), &causes)
    }),
    pair("relay_metadata", |caller, callee| {
        let ask = caller.ask("relay_metadata").with("target", callee).with("y-a", "hidden");
        let ask = ask.with("x-b", "1").with("x-a", "zwei, ü").with("x-a", "");
        ask.answers_with(
            200,
            &[("x-b", "1"), ("x-a", "zwei, ü"), ("x-a", "")],
            "x-b=1\nx-a=zwei, ü\nx-a=\n",
        )
    }),
    pair("relay_status", |caller, callee| {
        [200, 404, 503].iter().try_for_each(|status: &u16| {
            caller
                .ask("relay_status")
                .with("target", callee)
                .body(status.to_string())
                .answers(status.to_string())
        })
    }),
    pair("check_status", |caller, callee| {
        let text = "answered with HTTP status 404: as told: größer";
        let causes = [(callee, "FUNCTION_FAILED")];
        let ask = caller.ask("check_status").with("target", callee).body("404");
        ask.fails_by("FUNCTION_FAILED", Detail::Has(text), &causes)
    }),
    pair("origin", |caller, callee| {
        caller.ask("call").to(callee, "origin").answers(format!("internal {}", caller.function))
    }),
    pair("fan_out", |caller, callee| {
        let expected: String = (0..20).map(|i| format!("{i};")).collect();
        caller.ask("fan_out").to(callee, "echo").body("20").answers(expected)
    }),
    pair("timeout", |caller, callee| {
        let ask = caller.ask("catch").to(callee, "sleep").with("timeout-ms", "30").body("300");
        let expected = format!("DEADLINE_EXCEEDED\n{callee}\n");
        ask.answers_that("DEADLINE_EXCEEDED", |text| text.starts_with(&expected))
    }),
];
