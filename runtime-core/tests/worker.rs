//! The worker runtime in a real process, against a scripted engine.
//!
//! The worker process is this test program again, with the environment that an engine gives: then
//! it serves instead of testing.

mod peer;

use nightcore_runtime::protocol::control::ChannelKind;
use nightcore_runtime::protocol::{CancelReason, Cause, Failure, MetadataBuffer, Status};
use nightcore_runtime::worker::{
    Body, CallOptions, Event, EventLoop, HandlerError, Handlers, LoopRequest, Request, RunningCall,
    StartError, serve,
};
use peer::Peer;
use peer::raw::{Kind, RawHeader};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Set for a worker process: "threads" or "loop".
const SKIN: &str = "NIGHTCORE_TEST_SKIN";

fn worker(skin: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker_process", "--nocapture", "--test-threads=1"]).env(SKIN, skin);
    command.stdout(std::process::Stdio::null());
    command
}

/// Not a test of its own: the worker process that the tests start.
#[test]
fn worker_process() {
    let ended = match std::env::var(SKIN).as_deref() {
        Ok("threads") => serve(&handlers()),
        Ok("loop") => serve_loop(),
        _ => return,
    };
    let code = ended.map_or_else(
        |error| {
            eprintln!("nightcore: {error}");
            i32::from(error.exit_code())
        },
        |()| 0,
    );
    std::process::exit(code);
}

fn reply(request: &Request<'_>, body: &[u8]) -> Result<(), Failure> {
    request.reply(Body::Parts(&[body]), MetadataBuffer::new().as_metadata())
}

fn handlers() -> Handlers {
    type Plain = fn(&Request<'_>) -> Result<(), Failure>;
    let all: [(&str, Plain); 10] = [
        ("Echo", |request| reply(request, request.body())),
        ("Empty", |_| Ok(())),
        ("Foo", |request| {
            let parts: [&[u8]; 2] = [request.body(), b", World"];
            let answer = request.call("Bar", Body::Parts(&parts), &CallOptions::default());
            reply(request, answer.map_err(Failure::passed_on)?.body())
        }),
        ("Twice", |request| {
            request.call("Bar", Body::Parts(&[b"1"]), &CallOptions::default())?;
            request.call("Bar", Body::Parts(&[b"2"]), &CallOptions::default())?;
            Ok(())
        }),
        ("Many", many),
        ("ForkAmid", fork_amid),
        ("Panic", |_| panic!("on purpose")),
        ("Describe", |request| {
            let left = request
                .time_left()
                .map(|left| left > Duration::ZERO && left < Duration::from_secs(60));
            let metadata: Vec<_> = request.metadata().iter().collect();
            let text = format!(
                "{} {} {:?} {:?} {:?} {:?}",
                request.call_id(),
                request.function(),
                request.origin(),
                left,
                metadata,
                request.cancel_reason()
            );
            let mut metadata = MetadataBuffer::new();
            metadata.push(":status", b"202").unwrap();
            request.reply(Body::Parts(&[text.as_bytes()]), metadata.as_metadata())
        }),
        ("Large", |request| {
            let size: usize = str::from_utf8(request.body()).unwrap().parse().unwrap();
            let mut buffer = request.buffer(size).map_err(Failure::passed_on)?;
            buffer.as_mut_slice().fill(b'x');
            request.reply(Body::Buffer(buffer, size), MetadataBuffer::new().as_metadata())
        }),
        ("Fork", |request| {
            // SAFETY: the child only returns, which the runtime ends it for.
            let child = unsafe { libc::fork() };
            if child == 0 {
                assert_eq!(reply(request, b"from the child").unwrap_err().status, Status::Forked);
                return Ok(());
            }
            let mut status = 0;
            // SAFETY: `status` can be written to, and the child is this process's.
            unsafe { libc::waitpid(child, &mut status, 0) };
            reply(request, format!("child exited with {}", libc::WEXITSTATUS(status)).as_bytes())
        }),
    ];
    let mut handlers = Handlers::new();
    for (name, handler) in all {
        let run = move |request: &Request<'_>| handler(request).map_err(HandlerError::from);
        handlers.add(name, Arc::new(run)).unwrap();
    }
    handlers
}

/// Starts three calls and tells in which order they ended.
fn many(request: &Request<'_>) -> Result<(), Failure> {
    for tag in 0..3u64 {
        request.start_call(
            10 + tag,
            "Bar",
            Body::Parts(&[&[b'0' + tag as u8]]),
            &CallOptions::default(),
        )?;
    }
    assert!(request.next_answer(Some(Duration::ZERO))?.is_none());
    let (began, wait) = (Instant::now(), Duration::from_millis(30));
    assert!(request.next_answer(Some(wait))?.is_none());
    assert!(began.elapsed() >= wait);
    // Tells the test that nothing came before it answers.
    let go = request.call("Go", Body::Parts(&[]), &CallOptions::default())?;
    let mut text = String::from_utf8_lossy(go.body()).into_owned();
    for _ in 0..3 {
        let next = request.next_answer(None)?.unwrap();
        let result = match next.result {
            Ok(answer) => String::from_utf8_lossy(answer.body()).into_owned(),
            Err(failure) => failure.status.to_string(),
        };
        text += &format!(" {}={result}", next.tag);
    }
    assert_eq!(request.next_answer(None).unwrap_err().status, Status::InvalidState);
    reply(request, text.as_bytes())
}

/// Forks while it holds one answer and another is on its way. The child may do nothing with either;
/// the parent goes on.
fn fork_amid(request: &Request<'_>) -> Result<(), Failure> {
    let none = Body::Parts(&[]);
    let options = CallOptions::default();
    let bar = request.call("Bar", none, &options)?;
    request.start_call(1, "Bar", Body::Parts(&[b"started"]), &options)?;
    let buffer = request.buffer(100_000)?;
    // SAFETY: the child only uses the request and returns, which the runtime ends it for.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = [
            request.call("Bar", Body::Parts(&[]), &options).err(),
            request.start_call(2, "Bar", Body::Parts(&[]), &options).err(),
            request.next_answer(None).err(),
            request.next_answer(Some(Duration::ZERO)).err(),
            request.buffer(1).err(),
            reply(request, b"from the child").err(),
        ];
        assert!(
            refused
                .iter()
                .all(|failure| failure.as_ref().is_some_and(|f| f.status == Status::Forked))
        );
        drop((bar, buffer));
        // SAFETY: as at the end of any fork.
        unsafe { libc::_exit(7) };
    }
    let mut status = 0;
    // SAFETY: `status` can be written to, and the child is this process's.
    unsafe { libc::waitpid(child, &mut status, 0) };
    request.call("Go", Body::Parts(&[]), &options)?;
    let started = request.next_answer(None)?.unwrap().result?;
    let intact = bar.body().iter().all(|byte| *byte == b'L');
    let started = String::from_utf8_lossy(started.body()).into_owned();
    reply(request, format!("{} {intact} {started}", libc::WEXITSTATUS(status)).as_bytes())
}

/// Forks, and the child tries to serve.
fn fork_loop(event_loop: &EventLoop, request: LoopRequest) {
    // SAFETY: the child only uses what it has inherited and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let empty = MetadataBuffer::new();
        let refused = [
            event_loop.next(Some(Duration::ZERO)).err(),
            request.start_call(7, "Bar", Body::Parts(&[]), &CallOptions::default()).err(),
            request.reply(Body::Parts(&[]), empty.as_metadata()).err(),
        ];
        let all = refused
            .iter()
            .all(|failure| failure.as_ref().is_some_and(|f| f.status == Status::Forked));
        drop(request);
        // SAFETY: as at the end of any fork.
        unsafe { libc::_exit(if all { 7 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` can be written to, and the child is this process's.
    unsafe { libc::waitpid(child, &mut status, 0) };
    let text = libc::WEXITSTATUS(status).to_string();
    request.reply(Body::Parts(&[text.as_bytes()]), MetadataBuffer::new().as_metadata()).unwrap();
}

/// Answers a request while another thread calls for it.
fn race(request: &LoopRequest) {
    let started = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let call = || request.start_call(7, "Bar", Body::Parts(&[]), &CallOptions::default());
            while call().is_ok() {
                started.store(true, Ordering::Relaxed);
            }
        });
        while !started.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
        request.reply(Body::Parts(&[]), MetadataBuffer::new().as_metadata()).unwrap();
    });
}

/// Answers "cancelled" and the reason when a request is cancelled, forwards a body that begins with
/// "bar" to Bar, echoes any other.
fn serve_loop() -> Result<(), StartError> {
    let event_loop = EventLoop::connect(&["Echo"])?;
    let mut open: Vec<LoopRequest> = Vec::new();
    let answer = |request: &LoopRequest, body: &[u8]| {
        request.reply(Body::Parts(&[body]), MetadataBuffer::new().as_metadata()).unwrap();
    };
    loop {
        match event_loop.next(None).unwrap() {
            None => {}
            Some(Event::Ended) => return Ok(()),
            Some(Event::Request(request)) => {
                if request.body().starts_with(b"bar") {
                    let body = Body::Parts(&[request.body()]);
                    request.start_call(7, "Bar", body, &CallOptions::default()).unwrap();
                    open.push(request);
                } else if request.body().starts_with(b"fork") {
                    fork_loop(&event_loop, request);
                } else if request.body() == b"race" {
                    race(&request);
                } else if request.body() == b"wait" {
                    open.push(request);
                } else if request.body() != b"drop" {
                    answer(&request, request.body());
                    let again =
                        request.reply(Body::Parts(&[]), MetadataBuffer::new().as_metadata());
                    assert_eq!(again.unwrap_err().status, Status::InvalidState);
                }
            }
            Some(Event::Answer { request, tag, result }) => {
                assert_eq!(tag, 7);
                let at = open.iter().position(|open| open.id() == request).unwrap();
                let request = open.swap_remove(at);
                match result {
                    Ok(bar) => answer(&request, bar.body()),
                    Err(failure) => request.fail(&failure.passed_on().into()).unwrap(),
                }
            }
            Some(Event::Cancelled { request, reason }) => {
                let at = open.iter().position(|open| open.id() == request).unwrap();
                let request = open.swap_remove(at);
                assert_eq!(request.cancel_reason(), Some(reason));
                answer(&request, format!("cancelled: {reason:?}").as_bytes());
            }
        }
    }
}

fn ends_well(peer: Peer) {
    let (status, stderr) = peer.shut_down();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

fn calls_are_run_inline_and_by_the_arena(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Echo");
    assert!(peer.hello.text.lines().skip(1).any(|name| name == "Echo"), "{}", peer.hello.text);
    for (call, size) in [0, 1, 960, 961, 4096, 65536, 1 << 20, 5 << 20].into_iter().enumerate() {
        let body: Vec<u8> = (0..size).map(|i| (i % 251) as u8).collect();
        let said = peer.call(call as u64 + 1, &body);
        assert_eq!(said.kind, Kind::Complete);
        assert!(said.body == body, "{size} bytes did not come back");
        assert_eq!(said.header.region != 0, size > 960);
    }
    assert!(peer.all_given_back());
    ends_well(peer);
}

fn an_answer_beyond_the_base_region_asks_for_one_of_its_own(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Large");
    let size = 24 << 20;
    peer.dispatch(1, size.to_string().as_bytes());
    peer.grant_region(9);
    let said = peer.receive();
    assert_eq!((said.kind, said.header.region, said.body.len()), (Kind::Complete, 9, size));
    // The region that was granted is used again.
    let said = peer.call(2, (20 << 20).to_string().as_bytes());
    assert_eq!((said.kind, said.header.region), (Kind::Complete, 9));
    let said = peer.call(3, (peer::MAX_BODY + 1).to_string().as_bytes());
    assert_eq!(said.failure().status, Status::FunctionFailed);
    assert!(said.failure().message.contains("over the limit"), "{said:?}");
    ends_well(peer);
}

fn a_region_that_is_refused_fails_the_call(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Large");
    peer.dispatch(1, (24 << 20).to_string().as_bytes());
    peer.refuse_region("the budget is used up");
    let said = peer.receive();
    assert_eq!(said.failure().status, Status::Overloaded);
    assert_eq!(said.failure().message, "the budget is used up");
    assert_eq!(peer.call(2, b"5").text(), "xxxxx");
    ends_well(peer);
}

fn a_handler_that_does_not_answer_answers_nothing(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Empty");
    let said = peer.call(1, b"in");
    assert_eq!((said.kind, said.body.len()), (Kind::Complete, 0));
    ends_well(peer);
}

fn an_internal_call_gets_its_answer(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Foo");
    peer.dispatch(1, b"Hello");
    let invoke = peer.receive();
    assert_eq!(
        (invoke.kind, invoke.name.as_str(), invoke.text()),
        (Kind::Invoke, "Bar", "Hello, World")
    );
    assert_eq!((invoke.header.parent, invoke.header.function), (1, 0));
    assert_eq!(invoke.header.flags & 1, 1, "it waits");
    peer.complete(invoke.header.call, 42, b"from Bar");
    assert_eq!(peer.receive().text(), "from Bar");

    // The id is known now, and large bodies go by the arena, both ways.
    let large = vec![b'L'; 65536];
    peer.dispatch(2, &large);
    let invoke = peer.receive();
    assert_eq!(
        (invoke.name.as_str(), invoke.header.function, invoke.body.len()),
        ("", 42, 65536 + 7)
    );
    peer.complete(invoke.header.call, 42, &large);
    assert!(peer.receive().body == large);
    assert!(peer.all_given_back());
    ends_well(peer);
}

fn an_error_of_an_internal_call_is_passed_on_with_its_causes(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Foo");
    peer.dispatch(1, b"x");
    let invoke = peer.receive();
    let beneath =
        Cause { function: "Baz".into(), status: Status::Overloaded, message: "full".into() };
    peer.fail(
        invoke.header.call,
        Status::FunctionFailed,
        "Baz: OVERLOADED: full",
        Some(beneath.clone()),
    );
    let failure = peer.receive().failure();
    assert_eq!(failure.status, Status::FunctionFailed);
    let bar = Cause {
        function: "Bar".into(),
        status: Status::FunctionFailed,
        message: "Baz: OVERLOADED: full".into(),
    };
    assert_eq!(failure.cause, [bar, beneath]);
    ends_well(peer);
}

fn a_second_call_uses_the_id_that_the_first_one_s_error_brought(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Twice");
    peer.dispatch(1, b"");
    let first = peer.receive();
    peer.complete(first.header.call, 5, b"");
    let second = peer.receive();
    assert_eq!((second.name.as_str(), second.header.function), ("", 5));
    assert_ne!(first.header.call, second.header.call);
    peer.complete(second.header.call, 5, b"");
    assert_eq!(peer.receive().kind, Kind::Complete);
    ends_well(peer);
}

fn answers_to_started_calls_come_in_their_order(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Many");
    peer.dispatch(1, b"");
    let calls: Vec<_> = (0..3).map(|_| peer.receive()).collect();
    assert!(calls.iter().all(|call| call.header.flags & 1 == 0), "the handler goes on");
    let go = peer.receive();
    assert_eq!((go.name.as_str(), go.header.flags & 1), ("Go", 1));
    // An answer that comes while the handler waits for Go is kept for it, and the handler then says
    // that it waits again.
    peer.complete(calls[1].header.call, 5, b"b");
    let wait = peer.receive();
    assert_eq!((wait.kind, wait.header.call, wait.header.parent), (Kind::Wait, 1, 1));
    peer.complete(go.header.call, 6, b"go");
    let wait = peer.receive();
    assert_eq!((wait.kind, wait.header.parent), (Kind::Wait, 2));
    peer.fail(calls[0].header.call, Status::NotFound, "no Bar", None);
    let wait = peer.receive();
    assert_eq!((wait.kind, wait.header.parent), (Kind::Wait, 3));
    peer.complete(calls[2].header.call, 5, b"c");
    assert_eq!(peer.receive().text(), "go 11=b 10=NOT_FOUND 12=c");
    ends_well(peer);
}

fn a_panic_fails_the_call_and_nothing_else(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Panic");
    for call in 1..3 {
        let failure = peer.call(call, b"").failure();
        assert_eq!(
            (failure.status, failure.message.as_str()),
            (Status::FunctionFailed, "panicked: on purpose")
        );
    }
    ends_well(peer);
}

fn a_request_says_where_it_came_from_and_how_long_it_has(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Describe");
    let said = peer.call(1, b"");
    assert_eq!(said.text(), "0000000000000001 Describe External None [] None");
    assert_eq!(said.metadata, [(":status".to_owned(), b"202".to_vec())]);
    let deadline = nightcore_runtime::clock::now_ns() + 30_000_000_000;
    // Below call 1 from outside.
    let header =
        RawHeader { parent: 1, function: 8, deadline, ..RawHeader::new(Kind::Dispatch, 2) };
    peer.cancel(2, CancelReason::Deadline);
    peer.send(header, "Caller", &[("a", "1"), ("a", "2")], b"");
    let expected = "0000000000000001 Describe Internal(\"Caller\") Some(true) \
                    [(\"a\", [49]), (\"a\", [50])] Some(Deadline)";
    assert_eq!(peer.receive().text(), expected);
    // A caller is named once; metadata too large for a message goes by the arena.
    let long = "v".repeat(2000);
    peer.send(
        RawHeader { function: 8, ..RawHeader::new(Kind::Dispatch, 3) },
        "",
        &[("long", &long)],
        b"",
    );
    let said = peer.receive();
    assert!(
        said.text().starts_with("0000000000000003 Describe Internal(\"Caller\") None [(\"long\""),
        "{said:?}"
    );
    assert!(peer.all_given_back());
    ends_well(peer);
}

fn a_fork_that_returns_from_a_handler_answers_nothing(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Fork");
    assert_eq!(peer.call(1, b"").text(), "child exited with 1");
    peer.assert_silent();
    assert_eq!(peer.call(2, b"").text(), "child exited with 1");
    let (status, stderr) = peer.shut_down();
    assert_eq!(status.code(), Some(0), "{stderr}");
    assert!(stderr.contains("a fork returned from a handler"), "{stderr}");
}

fn a_fork_does_not_disturb_its_parent(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "ForkAmid");
    for call in 1..=20 {
        peer.dispatch(call, b"");
        let bar = peer.receive();
        peer.complete(bar.header.call, 5, &vec![b'L'; 65536]);
        let started = peer.receive();
        assert_eq!(started.text(), "started");
        // It lies in the channel while the child looks for it.
        peer.complete(started.header.call, 5, &[b's'; 800]);
        let go = peer.receive();
        assert_eq!(go.name.is_empty(), call > 1);
        assert!(!peer.all_given_back(), "the child gave back what its parent reads");
        peer.complete(go.header.call, 6, b"");
        let expected = format!("7 true {}", "s".repeat(800));
        let mut said = peer.receive();
        while said.kind == Kind::Wait {
            said = peer.receive();
        }
        assert_eq!(said.text(), expected);
        assert!(peer.all_given_back());
    }
    ends_well(peer);
}

fn a_fork_of_an_event_loop_does_not_disturb_its_parent(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("loop"), "Echo");
    let body = [b"fork".as_slice(), &[b'x'; 900]].concat();
    for call in 1..=20 {
        assert_eq!(peer.call(2 * call, &body).text(), "7");
        assert_eq!(peer.call(2 * call + 1, b"on").text(), "on");
    }
    let large = [b"fork".as_slice(), &[b'x'; 65536]].concat();
    assert_eq!(peer.call(1, &large).text(), "7");
    // The request is gone when the next one is run.
    assert_eq!(peer.call(2, b"on").text(), "on");
    assert!(peer.all_given_back());
    ends_well(peer);
}

fn a_process_whose_engine_goes_ends(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Echo");
    assert_eq!(peer.call(1, b"x").text(), "x");
    let (status, stderr) = peer.vanish();
    assert_eq!(status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("the engine has gone"), "{stderr}");
}

fn a_handler_that_waits_learns_that_the_control_socket_ended(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("threads"), "Foo");
    peer.dispatch(1, b"x");
    assert_eq!(peer.receive().kind, Kind::Invoke);
    // The channel stays open: only the grace period ends the process, as the handler would wait for
    // good.
    peer.hang_up();
    let (status, stderr) = peer.wait();
    assert_eq!(status.code(), Some(1), "{stderr}");
}

#[test]
fn a_process_that_is_refused_says_why_and_exits_with_2() {
    let (code, stderr) =
        peer::refuse(worker("threads"), "no handler \"Nope\" in ./x; it has: Echo");
    assert_eq!(code, 2);
    assert!(stderr.contains("no handler \"Nope\""), "{stderr}");
}

fn an_event_loop_runs_many_calls_at_once(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("loop"), "Echo");
    assert_eq!(peer.mode(), 1);
    assert_eq!(peer.call(1, b"Hello").text(), "Hello");
    let large = vec![b'L'; 65536];
    assert!(peer.call(2, &large).body == large);

    peer.dispatch(3, b"bar three");
    peer.dispatch(4, b"bar four");
    peer.dispatch(5, b"five");
    let (three, four) = (peer.receive(), peer.receive());
    assert_eq!((three.name.as_str(), three.header.parent, three.text()), ("Bar", 3, "bar three"));
    assert_eq!((four.header.parent, four.text()), (4, "bar four"));
    assert_eq!(peer.receive().text(), "five");
    peer.complete(four.header.call, 9, b"4");
    let said = peer.receive();
    assert_eq!((said.header.call, said.text()), (4, "4"));
    peer.fail(three.header.call, Status::NotFound, "no Bar", None);
    let said = peer.receive();
    assert_eq!((said.header.call, said.failure().cause[0].status), (3, Status::NotFound));
    assert!(peer.all_given_back());
    ends_well(peer);
}

fn an_event_loop_hears_of_cancelled_calls_and_drops_late_answers(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("loop"), "Echo");
    peer.dispatch(1, b"wait");
    peer.dispatch(2, b"bar");
    let bar = peer.receive();
    // An engine before version 3 gives no reason.
    peer.send(RawHeader::new(Kind::Cancel, 1), "", &[], b"");
    assert_eq!(peer.receive().text(), "cancelled: Caller");
    let status = Status::DeadlineExceeded.number();
    peer.send(RawHeader { status, ..RawHeader::new(Kind::Cancel, 2) }, "", &[], b"");
    assert_eq!(peer.receive().text(), "cancelled: Deadline");
    // Of a call that is not open any more.
    peer.send(RawHeader::new(Kind::Cancel, 1), "", &[], b"");
    peer.complete(bar.header.call, 9, &vec![b'l'; 65536]);
    assert_eq!(peer.call(3, b"on").text(), "on");
    assert!(peer.all_given_back());
    let failure = peer.call(4, b"drop").failure();
    assert_eq!(failure.message, "the handler did not answer");
    ends_well(peer);
}

fn nothing_of_a_request_follows_its_answer_by_another_thread(kind: ChannelKind) {
    const ROUNDS: u64 = 500;
    let mut peer = Peer::start_over(kind, worker("loop"), "Echo");
    for call in 1..=ROUNDS {
        peer.dispatch(call, b"race");
        loop {
            let said = peer.receive();
            match said.kind {
                Kind::Invoke => assert_eq!(said.header.parent, call, "it was answered before"),
                _ => break assert_eq!((said.kind, said.header.call), (Kind::Complete, call)),
            }
        }
    }
    assert_eq!(peer.call(ROUNDS + 1, b"on").text(), "on");
    ends_well(peer);
}

fn an_event_loop_sends_what_there_was_no_room_for(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("loop"), "Echo");
    // Their answers are more than the channel holds, and are not read before all calls are sent.
    let body = vec![b'x'; 900];
    for call in 1..=64 {
        // The worker reads on, although nobody reads what it writes.
        peer.dispatch(call, &body);
    }
    for call in 1..=64 {
        let said = peer.receive();
        assert_eq!((said.header.call, said.body.len()), (call, 900));
    }
    ends_well(peer);
}

fn an_event_loop_takes_no_call_of_a_caller_that_was_never_named(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("loop"), "Echo");
    peer.send(RawHeader { function: 77, ..RawHeader::new(Kind::Dispatch, 1) }, "", &[], b"x");
    let (status, stderr) = peer.wait();
    assert_eq!(status.code(), Some(0), "{stderr}");
}

fn an_event_loop_whose_engine_goes_ends(kind: ChannelKind) {
    let mut peer = Peer::start_over(kind, worker("loop"), "Echo");
    assert_eq!(peer.call(1, b"x").text(), "x");
    let (status, stderr) = peer.vanish();
    assert_eq!(status.code(), Some(0), "its own loop decides: {stderr}");
}

/// Runs each of these over either kind of channel.
macro_rules! over_both {
    ($($test:ident,)*) => {
        mod over_rings {
            $(#[test] fn $test() { super::$test(super::ChannelKind::Ring) })*
        }
        mod over_pipes {
            $(#[test] fn $test() { super::$test(super::ChannelKind::Fifo) })*
        }
    };
}

over_both! {
    calls_are_run_inline_and_by_the_arena,
    an_answer_beyond_the_base_region_asks_for_one_of_its_own,
    a_region_that_is_refused_fails_the_call,
    a_handler_that_does_not_answer_answers_nothing,
    an_internal_call_gets_its_answer,
    an_error_of_an_internal_call_is_passed_on_with_its_causes,
    a_second_call_uses_the_id_that_the_first_one_s_error_brought,
    answers_to_started_calls_come_in_their_order,
    a_panic_fails_the_call_and_nothing_else,
    a_request_says_where_it_came_from_and_how_long_it_has,
    a_fork_that_returns_from_a_handler_answers_nothing,
    a_fork_does_not_disturb_its_parent,
    a_fork_of_an_event_loop_does_not_disturb_its_parent,
    a_process_whose_engine_goes_ends,
    a_handler_that_waits_learns_that_the_control_socket_ended,
    an_event_loop_runs_many_calls_at_once,
    an_event_loop_hears_of_cancelled_calls_and_drops_late_answers,
    nothing_of_a_request_follows_its_answer_by_another_thread,
    an_event_loop_sends_what_there_was_no_room_for,
    an_event_loop_takes_no_call_of_a_caller_that_was_never_named,
    an_event_loop_whose_engine_goes_ends,
}
