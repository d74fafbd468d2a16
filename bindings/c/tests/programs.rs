//! Tests C and C++ programs, which are linked as a user's programs are, with a scripted engine.

mod library;
#[path = "../../../runtime-core/tests/peer/mod.rs"]
mod peer;

use nightcore_runtime::protocol::{CancelReason, Cause, Status};
use peer::raw::{Kind, RawHeader};
use peer::{Peer, Said};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A compiled program, in a folder with the library that it loads.
struct Program {
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Program {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.stdout(Stdio::null());
        command
    }
}

/// Compiles and links one source, given by its path in the repository.
fn compile(source: &str, shared: bool) -> Program {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    let library = LIBRARY.get_or_init(library::build);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("program");
    let mut compiler = library::compiler(source.ends_with(".cpp"));
    // The tests use POSIX threads and pipes.
    compiler.args(["-D_GNU_SOURCE", "-pedantic", "-Wall", "-Wextra", "-Werror", "-pthread"]);
    compiler.arg("-I").arg(root.join("include")).arg(root.join(source)).arg("-o").arg(&path);
    if shared {
        // The program loads the library by its soname, as an installed program does.
        std::os::unix::fs::symlink(library, dir.path().join("libnightcore.so.0")).unwrap();
        compiler.arg(library).arg(format!("-Wl,-rpath,{}", dir.path().display()));
    } else {
        compiler.arg(library.with_extension("a"));
        compiler.args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"]);
    }
    let output = compiler.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Program { path, _dir: dir }
}

fn c_worker() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("bindings/c/tests/programs/worker.c", true))
}

fn cpp_worker() -> &'static Program {
    static PROGRAM: OnceLock<Program> = OnceLock::new();
    PROGRAM.get_or_init(|| compile("bindings/c/tests/programs/worker.cpp", true))
}

fn ends_well(peer: Peer) {
    let (status, stderr) = peer.shut_down();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

/// Starts a program for one function, makes one call and returns the answer.
fn one(program: &Program, function: &str, body: &[u8]) -> Said {
    let mut peer = Peer::start(program.command(), function);
    let said = peer.call(1, body);
    ends_well(peer);
    said
}

fn hello(program: &Program) {
    let mut called = Peer::start(program.command(), "Bar");
    let mut caller = Peer::start(program.command(), "Foo");
    for (call, size) in [(1, 5), (2, 65536)] {
        let body = vec![b'H'; size];
        caller.dispatch(call, &body);
        let invoke = caller.receive();
        assert_eq!(invoke.kind, Kind::Invoke);
        let answer = called.call(call, &invoke.body);
        caller.complete(invoke.header.call, 2, &answer.body);
        let expected = [b"From function Bar: ", &body[..], b", World"].concat();
        assert!(caller.receive().body == expected);
    }
    caller.dispatch(3, b"");
    let invoke = caller.receive();
    caller.fail(invoke.header.call, Status::NotFound, "no function \"Bar\"", None);
    let failure = caller.receive().failure();
    assert_eq!(
        (failure.status, failure.cause[0].status),
        (Status::FunctionFailed, Status::NotFound)
    );
    ends_well(caller);
    ends_well(called);
}

#[test]
fn the_hello_examples_run() {
    hello(&compile("examples/hello/c/hello.c", true));
    hello(&compile("examples/hello/cpp/hello.cpp", true));
}

#[test]
fn a_program_can_be_linked_statically() {
    hello(&compile("examples/hello/c/hello.c", false));
}

#[test]
fn a_program_started_by_hand_says_how_to_start_it() {
    let output = c_worker().command().stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nightcore up"), "{output:?}");
    let output = c_worker().command().arg("loop").stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("nightcore up"), "{output:?}");
}

#[test]
fn c_serves_and_ends_with_its_engine() {
    let mut peer = Peer::start(c_worker().command(), "Echo");
    let large = vec![b'L'; 65536];
    assert_eq!(peer.call(1, b"small").text(), "small");
    assert!(peer.call(2, &large).body == large);
    assert!(peer.all_given_back());
    let (status, stderr) = peer.vanish();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the engine has gone"), "{stderr}");
    let (code, stderr) =
        peer::refuse(c_worker().command(), "no handler \"Nope\" in ./foo; it has: Echo");
    assert_eq!((code, stderr.trim()), (2, "nightcore: no handler \"Nope\" in ./foo; it has: Echo"));
}

#[test]
fn c_answers_from_a_buffer_with_metadata() {
    let said = one(c_worker(), "Large", b"");
    assert_eq!((said.kind, said.body.len()), (Kind::Complete, 100_000), "{:?}", said.text());
    let pairs = [(":status".to_owned(), b"201".to_vec()), ("kind".to_owned(), b"large".to_vec())];
    assert_eq!(said.metadata, pairs);
}

#[test]
fn a_status_that_a_c_handler_returns_fails_the_call() {
    let mut peer = Peer::start(c_worker().command(), "Status");
    let mut failure = |call, status: &str| peer.call(call, status.as_bytes()).failure();
    assert_eq!(failure(1, "1").status, Status::NotFound);
    assert_eq!(failure(2, "5").status, Status::Overloaded);
    let own = failure(3, "104");
    assert_eq!(own.status, Status::FunctionFailed);
    assert_eq!(own.message, "the handler returned INVALID_STATE: not allowed in this state");
    assert_eq!(failure(4, "-7").message, "the handler returned -7");
    ends_well(peer);
    let failure = one(c_worker(), "Fail", b"").failure();
    assert_eq!(
        (failure.status, failure.message.as_str()),
        (Status::FunctionFailed, "no such user")
    );
}

#[test]
fn c_passes_the_error_of_a_call_on_by_its_status() {
    let mut peer = Peer::start(c_worker().command(), "PassOn");
    peer.dispatch(1, b"");
    let invoke = peer.receive();
    let beneath =
        Cause { function: "Baz".into(), status: Status::NotFound, message: "no Baz".into() };
    peer.fail(invoke.header.call, Status::FunctionFailed, "broken", Some(beneath.clone()));
    let failure = peer.receive().failure();
    assert_eq!(
        (failure.cause[0].function.as_str(), failure.cause[0].message.as_str()),
        ("Bar", "broken")
    );
    assert_eq!(failure.cause[1], beneath);
    peer.dispatch(2, b"");
    let invoke = peer.receive();
    peer.fail(invoke.header.call, Status::DeadlineExceeded, "late", None);
    assert_eq!(peer.receive().failure().status, Status::DeadlineExceeded);
    ends_well(peer);
}

#[test]
fn c_calls_with_options_and_looks_at_errors() {
    let mut peer = Peer::start(c_worker().command(), "With");
    peer.dispatch(1, b"in");
    let invoke = peer.receive();
    assert_eq!((invoke.text(), invoke.metadata.len()), ("in", 1));
    assert_eq!(invoke.metadata[0], ("x-kind".to_owned(), b"test".to_vec()));
    let timeout = invoke.header.deadline - invoke.header.sent_at;
    assert_eq!(timeout, 5_000_000_000);
    let header = RawHeader { function: 3, ..RawHeader::new(Kind::Complete, invoke.header.call) };
    peer.send(header, "", &[(":status", "404"), ("a", "1")], b"nothing");
    assert_eq!(peer.receive().text(), "404 nothing");
    peer.dispatch(2, b"");
    let invoke = peer.receive();
    let beneath =
        Cause { function: "Baz".into(), status: Status::NotFound, message: "no Baz".into() };
    peer.fail(invoke.header.call, Status::FunctionFailed, "broken", Some(beneath));
    assert_eq!(peer.receive().text(), "Bar FUNCTION_FAILED: broken <- Baz NOT_FOUND: no Baz");
    ends_well(peer);
}

#[test]
fn c_replies_with_an_http_status() {
    let mut peer = Peer::start(c_worker().command(), "Http");
    let said = peer.call(1, b"404");
    assert_eq!((said.kind, said.text()), (Kind::Complete, "no such user"));
    let pairs = [
        (":status".to_owned(), b"404".to_vec()),
        ("content-type".to_owned(), b"text/plain; charset=utf-8".to_vec()),
    ];
    assert_eq!(said.metadata, pairs);
    let failure = peer.call(2, b"600").failure();
    assert_eq!(
        (failure.status, failure.message.as_str()),
        (Status::FunctionFailed, "an HTTP status is from 200 to 599, not 600")
    );
    ends_well(peer);
}

#[test]
fn cpp_replies_with_an_http_status() {
    let mut peer = Peer::start(cpp_worker().command(), "Http");
    let said = peer.call(1, b"404");
    assert_eq!((said.kind, said.text()), (Kind::Complete, "no such user"));
    let content_type = "text/plain; charset=utf-8";
    assert_eq!(pairs(&said), [(":status", "404"), ("content-type", content_type)]);
    let message = peer.call(2, b"399").failure().message;
    assert_eq!(message, "INVALID_ARGUMENT: an HTTP status is from 400 to 599, not 399");
    ends_well(peer);
    let said = one(cpp_worker(), "HttpReply", b"");
    let expected = [(":status", "422"), ("content-type", "application/json"), ("a", "1")];
    assert_eq!((said.text(), pairs(&said)), ("{}", expected.to_vec()));
    let message = one(cpp_worker(), "BadReply", b"").failure().message;
    assert_eq!(message, "INVALID_ARGUMENT: an HTTP status is from 200 to 599, not 600");
}

/// Returns the metadata of a message.
fn pairs(said: &Said) -> Vec<(&str, &str)> {
    said.metadata.iter().map(|(name, value)| (&name[..], str::from_utf8(value).unwrap())).collect()
}

/// Tests a handler that turns an HTTP status of 400 or more into an error, with two answers.
fn demands(program: &Program, function: &str, fine: &str) {
    let mut peer = Peer::start(program.command(), function);
    let mut answer = |call, http_status, body: &[u8]| {
        peer.dispatch(call, b"");
        let invoke = peer.receive();
        let header =
            RawHeader { function: 3, ..RawHeader::new(Kind::Complete, invoke.header.call) };
        peer.send(header, "", &[(":status", http_status)], body);
        // A handler that has started a call may wait for it before its answer arrives.
        loop {
            let said = peer.receive();
            if said.kind != Kind::Wait {
                break said;
            }
        }
    };
    assert_eq!(answer(1, "399", b"moved").text(), fine);
    let failure = answer(2, "404", b"no such user").failure();
    let expected = Cause {
        function: "Bar".into(),
        status: Status::FunctionFailed,
        message: "answered with HTTP status 404: no such user".into(),
    };
    assert_eq!((failure.status, failure.cause), (Status::FunctionFailed, vec![expected]));
    ends_well(peer);
}

#[test]
fn c_takes_an_http_status_for_an_error() {
    demands(c_worker(), "Demanding", "fine");
}

#[test]
fn cpp_takes_an_http_status_for_an_error() {
    demands(cpp_worker(), "Demanding", "fine");
    demands(cpp_worker(), "DemandingStarted", "moved");
}

#[test]
fn handlers_are_tested_without_an_engine() {
    for source in ["doubles.c", "doubles.cpp"] {
        let program = compile(&format!("bindings/c/tests/programs/{source}"), true);
        let output = program.command().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Answers the three calls of a handler in another order, after its fourth call, and returns the
/// handler's answer.
fn many(program: &Program) -> String {
    let mut peer = Peer::start(program.command(), "Many");
    peer.dispatch(1, b"");
    let calls: Vec<Said> = (0..3).map(|_| peer.receive()).collect();
    let go = peer.receive();
    assert_eq!(go.name, "Go");
    peer.complete(calls[2].header.call, 5, b"two");
    peer.fail(calls[0].header.call, Status::Overloaded, "full", None);
    peer.complete(go.header.call, 6, b"");
    peer.complete(calls[1].header.call, 5, b"one");
    let said = loop {
        let said = peer.receive();
        if said.kind != Kind::Wait {
            break said;
        }
    };
    ends_well(peer);
    said.text().to_owned()
}

#[test]
fn started_calls_come_back_by_their_tags() {
    assert_eq!(many(c_worker()), "2=two 0=OVERLOADED 1=one ");
    assert_eq!(many(cpp_worker()), "2=two 0=OVERLOADED 1=one ");
}

/// Returns how a handler describes its request: a call from outside, and a call from a function
/// with a deadline and metadata.
fn described(program: &Program) -> [String; 2] {
    let mut peer = Peer::start(program.command(), "Describe");
    let outside = peer.call(1, b"").text().to_owned();
    let deadline = nightcore_runtime::clock::now_ns() + 30_000_000_000;
    let header = RawHeader { function: 8, deadline, ..RawHeader::new(Kind::Dispatch, 2) };
    peer.cancel(2, CancelReason::Caller);
    peer.send(header, "Caller", &[("a", "1"), ("b", "2")], b"");
    let inside = peer.receive().text().to_owned();
    ends_well(peer);
    [outside, inside]
}

#[test]
fn requests_are_described() {
    assert_eq!(described(c_worker()), ["Describe 0 '' none 0", "Describe 1 'Caller' some 1"]);
    let [outside, inside] = described(cpp_worker());
    assert_eq!(outside, "Describe from outside no deadline wanted -");
    assert_eq!(inside, "Describe from Caller in time cancelled a=1 b=2 1");
}

#[test]
fn misuse_is_refused_with_a_status() {
    let mut peer = Peer::start(c_worker().command(), "Misuse");
    for call in 1..3 {
        let said = peer.call(call, b"");
        assert_eq!(said.text(), "fine");
    }
    ends_well(peer);
}

#[test]
fn a_request_that_is_kept_too_long_is_refused() {
    let mut peer = Peer::start(c_worker().command(), "Late");
    assert_eq!(peer.call(1, b"").kind, Kind::Complete);
    // This call uses the handle again, but the thread that kept it must not.
    assert_eq!(peer.call(2, b"go").text(), "WRONG_THREAD");
    ends_well(peer);
}

#[test]
fn a_c_event_loop_runs_calls() {
    let mut command = c_worker().command();
    command.arg("loop");
    let mut peer = Peer::start(command, "Echo");
    assert_eq!(peer.mode(), 1);
    assert_eq!(peer.call(1, b"Hello").text(), "Hello");
    assert_eq!(peer.call(9, b"").text(), "");
    peer.dispatch(2, b"bar");
    let invoke = peer.receive();
    assert_eq!((invoke.name.as_str(), invoke.header.parent), ("Bar", 2));
    assert_eq!(peer.call(3, b"meanwhile").text(), "meanwhile");
    peer.complete(invoke.header.call, 4, &vec![b'x'; 70_000]);
    let said = peer.receive();
    assert_eq!((said.header.call, said.body.len()), (2, 70_000));

    peer.dispatch(4, b"bar");
    let invoke = peer.receive();
    peer.fail(invoke.header.call, Status::NotFound, "no Bar", None);
    assert_eq!(peer.receive().failure().cause[0].status, Status::NotFound);

    peer.dispatch(5, b"bar");
    peer.receive();
    peer.send(RawHeader::new(Kind::Cancel, 5), "", &[], b"");
    assert_eq!(peer.receive().failure().status, Status::Cancelled);

    peer.dispatch(6, b"bar, back");
    let invoke = peer.receive();
    let cancel = peer.receive();
    assert_eq!((cancel.kind, cancel.header.call), (Kind::Cancel, invoke.header.call));
    peer.fail(invoke.header.call, Status::Cancelled, "no longer wanted", None);
    assert_eq!(peer.receive().failure().status, Status::Cancelled);

    let made = peer.call(7, b"made").failure();
    assert_eq!(
        (made.status, made.message.as_str()),
        (Status::FunctionFailed, "Far: OVERLOADED: too much")
    );
    let causes: Vec<_> =
        made.cause.iter().map(|cause| (cause.function.as_str(), cause.status)).collect();
    assert_eq!(causes, [("Far", Status::Overloaded), ("Farther", Status::NotFound)]);
    let refused = peer.call(8, b"refused").failure();
    assert!(refused.message.contains("metadata name"), "{}", refused.message);
    assert!(peer.all_given_back());
    ends_well(peer);
}

#[test]
fn cpp_handlers_return_what_they_like() {
    let text = |function, body: &[u8]| one(cpp_worker(), function, body).text().to_owned();
    assert_eq!(text("Echo", b"in"), "in");
    assert_eq!(text("Nothing", b"in"), "");
    assert_eq!(text("Bytes", b""), "\u{1}\u{2}\u{3}");
    assert_eq!(text("Text", b""), "text");
    let reply = one(cpp_worker(), "Reply", b"");
    assert_eq!(reply.text(), "teapot");
    let pairs = [
        (":status".to_owned(), b"418".to_vec()),
        ("content-type".to_owned(), b"text/plain".to_vec()),
    ];
    assert_eq!(reply.metadata, pairs);
    assert_eq!(one(cpp_worker(), "Large", b"").body, vec![b'x'; 150_000]);
}

#[test]
fn cpp_hands_an_answer_on_whole() {
    let mut peer = Peer::start(cpp_worker().command(), "HandOn");
    peer.dispatch(1, b"in");
    let invoke = peer.receive();
    assert_eq!(invoke.text(), "in-!");
    let header = RawHeader { function: 3, ..RawHeader::new(Kind::Complete, invoke.header.call) };
    peer.send(header, "", &[(":status", "404"), ("a", "1")], b"nothing");
    let said = peer.receive();
    let pairs = [(":status".to_owned(), b"404".to_vec()), ("a".to_owned(), b"1".to_vec())];
    assert_eq!((said.text(), said.metadata.as_slice()), ("nothing", &pairs[..]));
    ends_well(peer);
}

#[test]
fn cpp_exceptions_stay_inside() {
    let mut peer = Peer::start(cpp_worker().command(), "Catch");
    peer.dispatch(1, b"");
    let invoke = peer.receive();
    assert_eq!(invoke.header.deadline - invoke.header.sent_at, 50_000_000);
    let beneath =
        Cause { function: "Baz".into(), status: Status::NotFound, message: "no Baz".into() };
    peer.fail(invoke.header.call, Status::FunctionFailed, "broken", Some(beneath.clone()));
    let expected = "Bar: FUNCTION_FAILED: broken <- Baz NOT_FOUND no Baz (Bar, FUNCTION_FAILED)";
    assert_eq!(peer.receive().text(), expected);
    ends_well(peer);

    let mut peer = Peer::start(cpp_worker().command(), "Rethrow");
    peer.dispatch(1, b"");
    let bar = peer.receive();
    peer.fail(bar.header.call, Status::FunctionFailed, "broken", Some(beneath));
    let baz = peer.receive();
    peer.fail(baz.header.call, Status::FunctionFailed, "other", None);
    let causes: Vec<String> =
        peer.receive().failure().cause.into_iter().map(|c| c.function).collect();
    assert_eq!(causes, ["Bar", "Baz"]);
    ends_well(peer);

    let failure = one(cpp_worker(), "Throw", b"").failure();
    assert_eq!(
        (failure.status, failure.message.as_str()),
        (Status::FunctionFailed, "no such user")
    );
    let text = one(cpp_worker(), "ThrowOther", b"").failure().message;
    assert_eq!(text, "unknown exception");
    let failure = one(cpp_worker(), "ThrowStatus", b"").failure();
    assert_eq!(failure.status, Status::Overloaded);
    for name in ["NoName", "NoNameOutside"] {
        let failure = one(cpp_worker(), name, b"").failure();
        let expected = "NOT_FOUND: a name of a function has no zero byte";
        assert_eq!((failure.status, failure.message.as_str()), (Status::FunctionFailed, expected));
    }
    let failure = one(cpp_worker(), "TooLarge", b"").failure();
    assert_eq!(failure.status, Status::FunctionFailed);
    assert!(failure.message.contains("over the limit"), "{failure}");
}
