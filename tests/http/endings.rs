//! Tests of the ends of requests and connections: early refusals, clients that leave, and an engine
//! that stops.

use harness::http2::{INITIAL_WINDOW, kind};
use harness::workers::c;
use harness::{Connection, Engine, Http2, Setup, private_memory, wait_until};
use nix::sys::socket::{setsockopt, sockopt::RcvBuf};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The limit for bodies in these tests.
const MAX_BODY: usize = 1 << 20;
/// A time far shorter than any time limit for clients, and longer than an engine needs that does
/// not wait.
const SOON: Duration = Duration::from_secs(8);

fn engine() -> Engine {
    Setup::new()
        .gateway("max_body = \"1MiB\"")
        .functions(&["Echo", "Upper", "Sleep"], &c())
        .admin()
        .start()
}

fn head(function: &str, lines: &str) -> String {
    format!("POST /function/{function} HTTP/1.1\r\nhost: test\r\n{lines}\r\n\r\n")
}

/// Sends all of a request before it reads, as many clients do. Returns the answer and the
/// connection.
#[track_caller]
fn told(engine: &Engine, request: &[u8]) -> (harness::Response, Connection) {
    let mut client = engine.connect();
    client.write(request).unwrap_or_else(|e| panic!("the request cannot be sent: {e}"));
    let response = client.receive().unwrap_or_else(|e| panic!("no answer: {e}"));
    (response, client)
}

#[test]
fn a_refusal_reaches_a_client_that_sends_all_of_its_body_first() {
    let engine = engine();
    let body = "x".repeat(8 * MAX_BODY);
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let length = format!("content-length: {}", body.len());
    let many: String = (0..20_000).map(|number| format!("x-{number}: 1\r\n")).collect();
    let requests = [
        (413, format!("{}{body}", head("Echo", &length))),
        (413, format!("{}{chunked}", head("Echo", "transfer-encoding: chunked"))),
        (404, format!("{}{body}", head("Nobody", &length))),
        (404, format!("{}{body}", head("Echo", &length).replace("/function/", "/nowhere/"))),
        (405, format!("{}{body}", head("Echo", &length).replace("/function/Echo", "/healthz"))),
        (400, format!("{}{body}", head("Echo", &format!("x-timeout-ms: soon\r\n{length}")))),
        (400, format!("{}{body}", head("Echo", &format!("host: other\r\n{length}")))),
        (501, format!("{}{chunked}", head("Echo", "transfer-encoding: gzip, chunked"))),
        (431, format!("{}{body}", head("Echo", &format!("{many}{length}")))),
    ];
    for (status, request) in requests {
        let (response, mut client) = told(&engine, request.as_bytes());
        let what = request.split("\r\n").next().unwrap();
        assert_eq!(response.status, status, "{what}");
        assert_eq!(response.header("connection"), Some("close"), "{what}");
        assert!(client.is_closed(), "{what}");
    }
    assert_eq!(engine.function("Echo").external, 0);
    engine.stop();
}

#[test]
fn a_refusal_reaches_a_client_of_http_2_that_sends_all_of_its_body_first() {
    let engine = engine();
    let mut client = Http2::open(engine.address());
    // The body fits the windows. A client must not send more before the windows are opened.
    let body = vec![b'x'; 60_000];
    for (path, status) in
        [("/function/Nobody", 404), ("/nowhere", 404), ("/healthz", 405), ("/function/Echo", 200)]
    {
        assert_eq!(client.request("POST", path, &[], &body).status, status, "{path}");
    }
    engine.stop();
}

#[test]
fn a_connection_is_kept_or_its_end_is_announced() {
    let engine = engine();
    for bytes in [0, 1, 60_000, 70_000, 200_000, 300_000, 900_000] {
        let body = "x".repeat(bytes);
        for path in ["/function/Nobody", "/nowhere", "/healthz", "/function/Echo"] {
            let mut client = engine.connect();
            let response = client.request("POST", path, &[], body.as_bytes());
            if response.header("connection") == Some("close") {
                assert!(client.is_closed(), "{path}, {bytes}");
            } else {
                let next = client.try_call("Upper", b"next");
                let next = next.unwrap_or_else(|e| panic!("{path}, {bytes}: {e}"));
                assert_eq!(next.text(), "NEXT", "{path}, {bytes}");
            }
        }
    }
    engine.stop();
}

#[test]
fn the_admin_pages_keep_a_connection_or_announce_its_end() {
    let engine = engine();
    for bytes in [0, 70_000, 900_000] {
        let body = "x".repeat(bytes);
        for path in ["/healthz", "/metrics", "/nowhere"] {
            let mut client = Connection::open(engine.admin_address());
            let response = client.request("POST", path, &[], body.as_bytes());
            if response.header("connection") == Some("close") {
                assert!(client.is_closed(), "{path}, {bytes}");
            } else {
                assert_eq!(client.request("GET", "/healthz", &[], b"").status, 200);
            }
        }
    }
    engine.stop();
}

#[test]
fn a_client_that_asks_before_it_sends_is_refused_without_its_body() {
    let engine = engine();
    for (function, length) in [("Echo", 8 * MAX_BODY), ("Nobody", 5)] {
        let lines = format!("expect: 100-continue\r\ncontent-length: {length}");
        let began = Instant::now();
        let (response, mut client) = told(&engine, head(function, &lines).as_bytes());
        assert!(matches!(response.status, 404 | 413), "{function}: {}", response.status);
        assert_eq!(response.header("connection"), Some("close"), "{function}");
        assert!(client.is_closed() && began.elapsed() < SOON, "{function}");
    }
    engine.stop();
}

/// Sends a request, half-closes the connection, and reads until its end.
fn answer_after_half_close(engine: &Engine, request: &str) -> String {
    let mut client = TcpStream::connect(engine.address()).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    String::from_utf8_lossy(&got).into_owned()
}

#[test]
fn a_client_that_sends_no_more_gets_its_answer() {
    let engine = engine();
    for millis in ["0", "500"] {
        let request =
            format!("{}{millis}", head("Sleep", &format!("content-length: {}", millis.len())));
        let answers = [
            ("HTTP/1.1 200 OK\r\n", request.clone()),
            ("HTTP/1.0 200 OK\r\n", request.replace("HTTP/1.1", "HTTP/1.0")),
            // These bytes follow a request, and never become a request themselves.
            ("HTTP/1.1 200 OK\r\n", format!("{request}P")),
            ("HTTP/1.1 200 OK\r\n", format!("{request}\r\n")),
        ];
        for (begin, request) in answers {
            let got = answer_after_half_close(&engine, &request);
            assert!(got.starts_with(begin), "{request:?}: {got:?}");
            assert!(got.ends_with(&format!("slept {millis}")), "{request:?}: {got:?}");
            assert_eq!(got.matches("HTTP/1.").count(), 1, "{request:?}: {got:?}");
        }
        let got = answer_after_half_close(&engine, &request.repeat(3));
        assert_eq!(got.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{got:?}");
        assert_eq!(got.matches(&format!("slept {millis}")).count(), 3, "{got:?}");
    }
    // A failure is an answer, too.
    let request = head("Sleep", "x-timeout-ms: 300\r\ncontent-length: 5").to_owned() + "10000";
    let got = answer_after_half_close(&engine, &request);
    assert!(got.starts_with("HTTP/1.1 504 "), "{got:?}");
    engine.stop();
}

/// Waits until this many calls of Sleep have started, and the last of them runs.
#[track_caller]
fn wait_until_begun(engine: &Engine, calls: u64) {
    wait_until("the call to run", || {
        let function = engine.function("Sleep");
        function.external == calls && function.running == 1
    });
}

#[track_caller]
fn wait_until_cancelled(engine: &Engine, what: &str, calls: u64) {
    wait_until(&format!("the call to be cancelled: {what}"), || {
        let ended = engine.function("Sleep").ended.external;
        ended.get("CANCELLED") == Some(&calls)
    });
}

#[test]
fn a_client_that_leaves_is_missed_whatever_it_has_sent() {
    let engine = engine();
    let request = head("Sleep", "content-length: 5").to_owned() + "25000";
    let mut calls = 0;
    // These bytes come together with the request.
    for (what, behind) in [
        ("nothing", ""),
        ("a byte", "P"),
        ("a line", "\r\n"),
        ("a request", &head("Echo", "content-length: 0")),
        ("half a request", &head("Echo", "content-length: 100")),
    ] {
        let mut client = TcpStream::connect(engine.address()).unwrap();
        client.write_all(format!("{request}{behind}").as_bytes()).unwrap();
        calls += 1;
        wait_until_begun(&engine, calls);
        drop(client);
        wait_until_cancelled(&engine, what, calls);
    }
    // These bytes come while the call is under way. The second ones are more than the gateway reads
    // ahead.
    for behind in ["P", &"x".repeat(3 << 20)] {
        let mut client = TcpStream::connect(engine.address()).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        calls += 1;
        wait_until_begun(&engine, calls);
        client.set_nonblocking(true).unwrap();
        let sent = client.write(behind.as_bytes()).unwrap();
        drop(client);
        wait_until_cancelled(&engine, &format!("{sent} bytes later"), calls);
    }
    // The client half-closes the connection, and leaves later.
    let mut client = TcpStream::connect(engine.address()).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    calls += 1;
    wait_until_begun(&engine, calls);
    let mut first = [0];
    client.set_read_timeout(Some(SOON)).unwrap();
    client.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"H", "it is asked whether it is there by the begin of its answer");
    drop(client);
    wait_until_cancelled(&engine, "after a half-close", calls);
    let mut client = Http2::open(engine.address());
    client.send("POST", "/function/Sleep", &[], b"25000").unwrap();
    calls += 1;
    wait_until_begun(&engine, calls);
    drop(client);
    wait_until_cancelled(&engine, "over HTTP/2", calls);
    engine.stop();
}

#[test]
fn clients_without_a_call_under_way_do_not_hold_up_the_end() {
    let engine = engine();
    let request = head("Echo", "content-length: 5");
    let mut clients = Vec::new();
    for begun in ["", "P", &request[..30], &request, &format!("{request}he")] {
        let mut client = TcpStream::connect(engine.address()).unwrap();
        client.write_all(begun.as_bytes()).unwrap();
        clients.push(client);
    }
    let chunked = format!("{}5\r\nhe", head("Echo", "transfer-encoding: chunked"));
    let mut client = TcpStream::connect(engine.address()).unwrap();
    client.write_all(chunked.as_bytes()).unwrap();
    clients.push(client);
    // These clients are silent: after an answer, before a request, and within a request whose body
    // does not come.
    let mut silent: Vec<Http2> = (0..3).map(|_| Http2::open(engine.address())).collect();
    assert_eq!(silent[0].request("POST", "/function/Echo", &[], b"x").status, 200);
    let block = harness::http2::header_block(&[
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/function/Echo"),
    ]);
    let unended = harness::http2::frame(harness::http2::kind::HEADERS, 4, 1, &block);
    silent[1].write(&unended).unwrap();
    // This client does not take its answer.
    let mut full = engine.connect();
    full.send("POST", "/function/Echo", &[], &harness::pattern(MAX_BODY)).unwrap();
    wait_until("all to be accepted", || engine.connections() == clients.len() + silent.len() + 1);
    wait_until("the call to end", || engine.function("Echo").external >= 2);
    let took = engine.stop();
    assert!(took < SOON, "{took:?}");
}

#[test]
fn a_call_that_is_under_way_is_waited_for_also_if_its_client_sends_no_more() {
    let engine = engine();
    let mut client = TcpStream::connect(engine.address()).unwrap();
    client.write_all(format!("{}3000", head("Sleep", "content-length: 4")).as_bytes()).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut two = Http2::open(engine.address());
    let stream = two.send("POST", "/function/Sleep", &[], b"3000").unwrap();
    wait_until("the calls to run", || engine.function("Sleep").running == 2);
    engine.terminate();
    let mut got = String::new();
    client.read_to_string(&mut got).unwrap();
    assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("slept 3000"), "{got:?}");
    assert_eq!(two.receive(stream).unwrap().body, b"slept 3000");
    engine.wait_for_end();
}

#[test]
fn a_client_that_goes_on_taking_its_answer_is_waited_for_when_the_engine_stops() {
    const BYTES: usize = 30 << 20;
    /// The number of bytes that a client must take in a second. This client takes them in 75 ms.
    const PART: usize = 16 << 10;
    let engine = Setup::new().functions(&["Big"], &c()).start();
    let mut client = TcpStream::connect(engine.address()).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    // As on a slow network, few bytes are under way to the client, so each one that it takes is
    // acknowledged soon.
    setsockopt(&client, RcvBuf, &PART).unwrap();
    let length = BYTES.to_string();
    let lines = format!("connection: close\r\ncontent-length: {}", length.len());
    client.write_all(format!("{}{length}", head("Big", &lines)).as_bytes()).unwrap();
    wait_until("the answer to be there", || engine.function("Big").answered == 1);
    engine.terminate();
    let (began, mut taken) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(4) {
        let mut part = vec![0; PART];
        client.read_exact(&mut part).unwrap_or_else(|e| panic!("cut after {taken} bytes: {e}"));
        taken += PART;
        std::thread::sleep(Duration::from_millis(75));
    }
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(taken + rest.len() > BYTES, "cut after {} bytes", taken + rest.len());
    engine.wait_for_end();
}

#[test]
fn silent_clients_of_the_admin_pages_keep_nobody_out() {
    let engine = engine();
    let address = engine.admin_address();
    let mut silent: Vec<TcpStream> = Vec::new();
    for number in 0..200 {
        silent.push(TcpStream::connect(address).unwrap());
        if number % 2 == 0 {
            let _ = silent[number].write_all(b"GET /healthz HTTP/1.1\r\n");
        }
    }
    for page in ["/healthz", "/readyz", "/metrics"] {
        let began = Instant::now();
        assert_eq!(Connection::open(address).request("GET", page, &[], b"").status, 200);
        assert!(began.elapsed() < SOON, "{page}: {:?}", began.elapsed());
    }
    engine.stop();
}

#[test]
fn clients_that_take_no_admin_page_keep_nobody_out() {
    /// The number of clients that may read the admin pages at once.
    const CLIENTS: usize = 64;
    let engine = engine();
    let address = engine.admin_address();
    let open = || Http2::open_with(address, &[(INITIAL_WINDOW, 0)]);
    let mut greedy: Vec<Http2> = (0..CLIENTS).map(|_| open()).collect();
    for client in &mut greedy {
        client.send("GET", "/metrics", &[], b"").unwrap();
        while client.next_frame().unwrap().kind != kind::HEADERS {}
    }
    for _ in 0..CLIENTS {
        let mut reader = Connection::open(address);
        assert_eq!(reader.request("GET", "/metrics", &[], b"").status, 200);
    }
    engine.stop();
}

#[test]
fn admin_pages_that_are_not_taken_hold_little() {
    const CLIENTS: usize = 20;
    const PAGES: usize = 200;
    /// A number of bytes far below the size of all these pages. Each page has some tens of KiB.
    const MORE: u64 = 32 << 20;
    let engine = engine();
    let address = engine.admin_address();
    for function in ["Echo", "Upper", "Sleep"] {
        assert_eq!(engine.call(function, "1").status, 200);
    }
    let before = private_memory(engine.pid());
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Http2::open_with(address, &[(INITIAL_WINDOW, 0)]);
        for _ in 0..PAGES {
            client.send("GET", "/metrics", &[], b"").unwrap();
        }
        // When the ping is answered, the gateway has handled the requests before it.
        client.ping().unwrap();
        while client.next_frame().unwrap().kind != kind::PING {}
        clients.push(client);
    }
    assert_eq!(Connection::open(address).request("GET", "/metrics", &[], b"").status, 200);
    let more = private_memory(engine.pid()).saturating_sub(before);
    assert!(more < MORE, "{} MiB more", more >> 20);
    engine.stop();
}
