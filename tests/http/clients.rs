//! Tests of clients that are slow, broken or hostile: each gets an error or is disconnected, and
//! others are served meanwhile.

use harness::hostile::EchoTime;
use harness::http2::{INITIAL_WINDOW, frame, kind};
use harness::process::{descriptor_count, signal, thaw};
use harness::workers::c;
use harness::{
    Connection, Engine, Http2, Setup, allow_many_descriptors, private_memory, wait_until,
    wait_until_within,
};
use nix::sys::signal::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A request that follows another one on the same connection. It shows whether the gateway takes it
/// for a second request.
const SECOND: &str =
    "POST /function/Upper HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\nsecond";
/// The gateway's time limit for the head of a request and for each part of a body, and the longest
/// delay.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
const SLACK: Duration = Duration::from_secs(5);

/// A part of a call to the engine's own socket.
const SLOW_INVOKE: &str =
    "POST /invoke/Echo HTTP/1.1\r\nhost: engine\r\ncontent-length: 5\r\n\r\nhe";

fn engine() -> Engine {
    Setup::new().functions(&["Echo", "Upper", "Sleep"], &c()).start()
}

/// Returns the head of a request for Echo with these header lines.
fn head(lines: &str) -> String {
    format!("POST /function/Echo HTTP/1.1\r\nhost: test\r\n{lines}\r\n\r\n")
}

/// Sends a request, and returns all bytes until the gateway closes the connection.
fn all_that_comes(engine: &Engine, request: &str) -> String {
    let mut stream = TcpStream::connect(engine.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut got = Vec::new();
    let ended = stream.read_to_end(&mut got);
    let got = String::from_utf8_lossy(&got).into_owned();
    assert!(ended.is_ok(), "{request:?} left the connection open: {ended:?}, {got:?}");
    got
}

#[test]
fn an_answer_does_not_wait_for_what_the_client_says_next() {
    let engine = engine();
    let request = format!("{}first", head("content-length: 5"));
    // The gateway waits neither for the rest of another request nor for the line end that some
    // clients send after a body.
    for next in ["\r\n", "POST /func", SECOND] {
        let mut client = engine.connect();
        client.write(format!("{request}{next}").as_bytes()).unwrap();
        assert_eq!(client.receive().unwrap().text(), "first", "{next:?}");
        if next == SECOND {
            assert_eq!(client.receive().unwrap().text(), "SECOND");
        }
    }
    // The answer is not lost either when the connection ends after it.
    let got = all_that_comes(
        &engine,
        &format!("{}first{SECOND}", head("connection: close\r\ncontent-length: 5")),
    );
    assert!(got.starts_with("HTTP/1.1 200 ") && got.ends_with("first"), "{got}");
    engine.stop();
}

#[test]
fn a_request_that_two_may_read_differently_is_refused_and_its_connection_closed() {
    let engine = engine();
    let chunked = "transfer-encoding: chunked";
    let refused = [
        format!("{}hello!", head("content-length: 5\r\ncontent-length: 6")),
        format!("{}hello", head("content-length: 5, 5")),
        format!("{}hello", head("content-length: +5")),
        format!("{}hello", head("content-length: 0x5")),
        format!("{}hello", head("content-length: -1")),
        format!("{}hello", head("content-length : 5")),
        head("transfer-encoding: identity"),
        format!("{}0\r\n\r\n", head("transfer-encoding: xchunked")),
        format!("{}0\r\n\r\n", head("transfer-encoding: chunked, identity")),
        format!("{}0\r\n\r\n", head("transfer-encoding: chunked\r\ntransfer-encoding: chunked")),
        format!("{}0\r\n\r\n", head("transfer-encoding : chunked")),
        format!("{}0\r\n\r\n", head(chunked).replace("HTTP/1.1", "HTTP/1.0")),
        format!("{}zz\r\nhello\r\n0\r\n\r\n", head(chunked)),
        format!("{}0x5\r\nhello\r\n0\r\n\r\n", head(chunked)),
        format!("{}-5\r\nhello\r\n0\r\n\r\n", head(chunked)),
        format!("{}5\nhello\r\n0\r\n\r\n", head(chunked)),
        format!("{}5;a\nhello\r\n0\r\n\r\n", head(chunked)),
        format!("{}3\r\nhello\r\n0\r\n\r\n", head(chunked)),
        format!("{}fffffffffffffffff\r\nhello\r\n0\r\n\r\n", head(chunked)),
        head("x: a\r\n b\r\ncontent-length: 0"),
        head("x: a\rb: c\r\ncontent-length: 0"),
        head("x: a\0b\r\ncontent-length: 0"),
        head("host: other\r\ncontent-length: 0"),
        head("content-length: 0").replace("host: test\r\n", ""),
        head("content-length: 0").replace("HTTP/1.1", "HTTP/1.2"),
        format!(" {}", head("content-length: 0")),
    ];
    for request in refused {
        let got = all_that_comes(&engine, &format!("{request}{SECOND}"));
        assert!(
            got.starts_with("HTTP/1.1 400 ") || got.starts_with("HTTP/1.0 400 "),
            "{request:?}: {got:?}"
        );
        assert_eq!(got.matches("HTTP/1.").count(), 1, "{request:?}: {got:?}");
    }
    assert_eq!((engine.function("Echo").external, engine.function("Upper").external), (0, 0));
    // If a request has both headers, the gateway must use the chunks. It reads no second request
    // after them.
    for lines in [
        "content-length: 11\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 11",
    ] {
        let got = all_that_comes(&engine, &format!("{}1\r\nx\r\n0\r\n\r\n{SECOND}", head(lines)));
        assert!(
            got.starts_with("HTTP/1.1 200 ") && got.ends_with("\r\n\r\nx"),
            "{lines:?}: {got:?}"
        );
        assert_eq!(got.matches("HTTP/1.").count(), 1, "{lines:?}: {got:?}");
    }
    assert_eq!((engine.function("Echo").external, engine.function("Upper").external), (2, 0));
    engine.stop();
}

/// Returns this many header lines.
fn lines(count: usize) -> String {
    (0..count).map(|number| format!("x-{number}: 1\r\n")).collect()
}

/// The limits are those of the table in docs/configuration.md.
#[test]
fn headers_within_their_limits_are_taken_in_either_version() {
    let engine = engine();
    let large = "x".repeat(17_000);
    let larger = "x".repeat(32_000);
    let many = lines(1_500);
    let few: Vec<(String, &str)> =
        many.lines().filter_map(|line| Some((line.split_once(':')?.0.to_owned(), "1"))).collect();
    let few: Vec<(&str, &str)> = few.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let mut one = engine.connect();
    let mut two = Http2::open(engine.address());
    for headers in [&[("x", large.as_str())][..], &[("x", &larger)], &few] {
        let response = one.request("POST", "/function/Echo", headers, b"one");
        assert_eq!(response.text(), "one");
        assert_eq!(two.request("POST", "/function/Echo", headers, b"two").body, b"two");
    }
    let path = format!("/function/Echo?{larger}");
    assert_eq!(one.request("POST", &path, &[], b"one").text(), "one");
    assert_eq!(two.request("POST", &path, &[], b"two").body, b"two");
    // The headers are more than a call may carry, but they are a valid request, so the client gets
    // an error.
    let too_large = "x".repeat(60_000);
    let headers = [("x", too_large.as_str())];
    let response = one.request("POST", "/function/Echo", &headers, b"");
    assert_eq!((response.status, response.problem().error.as_str()), (413, "PAYLOAD_TOO_LARGE"));
    let response = two.request("POST", "/function/Echo", &headers, b"");
    assert_eq!(response.status, 413);
    assert!(String::from_utf8_lossy(&response.body).contains("PAYLOAD_TOO_LARGE"));
    let head = format!("{}\r\n", head(&format!("{}content-length: 0", lines(2_040))));
    let mut client = engine.connect();
    client.write(head.trim_end().as_bytes()).unwrap();
    client.write(b"\r\n\r\n").unwrap();
    assert_eq!(client.receive().unwrap().status, 200);
    engine.stop();
}

#[test]
fn headers_over_their_limits_are_told_in_either_version() {
    let engine = engine();
    let mut two = Http2::open(engine.address());
    let too_large = "x".repeat(70_000);
    let answer = two.request("POST", "/function/Echo", &[("x", &too_large)], b"");
    assert_eq!(answer.status, 431);
    assert_eq!(two.request("POST", "/function/Echo", &[], b"next").body, b"next");
    let many = lines(2_100);
    for lines in [format!("x: {}", "x".repeat(100_000)), format!("{many}y: 1")] {
        let got = all_that_comes(&engine, &head(&lines));
        assert!(got.starts_with("HTTP/1.1 431 "), "{got:?}");
    }
    let long =
        head("y: 1").replace("/function/Echo", &format!("/function/Echo?{}", "x".repeat(100_000)));
    assert!(all_that_comes(&engine, &long).starts_with("HTTP/1.1 431 "));
    // The headers are more than a call may carry, but they are a valid request.
    let response =
        engine.connect().request("POST", "/function/Echo", &[("x", &"x".repeat(33_000))], b"");
    assert_eq!((response.status, response.problem().error.as_str()), (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(engine.function("Echo").external, 1);
    engine.stop();
}

#[test]
fn a_request_that_comes_byte_by_byte_is_a_request() {
    let engine = engine();
    let mut client = engine.connect();
    for byte in format!("{}hello", head("content-length: 5")).as_bytes() {
        client.write(std::slice::from_ref(byte)).unwrap();
    }
    assert_eq!(client.receive().unwrap().text(), "hello");
    client.send_in_chunks("/function/Echo", &[b"h", b"e", b"l", b"l", b"o"]).unwrap();
    assert_eq!(client.receive().unwrap().text(), "hello");
    engine.stop();
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_others_are_served() {
    const CONNECTIONS: usize = 10_000;
    const MOST_BYTES_EACH: u64 = 8 << 10;
    allow_many_descriptors();
    let engine = engine();
    assert_eq!(engine.text("Echo", "before"), "before");
    let before = private_memory(engine.pid());
    let mut idle = Vec::new();
    while idle.len() < CONNECTIONS {
        // No more connections are opened at once than the system queues for a listener.
        idle.extend((0..CONNECTIONS / 20).map(|_| TcpStream::connect(engine.address()).unwrap()));
        wait_until("them to be accepted", || {
            harness::process::descriptor_count(engine.pid()) > idle.len()
        });
    }
    // Some of them send the beginning of a request.
    for stream in idle.iter_mut().step_by(10) {
        stream.write_all(b"POST /function/Echo HTTP/1.1\r\n").unwrap();
    }
    let began = Instant::now();
    for number in 0..100 {
        assert_eq!(engine.text("Echo", number.to_string()), number.to_string());
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let more = private_memory(engine.pid()).saturating_sub(before);
    assert!(
        more < CONNECTIONS as u64 * MOST_BYTES_EACH,
        "{} bytes each",
        more / CONNECTIONS as u64
    );
    drop(idle);
    wait_until("them to be closed", || harness::process::descriptor_count(engine.pid()) < 200);
    engine.stop();
}

/// A client whose connection the system does not accept at once tries again after 1 s.
#[test]
fn a_thousand_clients_may_come_at_once() {
    const CLIENTS: usize = 1000;
    allow_many_descriptors();
    let engine = engine();
    let request = format!("{}first", head("content-length: 5"));
    // The stopped engine is like one that is busy.
    signal(engine.pid(), Signal::SIGSTOP);
    let come = || {
        let mut stream = TcpStream::connect_timeout(&engine.address(), Duration::from_millis(900))?;
        stream.write_all(request.as_bytes())?;
        Ok(stream)
    };
    let came: std::io::Result<Vec<TcpStream>> = (0..CLIENTS).map(|_| come()).collect();
    thaw(engine.pid());
    for mut client in came.expect("each is taken up") {
        let mut answer = [0; 12];
        client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200");
    }
    engine.stop();
}

#[test]
fn a_client_that_asks_and_takes_back_at_once_is_ended() {
    const END_OF_HEADERS_AND_STREAM: u8 = 5;
    let engine = engine();
    let mut stream = TcpStream::connect(engine.address()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(kind::SETTINGS, 0, 0, b"")).unwrap();
    // These bytes are POST, http, and the path and the authority as literals.
    let mut block = vec![0x83, 0x86, 0x04, 15];
    block.extend(b"/function/Sleep");
    block.extend([0x01, 4]);
    block.extend(b"test");
    let mut sent = 0;
    // The requests go on until the gateway no longer reads them.
    while sent < 200_000 {
        let id = 2 * sent + 1;
        let mut both = frame(kind::HEADERS, END_OF_HEADERS_AND_STREAM, id, &block);
        both.extend(frame(kind::RESET, 0, id, &8_u32.to_be_bytes()));
        if stream.write_all(&both).is_err() {
            break;
        }
        sent += 1;
    }
    assert!(sent < 200_000, "it was let go on");
    assert_eq!(engine.text("Echo", "others"), "others");
    wait_until("its calls to have ended", || {
        let sleep = engine.function("Sleep");
        sleep.running + sleep.waiting + sleep.queued == 0
    });
    engine.stop();
}

/// Waits until the gateway has closed the connection. Checks that it did so at its time limit for
/// clients, and not earlier.
fn assert_closed_in_time(what: &str, client: &mut TcpStream, began: Instant) {
    client.set_read_timeout(Some(CLIENT_TIMEOUT + SLACK)).unwrap();
    let ended = client.read_to_end(&mut Vec::new());
    let took = began.elapsed();
    assert!(
        !ended.is_err_and(|e| e.kind() == std::io::ErrorKind::WouldBlock),
        "{what}: is not closed"
    );
    assert!(took > CLIENT_TIMEOUT - SLACK && took < CLIENT_TIMEOUT + SLACK, "{what}: {took:?}");
}

#[test]
#[ignore = "takes half a minute; tests/deep.sh runs it"]
fn clients_that_fall_silent_are_ended() {
    let engine = Setup::new().functions(&["Echo", "Upper", "Sleep"], &c()).admin().start();
    let request = head("content-length: 5");
    let begun = [
        ("nothing", ""),
        // This byte may begin either version of HTTP.
        ("a letter", "P"),
        ("part of the other version's beginning", "PRI * HTTP/2.0\r\n"),
        ("part of a head", &request[..30]),
        ("part of a body", &format!("{request}he")),
        ("the beginning of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ];
    let pages = engine.admin_address();
    let socket = engine.home().directory().join("admin.sock");
    std::thread::scope(|scope| {
        for (what, bytes) in begun {
            for address in [engine.address(), pages] {
                scope.spawn(move || {
                    let began = Instant::now();
                    let mut client = TcpStream::connect(address).unwrap();
                    client.write_all(bytes.as_bytes()).unwrap();
                    // An admin page needs no body and does not wait for one.
                    if address == pages && what == "part of a body" {
                        client.read_to_end(&mut Vec::new()).unwrap();
                    } else {
                        assert_closed_in_time(what, &mut client, began);
                    }
                });
            }
        }
        for bytes in ["", "GET /status HTTP/1.1\r\n", SLOW_INVOKE] {
            let socket = &socket;
            scope.spawn(move || {
                let began = Instant::now();
                let mut client = UnixStream::connect(socket).unwrap();
                client.write_all(bytes.as_bytes()).unwrap();
                client.set_read_timeout(Some(CLIENT_TIMEOUT + SLACK)).unwrap();
                client.read_to_end(&mut Vec::new()).unwrap();
                assert!(began.elapsed() > CLIENT_TIMEOUT - SLACK, "{bytes:?}");
            });
        }
        // A byte each second is not silence, but too slow for a head or a body.
        for (what, bytes) in [
            ("a slow head", head("content-length: 0")),
            ("a slow body", head("content-length: 60")),
        ] {
            let engine = &engine;
            scope.spawn(move || {
                let began = Instant::now();
                let mut client = TcpStream::connect(engine.address()).unwrap();
                let slow = if what == "a slow body" {
                    client.write_all(bytes.as_bytes()).unwrap();
                    "x".repeat(60)
                } else {
                    bytes
                };
                let mut next = slow.bytes();
                wait_until_within(what, CLIENT_TIMEOUT + SLACK, || {
                    let due = began.elapsed().as_secs() as usize >= slow.len() - next.len();
                    due && client.write_all(&[next.next().unwrap()]).is_err()
                        || client.set_nonblocking(true).is_ok()
                            && matches!(client.read(&mut [0; 512]), Ok(0))
                });
                assert!(began.elapsed() > CLIENT_TIMEOUT - SLACK, "{what}: {:?}", began.elapsed());
            });
        }
    });
    assert_eq!(engine.text("Echo", "others"), "others");
    assert_eq!(engine.function("Echo").external, 1);
    engine.stop();
}

/// Sends pings until the gateway has closed the connection.
fn wait_while_it_pings(what: &str, client: &mut Http2, within: Duration) {
    let began = Instant::now();
    client.socket().set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    loop {
        assert!(began.elapsed() < within, "{what}: is not closed");
        let _ = client.ping();
        match client.next_frame() {
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

#[test]
#[ignore = "takes half a minute; tests/deep.sh runs it"]
fn clients_of_http_2_that_ask_for_nothing_are_ended() {
    /// The time that clients have to close the connection after the gateway has asked them to.
    const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
    let engine = Setup::new()
        .functions(&["Echo"], &c())
        .function("Sleep", &c(), "timeout = \"60s\"")
        .start();
    std::thread::scope(|scope| {
        for asks in [false, true] {
            let engine = &engine;
            scope.spawn(move || {
                let mut client = Http2::open(engine.address());
                if asks {
                    assert_eq!(client.request("POST", "/function/Echo", &[], b"x").body, b"x");
                }
                let began = Instant::now();
                let within = CLIENT_TIMEOUT + CLOSE_TIMEOUT + SLACK;
                wait_while_it_pings("a client that only pings", &mut client, within);
                assert!(began.elapsed() > CLIENT_TIMEOUT - SLACK, "{:?}", began.elapsed());
            });
        }
        // The gateway waits for a call that takes longer.
        let engine = &engine;
        scope.spawn(move || {
            let mut client = Http2::open(engine.address());
            assert_eq!(client.request("POST", "/function/Echo", &[], b"x").body, b"x");
            let stream = client.send("POST", "/function/Sleep", &[], b"37000").unwrap();
            client.socket().set_read_timeout(Some(2 * CLIENT_TIMEOUT)).unwrap();
            assert_eq!(client.receive(stream).unwrap().body, b"slept 37000");
        });
    });
    engine.stop();
}

#[test]
#[ignore = "takes two minutes; tests/deep.sh runs it"]
fn a_client_of_http_2_that_does_not_take_its_answers_is_ended() {
    const TAKE_TIMEOUT: Duration = Duration::from_secs(60);
    const ANSWERS: usize = 30;
    const BYTES: usize = 1 << 20;
    let engine = Setup::new().functions(&["Big"], &c()).start();
    let before = descriptor_count(engine.pid());
    let memory = private_memory(engine.pid());
    // The clients open their windows not at all, or by one byte.
    let mut clients: Vec<Http2> =
        [0, 1].map(|window| Http2::open_with(engine.address(), &[(INITIAL_WINDOW, window)])).into();
    for client in &mut clients {
        for _ in 0..ANSWERS {
            client.send("POST", "/function/Big", &[], BYTES.to_string().as_bytes()).unwrap();
        }
    }
    wait_until("the answers to be there", || engine.function("Big").answered == 2 * ANSWERS as u64);
    std::thread::scope(|scope| {
        for client in &mut clients {
            let within = 2 * TAKE_TIMEOUT;
            scope.spawn(move || wait_while_it_pings("a client that takes nothing", client, within));
        }
    });
    wait_until("the connections to be given up", || descriptor_count(engine.pid()) <= before);
    let most = memory + (ANSWERS * BYTES) as u64 / 4;
    wait_until("the answers' memory to be given back", || private_memory(engine.pid()) < most);
    engine.stop();
}

#[test]
#[ignore = "takes a minute; tests/deep.sh runs it"]
fn small_answers_that_a_client_of_http_2_does_not_take_are_given_up() {
    const TAKE_TIMEOUT: Duration = Duration::from_secs(60);
    const ANSWERS: usize = 20;
    let engine = Setup::new().functions(&["Big", "Echo"], &c()).admin().start();
    let held = || engine.metrics().value("nightcore_memory_held_bytes");
    // The client opens the window of each answer by one byte, and its connection is never idle.
    let mut client = Http2::open_with(engine.address(), &[(INITIAL_WINDOW, 1)]);
    for bytes in ["4000", "30000"].repeat(ANSWERS / 2) {
        client.send("POST", "/function/Big", &[], bytes.as_bytes()).unwrap();
    }
    wait_until("the answers", || engine.function("Big").answered == ANSWERS as u64);
    assert!(held() > 0.0);
    let began = Instant::now();
    while began.elapsed() < TAKE_TIMEOUT + SLACK {
        assert_eq!(client.request("POST", "/function/Echo", &[], b"x").body, b"x");
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(held(), 0.0);
    engine.stop();
}

#[test]
#[ignore = "takes a minute; tests/deep.sh runs it"]
fn a_client_that_does_not_take_its_answer_is_ended() {
    const TAKE_TIMEOUT: Duration = Duration::from_secs(60);
    let engine = engine();
    let before = harness::process::descriptor_count(engine.pid());
    let mut client: Connection = engine.connect();
    let body = harness::pattern(30 << 20);
    client.send("POST", "/function/Echo", &[], &body).unwrap();
    let began = Instant::now();
    wait_until_within("the connection to be closed", TAKE_TIMEOUT * 2, || {
        harness::process::descriptor_count(engine.pid()) <= before
    });
    assert!(began.elapsed() > TAKE_TIMEOUT / 2, "{:?}", began.elapsed());
    assert_eq!(engine.text("Echo", "others"), "others");
    engine.stop();
}

#[test]
fn a_client_of_http_2_that_sends_short_frames_without_end_slows_nobody() {
    const PRIORITY: u8 = 2;
    let engine = engine();
    let quiet = EchoTime::measure(&engine);
    let is_over = AtomicBool::new(false);
    let frames = frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]).repeat(10_000);
    let mut client = Http2::open(engine.address());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                if client.write(&frames).is_err() {
                    break;
                }
            }
        });
        let alike = std::panic::catch_unwind(|| quiet.assert_alike_now(&engine));
        is_over.store(true, Ordering::Relaxed);
        alike.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    engine.stop();
}
