//! Handlers under `nightcore::testing` see and get what an engine would show and give them.

use nightcore::testing::{self, FakeRequest};
use nightcore::{Answer, CallOptions, Error, Origin, Reply, Request, Result, Status};
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
        assert_eq!((req.origin(), req.caller()), (Origin::Internal("Caller"), Some("Caller")));
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
        Ok(Reply::new("found").with_status(404).with_metadata("b", "c"))
    });
    let hand_on = |req: &Request| -> Result<Answer> {
        let mut options =
            CallOptions { timeout: Some(Duration::from_millis(5)), ..CallOptions::default() };
        options.metadata.push("k", b"v").unwrap();
        req.call_with("Bar", req.body(), &options)
    };
    let answer = request.run(hand_on).unwrap();
    assert_eq!((answer.body(), answer.status()), (&b"found"[..], 404));
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
fn calls_that_are_started_come_back_with_their_tags() {
    let request = FakeRequest::new("").on_call(|call| match call.body {
        b"1" => Err(Error::failed("odd")),
        body => Ok(Reply::new(body)),
    });
    let answer = request.run(|req: &Request| -> Result<String> {
        for tag in 0..3 {
            req.start_call(tag, "Bar", tag.to_string())?;
        }
        let mut text = String::new();
        while let Ok(next) = req.next_answer() {
            let body = next.result.map_or_else(|error| error.message().into(), Vec::from);
            text += &format!("{}={} ", next.tag, String::from_utf8_lossy(&body));
        }
        assert_eq!(
            req.next_answer_within(Duration::ZERO).unwrap_err().status(),
            Status::InvalidState
        );
        Ok(text)
    });
    assert_eq!(answer.unwrap().body(), b"0=0 1=odd 2=2 ");
}

#[test]
#[should_panic(expected = "no call ends with the error OK")]
fn a_call_cannot_fail_with_ok() {
    let _ = testing::error(Status::Ok, "");
}
