//! Tests handlers in a real process, with a scripted engine.
//!
//! The worker process runs this test program, with the environment that an engine gives.

#[path = "../../../runtime-core/tests/peer/mod.rs"]
mod peer;

use nightcore::{Answer, CallOptions, Error, Reply, Request, Result, Worker};
use nightcore_runtime::protocol::{CancelReason, Status};
use peer::raw::{Kind, RawHeader};
use peer::{Peer, Said};
use std::error::Error as StdError;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::channel;
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
    let options = CallOptions::new().timeout(Duration::from_millis(50));
    match req.call_with("Bar", b"", &options) {
        Ok(answer) => format!("{} {:?}", answer.http_status(), answer.body()),
        Err(error) => format!("{} {} {}", error.status(), error.function(), error.message()),
    }
}

fn many(req: &Request) -> Result<String> {
    let (zero, mut one) = (req.start("Bar", "0")?, req.start("Bar", "1")?);
    if one.wait_timeout(Duration::ZERO).is_some() {
        return Err(Error::failed("too early"));
    }
    req.call("Go", "")?;
    let zero = zero.wait().unwrap_err();
    let answer = one.wait_timeout(Duration::MAX).unwrap()?;
    let twice = one.wait().unwrap_err();
    Ok(format!("{zero} {} {}", answer.text()?, twice.status()))
}

fn as_completed(req: &Request) -> Result<String> {
    let calls = ["zero", "one", "two"].map(|body| req.start("Bar", body).unwrap());
    let mut text = String::new();
    let mut completed = req.as_completed(calls);
    for _ in 0..2 {
        let (index, result) = completed.next().ok_or("two have ended")?;
        text += &format!("{index}={} ", result?.text()?);
    }
    // This cancels the call that is still under way.
    drop(completed);
    text += req.call("Last", "")?.text()?;
    Ok(text)
}

/// Waits for a call whose answer comes only after the callback for cancellation has run.
fn cancelled(req: &Request) -> Result<String> {
    let (to, from) = channel();
    let unheard = to.clone();
    drop(req.on_cancel(move || unheard.send("dropped").unwrap())?);
    let guard = req.on_cancel(move || to.send("cancelled").unwrap())?;
    req.call("Bar", "")?;
    let text = from.recv().unwrap();
    drop(guard);
    assert_eq!(from.try_iter().count(), 0);
    Ok(format!("{text}: {:?}", req.cancel_reason()))
}

fn raised(req: &Request) -> Result<Answer> {
    let answer = req.call("Bar", "")?.error_for_status();
    if let Err(error) = &answer {
        let (kept, status) = (error.answer().unwrap(), error.http_status());
        req.log(format_args!("{} {status:?} {}", error.function(), kept.body().len()));
    }
    answer
}

fn refuses(mut worker: Command, text: &str) {
    let output = worker.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(text), "{stderr}");
}

/// Is not a test itself: the worker processes that the tests start run it.
#[test]
fn worker_process() {
    let Some(kind) = std::env::var_os(WORKER) else { return };
    let handlers = Worker::new()
        .handle("Foo", foo)
        .handle("AnyError", any_error)
        .handle("Caught", caught)
        .handle("Many", many)
        .handle("AsCompleted", as_completed)
        .handle("Cancelled", cancelled)
        .handle("Raised", raised)
        .handle("Nothing", |_req: &Request| ())
        .handle("Text", |_req: &Request| "text")
        .handle("Own", |_req: &Request| Err::<(), _>(Error::failed("no such user")))
        .handle("Http", |_req: &Request| Err::<(), _>(Error::http(404, "no such user")))
        .handle("BadHttp", |_req: &Request| Err::<(), _>(Error::http(200, "all is well")))
        .handle("Reply", |_: &Request| {
            Reply::new("tea").with_http_status(418).with_metadata("a", "b")
        })
        .handle("BadStatus", |_: &Request| Reply::new("").with_http_status(199))
        .handle("BadReply", |_: &Request| Reply::new("").with_metadata("two words", ""));
    let served = match kind.to_str() {
        Some("twice") => handlers.handle("Foo", foo).serve(),
        Some("malformed") => handlers.handle("two words", foo).serve(),
        Some("none") => Worker::new().serve(),
        #[allow(deprecated)]
        Some("global") => {
            nightcore::handle("Foo", foo);
            nightcore::serve()
        }
        _ => handlers.serve(),
    };
    // The test harness would hide this exit code.
    std::process::exit(if served == ExitCode::SUCCESS { 0 } else { 2 });
}

#[test]
fn mistakes_in_handlers_are_errors_of_serving() {
    for (kind, text) in [
        ("twice", "\"Foo\" has two handlers"),
        ("malformed", "\"two words\" cannot name a function"),
        ("none", "not started by Nightcore"),
    ] {
        let mut worker = worker();
        worker.env(WORKER, kind);
        refuses(worker, text);
    }
    let error = Worker::new().handle("", foo).try_serve().unwrap_err();
    assert_eq!((error.status(), error.exit_code()), (nightcore::Status::InvalidArgument, 2));
}

#[test]
fn the_global_functions_still_serve() {
    let mut worker = worker();
    worker.env(WORKER, "global");
    let mut peer = Peer::start(worker, "Foo");
    peer.dispatch(1, b"Hello");
    let invoke = peer.receive();
    peer.complete(invoke.header.call, 3, b"done");
    assert_eq!(peer.receive().text(), "done");
    ends_well(peer);
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
    let text = "199 is no HTTP status from 200 to 599";
    assert_eq!(one("BadStatus", b"").failure().message, text);
}

#[test]
fn an_http_error_is_a_reply_and_leaves_no_line() {
    let mut peer = Peer::start(worker(), "Http");
    let said = peer.call(1, b"");
    assert_eq!((said.kind, said.text()), (Kind::Complete, "no such user"));
    let pairs = [(":status", "404"), ("content-type", "text/plain; charset=utf-8")];
    let pairs = pairs.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
    assert_eq!(said.metadata, pairs);
    let (status, stderr) = peer.shut_down();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
    let bad = one("BadHttp", b"").failure();
    assert_eq!(bad.message, "200 is no HTTP status from 400 to 599");
}

#[test]
fn an_answer_with_an_http_status_of_an_error_can_be_raised() {
    let mut peer = Peer::start(worker(), "Raised");
    peer.dispatch(1, b"");
    let invoke = peer.receive();
    let header = RawHeader { function: 3, ..RawHeader::new(Kind::Complete, invoke.header.call) };
    peer.send(header, "", &[(":status", "404")], "ä".repeat(300).as_bytes());
    let failure = peer.receive().failure();
    let cause = &failure.cause[0];
    assert_eq!((failure.status, cause.status), (Status::FunctionFailed, Status::FunctionFailed));
    let text = format!("answered with HTTP status 404: {}", "ä".repeat(200));
    assert_eq!((cause.function.as_str(), cause.message.as_str()), ("Bar", text.as_str()));
    peer.dispatch(2, b"");
    let invoke = peer.receive();
    let header = RawHeader { function: 3, ..RawHeader::new(Kind::Complete, invoke.header.call) };
    peer.send(header, "", &[(":status", "399")], b"fine");
    assert_eq!(peer.receive().text(), "fine");
    let (_, stderr) = peer.shut_down();
    assert!(stderr.contains("Bar Some(404) 600"), "{stderr}");
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

/// Returns the next message of the worker that is not about its slot.
fn receive(peer: &mut Peer) -> Said {
    loop {
        let said = peer.receive();
        if said.kind != Kind::Wait {
            return said;
        }
    }
}

#[test]
fn each_call_has_its_own_answer() {
    let mut peer = Peer::start(worker(), "Many");
    peer.dispatch(1, b"");
    let (zero, one, go) = (peer.receive(), peer.receive(), peer.receive());
    peer.complete(one.header.call, 2, b"one");
    peer.fail(zero.header.call, Status::Overloaded, "full", None);
    peer.complete(go.header.call, 3, b"");
    assert_eq!(receive(&mut peer).text(), "Bar: OVERLOADED: full one INVALID_STATE");
    ends_well(peer);
}

#[test]
fn calls_end_in_any_order_and_those_that_are_dropped_are_cancelled() {
    let mut peer = Peer::start(worker(), "AsCompleted");
    for call in 1..=2 {
        peer.dispatch(call, b"");
        let (zero, one, two) = (receive(&mut peer), receive(&mut peer), receive(&mut peer));
        peer.complete(two.header.call, 2, b"two");
        peer.complete(zero.header.call, 2, b"zero");
        let cancel = receive(&mut peer);
        assert_eq!((cancel.kind, cancel.header.call), (Kind::Cancel, one.header.call));
        let last = receive(&mut peer);
        peer.fail(one.header.call, Status::Cancelled, "the caller no longer wants it", None);
        peer.complete(last.header.call, 3, b"last");
        assert_eq!(receive(&mut peer).text(), "2=two 0=zero last");
    }
    ends_well(peer);
}

#[test]
fn a_function_runs_on_cancellation() {
    let mut peer = Peer::start(worker(), "Cancelled");
    peer.dispatch(1, b"");
    let invoke = peer.receive();
    peer.cancel(1, CancelReason::Deadline);
    peer.complete(invoke.header.call, 3, b"");
    assert_eq!(peer.receive().text(), "cancelled: Some(Deadline)");
    ends_well(peer);
}
