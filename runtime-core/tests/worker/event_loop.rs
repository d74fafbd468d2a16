//! Calls that run in an event loop.

use super::*;

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
    // An engine before version 3 of the protocol gives no reason.
    peer.send(RawHeader::new(Kind::Cancel, 1), "", &[], b"");
    assert_eq!(peer.receive().text(), "cancelled: Caller");
    let status = Status::DeadlineExceeded.number();
    peer.send(RawHeader { status, ..RawHeader::new(Kind::Cancel, 2) }, "", &[], b"");
    assert_eq!(peer.receive().text(), "cancelled: Deadline");
    // This call is no longer open.
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
    // There are more answers than the channel holds, and none is read before all calls are sent.
    let body = vec![b'x'; 900];
    for call in 1..=64 {
        // The worker must go on reading, although its answers are not read.
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

over_both! {
    an_event_loop_runs_many_calls_at_once,
    an_event_loop_hears_of_cancelled_calls_and_drops_late_answers,
    nothing_of_a_request_follows_its_answer_by_another_thread,
    an_event_loop_sends_what_there_was_no_room_for,
    an_event_loop_takes_no_call_of_a_caller_that_was_never_named,
    an_event_loop_whose_engine_goes_ends,
}
