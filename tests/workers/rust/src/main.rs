//! The handlers that the test worker has in every language. Each handler is also registered under a
//! second name, which ends in Rust.

use nightcore::{Answer, CallOptions, Error, IntoReply, Request, Result, Worker};
use std::process::ExitCode;
use std::time::Duration;

fn handle<R: IntoReply + 'static>(
    worker: Worker,
    name: &str,
    handler: fn(&Request) -> R,
) -> Worker {
    worker.handle(name, handler).handle(&format!("{name}Rust"), handler)
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

/// Calls a function. The request's body is "NAME\nBODY".
fn call(req: &Request) -> Result<Answer> {
    let at = req.body().iter().position(|byte| *byte == b'\n').ok_or("no name")?;
    let (name, rest) = req.body().split_at(at);
    req.call(std::str::from_utf8(name)?, &rest[1..])
}

fn fail(req: &Request) -> Result<()> {
    Err(Error::failed(String::from_utf8_lossy(req.body())))
}

/// Returns the number of words, from the first one on, that form one body for [`tree`].
fn tree_words(words: &[&str]) -> Option<usize> {
    let children: usize = words.get(2)?.parse().ok()?;
    (0..children).try_fold(3, |at, _| Some(at + 2 + tree_words(words.get(at + 2..)?)?))
}

/// Sleeps, and makes a tree of calls. The words of the body are WAY MS COUNT, followed by COUNT
/// groups of NAME TIMEOUT_MS and a body for that function. The handler sleeps for MS and calls the
/// functions: one after the other if WAY is "each", all at once if WAY is "all". It answers with
/// the number of calls in its tree, including the call of the handler itself.
fn tree(req: &Request) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let words: Vec<&str> = std::str::from_utf8(req.body())?.split(' ').collect();
    let [way, ms, _, ..] = words[..] else { return Err("too few words".into()) };
    std::thread::sleep(Duration::from_millis(ms.parse()?));
    let (mut calls, mut under_way, mut at) = (1, Vec::new(), 3);
    while let [name, timeout, body @ ..] = &words[at..] {
        let count = tree_words(body).ok_or("not a tree")?;
        let options = match timeout.parse()? {
            0 => CallOptions::new(),
            ms => CallOptions::new().timeout(Duration::from_millis(ms)),
        };
        let body = body[..count].join(" ");
        if way == "all" {
            under_way.push(req.start_with(name, body, &options)?);
        } else {
            calls += answered(&req.call_with(name, body, &options)?)?;
        }
        at += 2 + count;
    }
    for (_, ended) in req.as_completed(under_way) {
        calls += answered(&ended?)?;
    }
    Ok(calls.to_string())
}

fn answered(answer: &Answer) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    Ok(answer.text()?.parse()?)
}

fn main() -> ExitCode {
    let mut worker = handle(Worker::new(), "Echo", echo);
    worker = handle(worker, "Upper", upper);
    worker = handle(worker, "Origin", origin);
    worker = handle(worker, "Call", call);
    worker = handle(worker, "Fail", fail);
    for number in 0..5 {
        worker = worker.handle(&format!("Tree{number}"), tree);
    }
    worker.serve()
}
