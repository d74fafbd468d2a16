//! Calls that run on threads.

use super::*;

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
    // The worker uses the granted region again.
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

    // The worker now knows the callee's id. Large bodies go through the arena in both directions.
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
    // An answer that arrives while the handler waits for Go is kept for the handler. The handler
    // then reports that it waits again.
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
    // This call is made on behalf of call 1, which is external.
    let header =
        RawHeader { parent: 1, function: 8, deadline, ..RawHeader::new(Kind::Dispatch, 2) };
    peer.cancel(2, CancelReason::Deadline);
    peer.send(header, "Caller", &[("a", "1"), ("a", "2")], b"");
    let expected = "0000000000000001 Describe Internal(\"Caller\") Some(true) \
                    [(\"a\", [49]), (\"a\", [50])] Some(Deadline)";
    assert_eq!(peer.receive().text(), expected);
    // The message names the caller once. Metadata that is too large for a message goes through the
    // arena.
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
    // The channel stays open, so the handler would wait forever. Only the grace period ends the
    // process.
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
    a_process_whose_engine_goes_ends,
    a_handler_that_waits_learns_that_the_control_socket_ended,
}
