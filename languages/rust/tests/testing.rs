//! Tests that `nightcore::testing` gives handlers the same requests and answers as an engine.

use nightcore::testing::{self, FakeRequest};
use nightcore::{Answer, CallOptions, CancelReason, Error, Reply, Request, Result, Status};
use std::time::Duration;

#[test]
fn a_handler_sees_the_request() {
    let request = FakeRequest::new("body").to_function("Foo").from_function("Caller");
    let request = request
        .with_metadata("a", "1")
        .with_metadata("a", b"\xff")
        .with_time_left(Duration::from_secs(2));
    let answer = request.run(|req: &Request| {
        assert_eq!((req.body(), req.function()), (&b"body"[..], "Foo"));
        assert_eq!((req.caller(), req.text().unwrap()), (Some("Caller"), "body"));
        let pairs: Vec<_> = req.metadata().iter().collect();
        assert_eq!(pairs, [("a", &b"1"[..]), ("a", b"\xff")]);
        assert_eq!((req.time_left(), req.is_cancelled()), (Some(Duration::from_secs(2)), false));
    });
    assert_eq!(answer.unwrap().body(), b"");
    let bare = |req: &Request| assert!(req.caller().is_none() && req.time_left().is_none());
    FakeRequest::new("").run(bare).unwrap();
    FakeRequest::new("").cancelled().run(|req: &Request| assert!(req.is_cancelled())).unwrap();
}

#[test]
fn a_call_is_the_test_s() {
    let mut calls = Vec::new();
    let request = FakeRequest::new("x").on_call(|call| {
        calls.push((call.function.to_owned(), call.body.to_vec(), call.timeout));
        assert_eq!(call.metadata.get("k"), Some(&b"v"[..]));
        Ok(Reply::new("found").with_http_status(404).with_metadata("b", "c"))
    });
    let hand_on = |req: &Request| -> Result<Answer> {
        let options = CallOptions::new().timeout(Duration::from_millis(5)).metadata("K", "v");
        req.call_with("Bar", req.body(), &options)
    };
    let answer = request.run(hand_on).unwrap();
    assert_eq!((answer.body(), answer.http_status()), (&b"found"[..], 404));
    assert_eq!(answer.metadata().get("b"), Some(&b"c"[..]));
    assert_eq!(calls, [("Bar".to_owned(), b"x".to_vec(), Some(Duration::from_millis(5)))]);
}

#[test]
fn errors_are_as_a_caller_sees_them() {
    let call = |req: &Request| req.call("Bar", b"");
    let nobody = FakeRequest::new("").to_function("Foo").run(call).unwrap_err();
    assert_eq!((nobody.status(), nobody.function()), (Status::FunctionFailed, "Foo"));
    let cause = &nobody.causes()[0];
    assert_eq!((cause.function.as_str(), cause.status), ("Bar", Status::NotFound));

    let full = || FakeRequest::new("").on_call(|_| Err(testing::error(Status::Overloaded, "full")));
    let looked_at = full().run(|req: &Request| {
        let error = call(req).unwrap_err();
        format!("{} {} {}", error.status(), error.function(), error.message())
    });
    assert_eq!(looked_at.unwrap().body(), b"OVERLOADED Bar full");

    let late =
        FakeRequest::new("").on_call(|_| Err(testing::error(Status::DeadlineExceeded, "late")));
    assert_eq!(late.run(call).unwrap_err().status(), Status::DeadlineExceeded);

    let own = FakeRequest::new("").run(|_: &Request| Err::<(), _>(Error::failed("no such user")));
    let own = own.unwrap_err();
    assert_eq!((own.message(), own.causes().len()), ("no such user", 0));

    let bad = FakeRequest::new("")
        .run(|_: &Request| Reply::new("").with_metadata("größe", ""))
        .unwrap_err();
    assert!(bad.message().contains("visible ASCII"), "{bad}");
}

#[test]
fn mistakes_in_options_are_errors_of_the_call() {
    let status = |options: CallOptions| {
        let request = FakeRequest::new("").on_call(|_| panic!("it is not called"));
        let refused = |req: &Request| req.call_with("Bar", "", &options).unwrap_err();
        request.run(move |req: &Request| refused(req).status().name()).unwrap()
    };
    let wrong = CallOptions::new().metadata("two words", "");
    assert_eq!(status(wrong).body(), b"INVALID_ARGUMENT");
    let large = CallOptions::new().metadata("a", vec![0; 33 * 1024]).metadata("two words", "");
    assert_eq!(status(large).body(), b"PAYLOAD_TOO_LARGE");
}

#[test]
fn http_errors_are_answers() {
    let no_user = |_: &Request| Err::<(), _>(Error::http(404, "no such user"));
    let answer = FakeRequest::new("").run(no_user).unwrap();
    assert_eq!((answer.http_status(), answer.text().unwrap()), (404, "no such user"));
    let error = answer.error_for_status().unwrap_err();
    assert_eq!((error.status(), error.function()), (Status::FunctionFailed, "Test"));
    assert_eq!(error.message(), "answered with HTTP status 404: no such user");

    let full = Reply::new("").with_http_status(503).with_metadata("retry-after", "5");
    let full = FakeRequest::new("").run(|_: &Request| Err::<(), _>(Error::http_reply(full)));
    assert_eq!(full.unwrap().metadata().get_str("retry-after"), Some("5"));

    let callee = || FakeRequest::new("").on_call(|_| Err(Error::http(410, "gone")));
    let handed_on = callee().run(|req: &Request| req.call("Bar", "")).unwrap();
    assert_eq!((handed_on.http_status(), handed_on.body()), (410, &b"gone"[..]));
    let changed =
        |req: &Request| Ok::<_, Error>(Reply::from(req.call("Bar", "")?).with_http_status(404));
    assert_eq!(callee().run(changed).unwrap().http_status(), 404);
    let raised = |req: &Request| req.call("Bar", "")?.error_for_status();
    let error = callee().run(raised).unwrap_err();
    assert_eq!(error.causes()[0].message, "answered with HTTP status 410: gone");

    let not_text = FakeRequest::new(b"\xff").run(|req: &Request| req.text().map(str::to_owned));
    assert_eq!(not_text.unwrap().http_status(), 400);
}

#[test]
fn calls_that_are_started_have_their_answers() {
    let request = || {
        FakeRequest::new("").on_call(|call| match call.body {
            b"1" => Err(Error::failed("odd")),
            body => Ok(Reply::new(body)),
        })
    };
    let answer = request().run(|req: &Request| -> Result<String> {
        let [first, odd, last] = ["0", "1", "2"].map(|body| req.start("Bar", body).unwrap());
        let last = last.wait()?;
        drop(first);
        let odd = odd.wait().unwrap_err();
        Ok(format!("{} {odd}", last.text()?))
    });
    assert_eq!(answer.unwrap().body(), b"2 Bar: FUNCTION_FAILED: odd");
    let answer = request().run(|req: &Request| -> Result<String> {
        let calls = ["0", "2", "4"].map(|body| req.start("Bar", body).unwrap());
        let ended = req.as_completed(calls);
        Ok(ended
            .map(|(index, result)| format!("{index}={} ", result.unwrap().text().unwrap()))
            .collect())
    });
    assert_eq!(answer.unwrap().body(), b"0=0 1=2 2=4 ");
}

#[test]
fn a_function_runs_if_the_request_is_cancelled() {
    let ran = |request: FakeRequest<'_>| {
        let (to, from) = std::sync::mpsc::channel();
        let handler = |req: &Request| {
            let _guard = req.on_cancel(move || to.send(()).unwrap()).unwrap();
            from.try_recv().is_ok().to_string()
        };
        request.run(handler).unwrap()
    };
    assert_eq!(ran(FakeRequest::new("")).body(), b"false");
    let late = FakeRequest::new("").cancelled_for(CancelReason::Deadline);
    assert_eq!(ran(late).body(), b"true");
}

#[test]
#[should_panic(expected = "no call ends with the error INVALID_STATE")]
fn a_call_cannot_fail_with_an_error_of_the_library() {
    let _ = testing::error(Status::InvalidState, "");
}

#[test]
fn the_answer_of_another_function_may_be_the_reply_of_an_error() {
    let request = FakeRequest::new("")
        .on_call(|_| Ok(Reply::new("gone").with_http_status(410).with_metadata("a", "b")));
    let reply = request.run(|req: &Request| -> Result<()> {
        Err(Error::http_reply(Reply::from(req.call("Bar", "")?)))
    });
    let reply = reply.unwrap();
    assert_eq!((reply.http_status(), reply.body()), (410, &b"gone"[..]));
}

#[test]
fn a_wait_of_any_length_ends_with_the_answer() {
    let request = FakeRequest::new("").on_call(|_| Ok(Reply::new("bar")));
    let waited = request.run(|req: &Request| -> Result<Answer> {
        req.start("Bar", "")?.wait_timeout(Duration::MAX).expect("an answer")
    });
    assert_eq!(waited.unwrap().body(), b"bar");
}
