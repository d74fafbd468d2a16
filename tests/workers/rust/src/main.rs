//! The handlers that the test worker has in every language, each also by a name that ends in Rust.

use nightcore::{Answer, Error, IntoReply, Request, Result};
use std::process::ExitCode;

fn handle<R: IntoReply + 'static>(name: &str, handler: fn(&Request) -> R) {
    nightcore::handle(name, handler);
    nightcore::handle(&format!("{name}Rust"), handler);
}

fn echo(req: &Request) -> Vec<u8> {
    req.body().to_vec()
}

fn upper(req: &Request) -> Vec<u8> {
    req.body().to_ascii_uppercase()
}

fn origin(req: &Request) -> String {
    req.caller().map_or("external".into(), |caller| format!("internal {caller}"))
}

/// Body "NAME\nBODY".
fn call(req: &Request) -> Result<Answer> {
    let at = req.body().iter().position(|byte| *byte == b'\n').ok_or("no name")?;
    let (name, rest) = req.body().split_at(at);
    req.call(std::str::from_utf8(name)?, &rest[1..])
}

fn fail(req: &Request) -> Result<()> {
    Err(Error::failed(String::from_utf8_lossy(req.body())))
}

fn main() -> ExitCode {
    handle("Echo", echo);
    handle("Upper", upper);
    handle("Origin", origin);
    handle("Call", call);
    handle("Fail", fail);
    nightcore::serve()
}
