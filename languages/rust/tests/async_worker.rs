//! Tests asynchronous handlers in a real process, with a scripted engine.
//!
//! The worker process runs this test program, with the environment that an engine gives.

#[path = "../../../runtime-core/tests/peer/mod.rs"]
mod peer;

use nightcore::testing::FakeRequest;
use nightcore::{AsyncRequest, CallOptions, Error, Reply, Request, Result, Status, Worker};
use nightcore_runtime::protocol::control::{ChannelKind, FUNCTION_VARIABLE, Mode};
use nightcore_runtime::protocol::{self, CancelReason};
use peer::raw::{Kind, RawHeader};
use peer::{Peer, Said};
use std::future::pending;
use std::process::{Command, ExitCode, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const WORKER: &str = "NIGHTCORE_TEST_WORKER";

/// Returns the command of a worker process for this function. `way` names how the worker serves.
fn worker(function: &str, way: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker_process", "--nocapture", "--test-threads=1"]).env(WORKER, way);
    command.env(FUNCTION_VARIABLE, function).stdout(Stdio::null());
    command
}

fn start(function: &str) -> Peer {
    Peer::start(worker(function, "serve"), function)
}

async fn foo(req: AsyncRequest) -> Result<String> {
    let answer = req.call("Bar", req.body()).await?;
    Ok(format!("{} {}", req.text()?, answer.text()?))
}

async fn both(req: AsyncRequest) -> Result<String> {
    // A handler's future need not be `Send`.
    let names = Rc::new(["Left", "Right"]);
    let (left, right) = tokio::try_join!(req.call(names[0], ""), req.call(names[1], ""))?;
    Ok(format!("{} {}", left.text()?, right.text()?))
}

/// Calls two functions, takes the first answer and drops the other call.
async fn either(req: AsyncRequest) -> Result<String> {
    let options = CallOptions::new().metadata("k", "v");
    let (left, right) = (req.start_with("Left", "", &options)?, req.start("Right", "")?);
    let answer = tokio::select! {
        answer = left => answer?,
        answer = right => answer?,
    };
    let last = req.call("Last", "").await?;
    Ok(format!("{} {}", answer.text()?, last.text()?))
}

/// Writes to the log when it is dropped.
struct Dropped(AsyncRequest);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.log("dropped");
    }
}

async fn cancelled(req: AsyncRequest) -> Result<String> {
    let _dropped = Dropped(req.clone());
    let watched = req.clone();
    tokio::task::spawn_local(async move {
        let reason = watched.cancelled().await;
        let again = watched.cancelled().await;
        let status = reason.map(|reason| reason.status()).unwrap();
        watched.log(format_args!("told {:?}", (status, again == reason)));
    });
    req.call("Bar", "").await?;
    pending().await
}

/// Gives its request to a task that calls after the reply.
async fn later(req: AsyncRequest) -> &'static str {
    let kept = req.start("Bar", "").unwrap();
    let watched = req.clone();
    tokio::task::spawn_local(async move {
        let reason = watched.cancelled().await;
        watched.log(format_args!("not cancelled: {reason:?}"));
    });
    tokio::task::spawn_local(async move {
        let ended = kept.await.unwrap_err();
        let late = req.call("Bar", "").await.unwrap_err();
        tokio::time::sleep(Duration::from_millis(20)).await;
        req.log(format_args!("after the reply: {} {}", ended.status(), late.status()));
    });
    "replied"
}

async fn fails(req: AsyncRequest) -> Result<Reply> {
    match req.body() {
        b"panic" => panic!("no {}", "luck"),
        b"failed" => Err(Error::failed("no such user")),
        b"io" => Err(std::io::Error::other("10.0.0.7 refused").into()),
        b"http" => Err(Error::http(404, "no such user")),
        _ => Ok(Reply::new("fine")),
    }
}

/// Panics before it returns a future.
fn panics_early(_: AsyncRequest) -> std::future::Ready<()> {
    panic!("early")
}

fn plain(req: &Request) -> Vec<u8> {
    [b"plain ", req.body()].concat()
}

/// Is not a test itself: the worker processes that the tests start run it.
#[test]
fn worker_process() {
    let Some(way) = std::env::var_os(WORKER) else { return };
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let worker = Worker::new()
        .handle("Plain", plain)
        .handle_async("Foo", foo)
        .handle_async("Both", both)
        .handle_async("Either", either)
        .handle_async("Cancelled", cancelled)
        .handle_async("Later", later)
        .handle_async("Fails", fails)
        .handle_async("PanicsEarly", panics_early)
        .handle_async("Count", async |_req: AsyncRequest| {
            COUNT.fetch_add(1, Ordering::Relaxed).to_string()
        });
    let served = match way.to_str() {
        Some("tokio") => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(worker.serve_async())
        }
        Some("twice") => worker.handle("Foo", plain).serve(),
        _ => worker.serve(),
    };
    std::process::exit(if served == ExitCode::SUCCESS { 0 } else { 2 });
}

/// Ends the worker, and returns its standard error.
fn ends_well(peer: Peer) -> String {
    let (status, stderr) = peer.shut_down();
    assert_eq!(status.code(), Some(0), "{stderr}");
    stderr
}

fn cancel(peer: &mut Peer, call: u64, reason: CancelReason) {
    let status = reason.status().number();
    peer.send(RawHeader { status, ..RawHeader::new(Kind::Cancel, call) }, "", &[], b"");
}

#[test]
fn requests_run_at_once_on_one_thread() {
    for (kind, way) in
        [(ChannelKind::Ring, "serve"), (ChannelKind::Fifo, "serve"), (ChannelKind::Ring, "tokio")]
    {
        let mut peer = Peer::start_over(kind, worker("Foo", way), "Foo");
        assert_eq!(peer.mode(), Mode::EventLoop as u16);
        let invokes: Vec<Said> = (1..=100)
            .map(|call| {
                peer.dispatch(call, call.to_string().as_bytes());
                peer.receive()
            })
            .collect();
        for (index, invoke) in invokes.iter().enumerate().rev() {
            assert_eq!(invoke.name, if index == 0 { "Bar" } else { &invoke.name });
            peer.complete(invoke.header.call, 3, b"answered");
            let said = peer.receive();
            let (call, text) = (index + 1, format!("{} answered", index + 1));
            assert_eq!((said.header.call, said.text()), (call as u64, text.as_str()));
        }
        ends_well(peer);
    }
}

#[test]
fn calls_of_a_handler_run_at_once() {
    let mut peer = start("Both");
    peer.dispatch(1, b"");
    let (left, right) = (peer.receive(), peer.receive());
    assert_eq!((left.name.as_str(), right.name.as_str()), ("Left", "Right"));
    peer.complete(right.header.call, 4, b"right");
    peer.complete(left.header.call, 3, b"left");
    assert_eq!(peer.receive().text(), "left right");
    peer.dispatch(2, b"");
    let (left, right) = (peer.receive(), peer.receive());
    peer.fail(left.header.call, protocol::Status::Overloaded, "full", None);
    // The handler cancels its other call.
    let cancel = peer.receive();
    assert_eq!((cancel.kind, cancel.header.call), (Kind::Cancel, right.header.call));
    let failure = peer.receive().failure();
    assert_eq!(failure.cause[0].function, "Left");
    ends_well(peer);
}

#[test]
fn a_call_that_is_dropped_is_cancelled() {
    let mut peer = start("Either");
    peer.dispatch(1, b"");
    let (left, right) = (peer.receive(), peer.receive());
    assert_eq!(left.metadata, [("k".to_owned(), b"v".to_vec())]);
    peer.complete(right.header.call, 4, b"right");
    let cancel = peer.receive();
    assert_eq!((cancel.kind, cancel.header.call), (Kind::Cancel, left.header.call));
    let last = peer.receive();
    peer.fail(left.header.call, protocol::Status::Cancelled, "not wanted", None);
    peer.complete(last.header.call, 5, b"last");
    assert_eq!(peer.receive().text(), "right last");
    ends_well(peer);
}

#[test]
fn a_cancelled_request_s_handler_is_dropped() {
    for (reason, name) in
        [(CancelReason::Caller, "Cancelled"), (CancelReason::Deadline, "DeadlineExceeded")]
    {
        let mut peer = start("Cancelled");
        peer.dispatch(7, b"");
        let invoke = peer.receive();
        cancel(&mut peer, 7, reason);
        let said = peer.receive();
        let said = if said.kind == Kind::Cancel {
            assert_eq!(said.header.call, invoke.header.call);
            peer.receive()
        } else {
            said
        };
        assert_eq!((said.kind, said.header.call, said.text()), (Kind::Complete, 7, ""));
        let stderr = ends_well(peer);
        assert!(stderr.contains("dropped"), "{stderr}");
        assert!(stderr.contains(&format!("told ({name}, true)")), "{stderr}");
        assert!(!stderr.contains("failed"), "{stderr}");
    }
}

#[test]
fn the_end_waits_for_tasks_of_handlers() {
    let mut peer = start("Later");
    peer.dispatch(1, b"");
    assert_eq!(peer.receive().kind, Kind::Invoke);
    assert_eq!(peer.receive().text(), "replied");
    let stderr = ends_well(peer);
    assert!(stderr.contains("after the reply: INVALID_STATE INVALID_STATE"), "{stderr}");
}

#[test]
fn a_handler_fails_alone() {
    let mut peer = start("Fails");
    assert_eq!(peer.call(1, b"panic").failure().message, "panicked: no luck");
    assert_eq!(peer.call(2, b"failed").failure().message, "no such user");
    assert_eq!(peer.call(3, b"io").failure().message, "10.0.0.7 refused");
    let http = peer.call(4, b"http");
    assert_eq!((http.text(), http.metadata[0].1.as_slice()), ("no such user", &b"404"[..]));
    assert_eq!(peer.call(5, b"").text(), "fine");
    ends_well(peer);
    let mut peer = start("PanicsEarly");
    assert_eq!(peer.call(1, b"").failure().message, "panicked: early");
    ends_well(peer);
}

#[test]
fn closures_are_handlers() {
    let mut peer = start("Count");
    assert_eq!((peer.call(1, b"").text(), peer.call(2, b"").text()), ("0", "1"));
    ends_well(peer);
}

#[test]
fn a_plain_handler_runs_on_threads_beside_asynchronous_ones() {
    for way in ["serve", "tokio"] {
        let mut peer = Peer::start(worker("Plain", way), "Plain");
        assert_eq!(peer.mode(), Mode::Threads as u16);
        assert_eq!(peer.call(1, b"body").text(), "plain body");
        ends_well(peer);
    }
}

#[test]
fn mistakes_in_handlers_are_errors_of_serving() {
    let output = worker("Foo", "twice").stderr(Stdio::piped()).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("\"Foo\" has two handlers"), "{stderr}");
}

#[tokio::test]
async fn a_test_needs_no_engine() {
    let request = FakeRequest::new("17").on_call(|call| match call.function {
        "Bar" => Ok(Reply::new("found")),
        other => Err(Error::failed(format!("no {other}"))),
    });
    assert_eq!(request.run_async(foo).await.unwrap().body(), b"17 found");
    let error = FakeRequest::new("").run_async(both).await.unwrap_err();
    assert_eq!(
        (error.status(), error.causes()[0].status),
        (Status::FunctionFailed, Status::NotFound)
    );
    let late = FakeRequest::new("").cancelled();
    let told =
        late.run_async(async |req: AsyncRequest| req.cancelled().await.unwrap().status().name());
    assert_eq!(told.await.unwrap().body(), b"CANCELLED");
}

#[tokio::test]
async fn a_process_that_does_not_serve_cannot_call() {
    let refused = nightcore::call_async("Bar", "").await.unwrap_err();
    assert_eq!((refused.status(), refused.function()), (Status::InvalidState, "Bar"));
}

#[test]
fn serving_where_it_would_block_a_tokio_runtime_is_an_error() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let served = runtime.block_on(async { Worker::new().handle_async("Foo", foo).try_serve() });
    let error = served.unwrap_err();
    assert_eq!((error.status(), error.exit_code()), (Status::InvalidState, 2));
    assert!(error.to_string().contains("serve_async"), "{error}");
}
