//! Handlers that fork, and the actions that the child and the parent may take.

use super::*;

/// Forks while the handler has one answer and waits for another one. The child can use neither of
/// them, and the parent goes on.
pub(super) fn fork_amid(request: &Request<'_>) -> Result<(), Failure> {
    let none = Body::Parts(&[]);
    let options = CallOptions::default();
    let bar = request.call("Bar", none, &options)?;
    request.start_call(1, "Bar", Body::Parts(&[b"started"]), &options)?;
    let buffer = request.buffer(100_000)?;
    // SAFETY: the child only uses the request and returns. The runtime then ends the child.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let refused = [
            request.call("Bar", Body::Parts(&[]), &options).err(),
            request.start_call(2, "Bar", Body::Parts(&[]), &options).err(),
            request.next_answer(None).err(),
            request.next_answer(Some(Duration::ZERO)).err(),
            request.buffer(1).err(),
            thread_worker::reply(request, b"from the child").err(),
        ];
        assert!(
            refused
                .iter()
                .all(|failure| failure.as_ref().is_some_and(|f| f.status == Status::Forked))
        );
        drop((bar, buffer));
        // SAFETY: the child ends without running any code of its parent.
        unsafe { libc::_exit(7) };
    }
    let mut status = 0;
    // SAFETY: `status` can be written to, and the child belongs to this process.
    unsafe { libc::waitpid(child, &mut status, 0) };
    request.call("Go", Body::Parts(&[]), &options)?;
    let started = request.next_answer(None)?.unwrap().result?;
    let intact = bar.body().iter().all(|byte| *byte == b'L');
    let started = String::from_utf8_lossy(started.body()).into_owned();
    thread_worker::reply(
        request,
        format!("{} {intact} {started}", libc::WEXITSTATUS(status)).as_bytes(),
    )
}

/// Forks a child that tries to serve calls.
pub(super) fn fork_loop(event_loop: &EventLoop, request: LoopRequest) {
    // SAFETY: the child only uses inherited values, and ends.
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
        // SAFETY: the child ends without running any code of its parent.
        unsafe { libc::_exit(if all { 7 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: `status` can be written to, and the child belongs to this process.
    unsafe { libc::waitpid(child, &mut status, 0) };
    let text = libc::WEXITSTATUS(status).to_string();
    request.reply(Body::Parts(&[text.as_bytes()]), MetadataBuffer::new().as_metadata()).unwrap();
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
        // This answer is in the channel while the child tries to read it.
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
    // When the next request runs, the first one no longer exists.
    assert_eq!(peer.call(2, b"on").text(), "on");
    assert!(peer.all_given_back());
    ends_well(peer);
}

over_both! {
    a_fork_that_returns_from_a_handler_answers_nothing,
    a_fork_does_not_disturb_its_parent,
    a_fork_of_an_event_loop_does_not_disturb_its_parent,
}
