//! The hello functions in Rust, under names of their own so that one engine can run them beside
//! those of other languages. FooRust calls the function whose name follows its own in the path:
//! /function/FooRust/BarC. Without such a name it calls BarRust.

use nightcore::{Answer, Request, Result, Worker};
use std::process::ExitCode;

fn foo(req: &Request) -> Result<Answer> {
    let callee = match req.metadata().get(":path") {
        Some([b'/', name @ ..]) if !name.is_empty() => std::str::from_utf8(name)?,
        _ => "BarRust",
    };
    req.call(callee, [req.body(), b", World"].concat())
}

fn bar(req: &Request) -> Vec<u8> {
    [b"From function Bar: ", req.body()].concat()
}

fn main() -> ExitCode {
    Worker::new().handle("FooRust", foo).handle("BarRust", bar).serve()
}
