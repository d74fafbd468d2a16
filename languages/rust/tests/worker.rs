//! Handlers in Rust in a real process, against a scripted engine.
//!
//! The worker process is this test program again, with the environment that an engine gives.

#[path = "../../../runtime-core/tests/peer/mod.rs"]
mod peer;

use nightcore::{Answer, CallOptions, Error, Reply, Request, Result};
use nightcore_runtime::protocol::Status;
use peer::raw::{Kind, RawHeader};
use peer::{Peer, Said};
use std::error::Error as StdError;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

const WORKER: &str = "NIGHTCORE_TEST_WORKER";

fn worker() -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker_process", "--nocapture", "--test-threads=1"]).env(WORKER, "1");
    command.stdout(Stdio::null());
    command
}

fn foo(req: &Request) -> Result<Answer> {
    req.call("Bar", [req.body(), b", World"].concat())
}

fn any_error(req: &Request) -> std::result::Result<String, Box<dyn StdError + Send + Sync>> {
    let number: u32 = std::str::from_utf8(req.body())?.parse()?;
    let answer = req.call("Bar", number.to_string())?;
    Ok(String::from_utf8(answer.into())?)
}

fn caught(req: &Request) -> String {
    let options =
        CallOptions { timeout: Some(Duration::from_millis(50)), ..CallOptions::default() };
    match req.call_with("Bar", b"", &options) {
        Ok(answer) => format!("{} {:?}", answer.status(), answer.body()),
        Err(error) => format!("{} {} {}", error.status(), error.function(), error.message()),
    }
}

fn many(req: &Request) -> Result<String> {
    for tag in 0..2 {
        req.start_call(tag, "Bar", tag.to_string())?;
    }
    if req.next_answer_within(Duration::ZERO)?.is_some() {
        return Err(Error::failed("too early"));
    }
    req.call("Go", "")?;
    let mut text = String::new();
    for _ in 0..2 {
        let next = req.next_answer()?;
        let body =
            next.result.map_or_else(|error| error.status().to_string().into_bytes(), Vec::from);
        text += &format!("{}={} ", next.tag, String::from_utf8_lossy(&body));
    }
    Ok(text)
}

/// Not a test of its own: the worker process that the tests start.
#[test]
fn worker_process() {
    if std::env::var_os(WORKER).is_none() {
        return;
    }
    nightcore::handle("Foo", foo);
    nightcore::handle("AnyError", any_error);
    nightcore::handle("Caught", caught);
    nightcore::handle("Many", many);
    nightcore::handle("Nothing", |_req: &Request| ());
    nightcore::handle("Text", |_req: &Request| "text");
    nightcore::handle("Own", |_req: &Request| Err::<(), _>(Error::failed("no such user")));
    nightcore::handle("Reply", |_: &Request| {
        Reply::new("tea").with_status(418).with_metadata("a", "b")
    });
    nightcore::handle("BadReply", |_: &Request| Reply::new("").with_metadata("two words", ""));
    let twice = std::panic::catch_unwind(|| nightcore::handle("Foo", foo));
    assert!(twice.is_err());
    std::process::exit(i32::from(nightcore::serve() != ExitCode::SUCCESS));
}

fn ends_well(peer: Peer) {
    let (status, stderr) = peer.shut_down();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

fn one(function: &str, body: &[u8]) -> Said {
    let mut peer = Peer::start(worker(), function);
    let said = peer.call(1, body);
    ends_well(peer);
    said
}

#[test]
fn an_answer_is_handed_on_whole() {
    let mut peer = Peer::start(worker(), "Foo");
    peer.dispatch(1, b"Hello");
    let invoke = peer.receive();
    assert_eq!((invoke.name.as_str(), invoke.text()), ("Bar", "Hello, World"));
    let header = RawHeader { function: 3, ..RawHeader::new(Kind::Complete, invoke.header.call) };
    peer.send(header, "", &[(":status", "404")], b"nothing");
    let said = peer.receive();
    assert_eq!((said.text(), said.metadata.len()), ("nothing", 1));
    peer.dispatch(2, &vec![b'x'; 65536]);
    let invoke = peer.receive();
    peer.fail(invoke.header.call, Status::NotFound, "no Bar", None);
    let failure = peer.receive().failure();
    assert_eq!(
        (failure.status, failure.cause[0].status),
        (Status::FunctionFailed, Status::NotFound)
    );
    ends_well(peer);
}

#[test]
fn any_error_fails_the_call() {
    let mut peer = Peer::start(worker(), "AnyError");
    assert_eq!(peer.call(1, b"x").failure().message, "invalid digit found in string");
    peer.dispatch(2, b"7");
    let invoke = peer.receive();
    peer.fail(invoke.header.call, Status::NotFound, "no Bar", None);
    assert_eq!(peer.receive().failure().cause[0].message, "no Bar");
    ends_well(peer);
    assert_eq!(one("Own", b"").failure().message, "no such user");
    assert!(one("BadReply", b"").failure().message.contains("visible ASCII"));
}

#[test]
fn errors_can_be_looked_at() {
    let mut peer = Peer::start(worker(), "Caught");
    peer.dispatch(1, b"");
    let invoke = peer.receive();
    assert_eq!(invoke.header.deadline - invoke.header.sent_at, 50_000_000);
    peer.fail(invoke.header.call, Status::Overloaded, "full", None);
    assert_eq!(peer.receive().text(), "OVERLOADED Bar full");
    ends_well(peer);
}

#[test]
fn handlers_return_what_they_like() {
    assert_eq!(one("Nothing", b"").text(), "");
    assert_eq!(one("Text", b"").text(), "text");
    let said = one("Reply", b"");
    let pairs = [(":status".to_owned(), b"418".to_vec()), ("a".to_owned(), b"b".to_vec())];
    assert_eq!((said.text(), &said.metadata[..]), ("tea", &pairs[..]));
}

#[test]
fn started_calls_come_back_by_their_tags() {
    let mut peer = Peer::start(worker(), "Many");
    peer.dispatch(1, b"");
    let (zero, one, go) = (peer.receive(), peer.receive(), peer.receive());
    peer.complete(one.header.call, 2, b"one");
    peer.fail(zero.header.call, Status::Overloaded, "full", None);
    peer.complete(go.header.call, 3, b"");
    let said = loop {
        let said = peer.receive();
        if said.kind != Kind::Wait {
            break said;
        }
    };
    assert_eq!(said.text(), "1=one 0=OVERLOADED ");
    ends_well(peer);
}
