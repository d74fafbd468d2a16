//! Clients that are slow, broken or hostile: each is told or ended, and others are served meanwhile.

use harness::process::{signal, thaw};
use harness::workers::c;
use harness::{
    Connection, Engine, Setup, allow_many_descriptors, private_memory, wait_until,
    wait_until_within,
};
use nix::sys::signal::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// What is asked for behind a request on the same connection, to see whether it is taken for a second one.
const SECOND: &str =
    "POST /function/Upper HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\nsecond";
/// The gateway's time for the head of a request, and for a part of a body; and what it may be late by.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);
const SLACK: Duration = Duration::from_secs(5);

fn engine() -> Engine {
    Setup::new().functions(&["Echo", "Upper", "Sleep"], &c()).start()
}

/// The head of a request for Echo with these header lines.
fn head(lines: &str) -> String {
    format!("POST /function/Echo HTTP/1.1\r\nhost: test\r\n{lines}\r\n\r\n")
}

/// All that comes until the gateway closes.
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
    // Not even the beginning of another request, nor the end of a line that some clients put behind a body.
    for next in ["\r\n", "POST /func", SECOND] {
        let mut client = engine.connect();
        client.write(format!("{request}{next}").as_bytes()).unwrap();
        assert_eq!(client.receive().unwrap().text(), "first", "{next:?}");
        if next == SECOND {
            assert_eq!(client.receive().unwrap().text(), "SECOND");
        }
    }
    // Nor is it lost with a connection that ends.
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
        format!("{}0\r\n\r\n", head("transfer-encoding: gzip, chunked")),
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
    // Whoever sends both is taken by its chunks, as it must be, and not asked for more.
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

#[test]
fn headers_that_are_too_large_or_too_many_are_told() {
    let engine = engine();
    let many: String = (0..200).map(|number| format!("x-{number}: 1\r\n")).collect();
    for lines in [format!("x: {}", "x".repeat(100_000)), format!("{many}y: 1")] {
        let got = all_that_comes(&engine, &head(&lines));
        assert!(got.starts_with("HTTP/1.1 431 "), "{got:?}");
    }
    let long =
        head("y: 1").replace("/function/Echo", &format!("/function/Echo?{}", "x".repeat(100_000)));
    assert!(all_that_comes(&engine, &long).starts_with("HTTP/1.1 431 "));
    // Over what a call may carry, and yet a request.
    let response =
        engine.connect().request("POST", "/function/Echo", &[("x", &"x".repeat(33_000))], b"");
    assert_eq!((response.status, response.problem().error.as_str()), (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(engine.function("Echo").external, 0);
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
        // No more at once than the system keeps for who listens.
        idle.extend((0..CONNECTIONS / 20).map(|_| TcpStream::connect(engine.address()).unwrap()));
        wait_until("them to be accepted", || {
            harness::process::descriptor_count(engine.pid()) > idle.len()
        });
    }
    // Of some there is a beginning.
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

/// Who is not taken up by the system at once asks again after a second.
#[test]
fn a_thousand_clients_may_come_at_once() {
    const CLIENTS: usize = 1000;
    allow_many_descriptors();
    let engine = engine();
    let request = format!("{}first", head("content-length: 5"));
    // Busy with something else.
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

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[test]
fn a_client_that_asks_and_takes_back_at_once_is_ended() {
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const END_OF_HEADERS_AND_STREAM: u8 = 5;
    let engine = engine();
    let mut stream = TcpStream::connect(engine.address()).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).unwrap();
    // POST, http, and the path and the authority as literals.
    let mut block = vec![0x83, 0x86, 0x04, 15];
    block.extend(b"/function/Sleep");
    block.extend([0x01, 4]);
    block.extend(b"test");
    let mut sent = 0;
    // Until nobody reads it any more.
    while sent < 200_000 {
        let id = 2 * sent + 1;
        let mut both = frame(HEADERS, END_OF_HEADERS_AND_STREAM, id, &block);
        both.extend(frame(RESET, 0, id, &8_u32.to_be_bytes()));
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

/// Waits until the gateway has closed, which must be when its time for clients is over, and not before.
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
    let engine = engine();
    let request = head("content-length: 5");
    let begun = [
        ("nothing", ""),
        // Which may become either version of HTTP.
        ("a letter", "P"),
        ("part of the other version's beginning", "PRI * HTTP/2.0\r\n"),
        ("part of a head", &request[..30]),
        ("part of a body", &format!("{request}he")),
        ("the beginning of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"),
    ];
    std::thread::scope(|scope| {
        for (what, bytes) in begun {
            let engine = &engine;
            scope.spawn(move || {
                let began = Instant::now();
                let mut client = TcpStream::connect(engine.address()).unwrap();
                client.write_all(bytes.as_bytes()).unwrap();
                assert_closed_in_time(what, &mut client, began);
            });
        }
        // A byte each second is not silence, and yet no head or body.
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
