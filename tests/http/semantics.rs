//! Tests of requests and responses by RFC 9110, 9112 and 9113, over both versions of HTTP.

use harness::workers::c;
use harness::{Connection, Engine, Http2, Setup};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn engine() -> Engine {
    Setup::new()
        .functions(&["Echo", "Metadata"], &c())
        .function("Reply", &c(), "route = \"/\"")
        .start()
}

/// Returns the lines of an answer of `Metadata`.
fn lines(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.is_empty()).collect()
}

/// Sends a request, and returns all bytes until the gateway closes the connection.
fn all_that_comes(engine: &Engine, request: &str) -> String {
    let mut stream = TcpStream::connect(engine.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut got = Vec::new();
    let ended = stream.read_to_end(&mut got);
    assert!(ended.is_ok(), "{request:?} left the connection open: {ended:?}");
    String::from_utf8_lossy(&got).into_owned()
}

/// Sends a request over HTTP/1.1 whose answer must have no body, followed by another request: a
/// body would be taken for the beginning of the second answer.
#[track_caller]
fn bodiless(client: &mut Connection, method: &str, path: &str, body: &[u8]) -> harness::Response {
    client.send(method, path, &[], body).unwrap();
    client.send("GET", "/healthz", &[], b"").unwrap();
    let response = client.receive_head().unwrap();
    assert_eq!(client.receive().unwrap().text(), "ok\n", "{method} {path}");
    response
}

#[test]
fn an_answer_to_head_has_no_body_in_either_version() {
    let engine = engine();
    let mut one = engine.connect();
    let mut two = Http2::open(engine.address());
    for (path, body, status, length) in [
        ("/healthz", "", 200, Some("3")),
        ("/readyz", "", 200, Some("6")),
        ("/function/Nobody", "", 404, None),
        ("/function/Echo", "hello", 200, Some("5")),
        ("/function/Reply", ":status: 418\n\nshort", 418, Some("5")),
        ("/function/Reply", ":status: 200\ncontent-length: 7\n\n", 200, Some("7")),
        ("/function/Reply", ":status: 99\n\n", 500, None),
    ] {
        let answer = bodiless(&mut one, "HEAD", path, body.as_bytes());
        assert_eq!(answer.status, status, "{path} {body:?}");
        if length.is_some() {
            assert_eq!(answer.header("content-length"), length, "{path} {body:?}");
        }
        let answer = two.request("HEAD", path, &[], body.as_bytes());
        assert_eq!((answer.status, answer.data_frames), (status, 0), "{path} {body:?}");
    }
    engine.stop();
}

#[test]
fn an_answer_without_content_has_no_body_in_either_version() {
    let engine = engine();
    let mut one = engine.connect();
    let mut two = Http2::open(engine.address());
    for status in [204, 205, 304] {
        let told = format!(":status: {status}\ncontent-length: 4\n\nbody");
        let answer = bodiless(&mut one, "POST", "/function/Reply", told.as_bytes());
        assert_eq!(answer.status, status);
        assert!(matches!(answer.header("content-length"), None | Some("0")), "{answer:?}");
        let answer = two.request("POST", "/function/Reply", &[], told.as_bytes());
        assert_eq!((answer.status, answer.data_frames), (status, 0));
    }
    engine.stop();
}

#[test]
fn a_length_that_is_none_harms_nobody() {
    let engine = engine();
    let mut one = engine.connect();
    let mut two = Http2::open(engine.address());
    for told in ["content-length: seven\n\n", "content-length: 7\ncontent-length: 8\n\n"] {
        let told = format!(":status: 200\n{told}");
        assert_eq!(bodiless(&mut one, "HEAD", "/function/Reply", told.as_bytes()).status, 200);
        assert_eq!(two.request("HEAD", "/function/Reply", &[], told.as_bytes()).status, 200);
    }
    engine.stop();
}

#[test]
fn the_target_says_for_whom_a_request_is() {
    let engine = engine();
    let mut client = engine.connect();
    let text = client.request("GET", "http://shop.example:81/function/Metadata/a?b", &[], b"");
    let text = text.text();
    let told = lines(&text);
    for pair in ["host=shop.example:81", ":path=/a", ":query=b"] {
        assert!(told.contains(&pair), "{pair} is not in:\n{text}");
    }
    assert_eq!(told.iter().filter(|line| line.starts_with("host=")).count(), 1, "{text}");

    let mut two = Http2::open(engine.address());
    let answer = two.request("GET", "/function/Metadata", &[("host", "test")], b"");
    let text = String::from_utf8(answer.body).unwrap();
    assert_eq!(lines(&text).iter().filter(|line| **line == "host=test").count(), 1, "{text}");
    engine.stop();
}

#[test]
fn a_request_without_one_clear_target_is_refused() {
    let engine = engine();
    let refused = [
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: user@test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test/path\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: test:x\u{e4}\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET http://user@test/ HTTP/1.1\r\nhost: test\r\n\r\n",
        // This target is valid with CONNECT only.
        "GET test:80 HTTP/1.1\r\nhost: test\r\n\r\n",
    ];
    for request in refused {
        let got = all_that_comes(&engine, request);
        let status = got.split(' ').nth(1);
        assert_eq!(status, Some("400"), "{request:?}: {got:?}");
    }
    let mut two = Http2::open(engine.address());
    for host in ["other", "user@test"] {
        assert_eq!(two.request("GET", "/", &[("host", host)], b"").status, 400, "{host}");
    }
    assert_eq!(engine.function("Reply").external, 0);
    engine.stop();
}

#[test]
fn every_host_that_may_be_one_is_taken() {
    let engine = engine();
    for host in ["", "test", "my_host:80", "[::1]:8080", "127.0.0.1:1", "EXAMPLE.com.", "a-b.c:"] {
        let mut client = engine.connect();
        let request = format!("GET /function/Metadata HTTP/1.1\r\nhost: {host}\r\n\r\n");
        client.write(request.as_bytes()).unwrap();
        let text = client.receive().unwrap().text();
        assert!(lines(&text).contains(&format!("host={host}").as_str()), "{host:?}: {text}");
    }
    engine.stop();
}

#[test]
fn connect_gets_no_tunnel() {
    let engine = engine();
    let request = "CONNECT test:443 HTTP/1.1\r\nhost: test:443\r\n\r\n";
    let got = all_that_comes(&engine, request);
    assert!(got.starts_with("HTTP/1.1 501 "), "{got:?}");
    let mut two = Http2::open(engine.address());
    let stream =
        two.send_block(&[(":method", "CONNECT"), (":authority", "test:443")], b"").unwrap();
    assert_eq!(two.receive(stream).unwrap().status, 501);
    assert_eq!(engine.function("Reply").external, 0);
    engine.stop();
}

#[test]
fn headers_named_by_connection_are_not_forwarded() {
    let engine = engine();
    let mut client = engine.connect();
    let headers = [
        ("connection", "keep-alive, X-One"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("Connection", "x-TWO,, host"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("te", "trailers"),
    ];
    let text = client.request("GET", "/function/Metadata", &headers, b"").text();
    let names: Vec<&str> = lines(&text).iter().filter_map(|line| line.split('=').next()).collect();
    for name in ["x-three", "host"] {
        assert!(names.contains(&name), "{name} is not in:\n{text}");
    }
    for name in ["connection", "x-one", "x-two", "keep-alive", "proxy-connection", "te"] {
        assert!(!names.contains(&name), "{name} is in:\n{text}");
    }
    let told = b"connection: X-One, close\nx-one: 1\nx-two: 2\n\nbody";
    let response = client.call("Reply", told);
    assert_eq!((response.header("x-one"), response.header("x-two")), (None, Some("2")));
    assert_eq!(response.header("connection"), None);
    engine.stop();
}

#[test]
fn an_unknown_transfer_coding_is_not_implemented() {
    let engine = engine();
    for lines in [
        "transfer-encoding: gzip, chunked",
        "transfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "transfer-encoding: br,gzip, Chunked",
    ] {
        let request = format!(
            "POST /function/Echo HTTP/1.1\r\nhost: test\r\n{lines}\r\n\r\n0\r\n\r\n\
             GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n"
        );
        let got = all_that_comes(&engine, &request);
        assert!(got.starts_with("HTTP/1.1 501 "), "{lines:?}: {got:?}");
        assert!(got.contains("connection: close\r\n"), "{lines:?}: {got:?}");
        assert_eq!(got.matches("HTTP/1.").count(), 1, "{lines:?}: {got:?}");
    }
    assert_eq!(engine.function("Echo").external, 0);
    engine.stop();
}

#[test]
fn cookies_that_http_2_has_split_are_one_line() {
    let engine = engine();
    let mut two = Http2::open(engine.address());
    let cookies = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")];
    let answer = two.request("GET", "/function/Metadata", &cookies, b"");
    let text = String::from_utf8(answer.body).unwrap();
    let cookies: Vec<&str> =
        lines(&text).into_iter().filter(|line| line.starts_with("cookie=")).collect();
    assert_eq!(cookies, ["cookie=a=1; b=2; c=3"], "{text}");
    engine.stop();
}

#[test]
fn a_page_that_is_only_read_says_how() {
    let engine = Setup::new().functions(&["Echo"], &c()).admin().start();
    for (address, page) in [
        (engine.address(), "/healthz"),
        (engine.admin_address(), "/readyz"),
        (engine.admin_address(), "/metrics"),
    ] {
        let answer = Connection::open(address).request("POST", page, &[], b"");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET, HEAD")), "{page}");
    }
    engine.stop();
}
