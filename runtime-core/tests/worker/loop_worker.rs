//! The worker process whose calls run in an event loop.

use super::*;

/// Answers a request while another thread makes calls for it.
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

/// Serves requests: answers "cancelled" and the reason when a request is cancelled, forwards a body
/// that begins with "bar" to Bar, and echoes any other body.
pub(super) fn serve_loop() -> Result<(), StartError> {
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
                    forks::fork_loop(&event_loop, request);
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
