//! Two functions: Foo calls Bar and replies with Bar's answer.

use nightcore::{Answer, Request, Result, Worker};
use std::process::ExitCode;

fn foo(req: &Request) -> Result<Answer> {
    req.call("Bar", [req.body(), b", World"].concat())
}

fn bar(req: &Request) -> Vec<u8> {
    [b"From function Bar: ", req.body()].concat()
}

fn main() -> ExitCode {
    Worker::new().handle("Foo", foo).handle("Bar", bar).serve()
}
