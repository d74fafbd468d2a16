//! The worker process whose calls run on threads.

use super::*;

pub(super) fn reply(request: &Request<'_>, body: &[u8]) -> Result<(), Failure> {
    request.reply(Body::Parts(&[body]), MetadataBuffer::new().as_metadata())
}

pub(super) fn handlers() -> Handlers {
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
        ("ForkAmid", forks::fork_amid),
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
            // SAFETY: the child only returns. The runtime then ends the child.
            let child = unsafe { libc::fork() };
            if child == 0 {
                assert_eq!(reply(request, b"from the child").unwrap_err().status, Status::Forked);
                return Ok(());
            }
            let mut status = 0;
            // SAFETY: `status` can be written to, and the child belongs to this process.
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

/// Starts three calls, and answers with the order in which they ended.
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
    // This call tells the test that no answer has come yet.
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
