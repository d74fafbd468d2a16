//! A function that adds its name to the body and calls the next function, if there is one. The
//! reply is the answer of the next function, or else the longer body.

use nightcore::{Request, Result, Worker};
use std::process::ExitCode;

fn relay(req: &Request) -> Result<Vec<u8>> {
    let body = [req.body(), b" > Rust"].concat();
    match std::env::var("NEXT") {
        Ok(next) => Ok(req.call(&next, body)?.into()),
        Err(_) => Ok(body),
    }
}

fn main() -> ExitCode {
    Worker::new().handle("RelayRust", relay).serve()
}
