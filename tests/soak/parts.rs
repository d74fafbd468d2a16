//! Sends requests with large bodies that never end. Together they exceed the engine's memory limit.

use crate::functions::Function;
use crate::ledger::{Finding, PARTS, first_id};
use crate::probe::Probe;
use harness::http2::HEADER_TABLE_BYTES;
use harness::{Http2, private_memory};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The value of `[gateway] memory` for each engine.
pub const MEMORY: &str = "64MiB";
const MEMORY_BYTES: u64 = 64 << 20;
/// The memory that the engine may use in addition to that: its memory without calls, pages that are
/// copied, and pages that the allocator keeps.
const BESIDE_BYTES: u64 = 96 << 20;
/// The number of HTTP/1.1 clients. Half of them announce the length of the body.
const CLIENTS: usize = 24;
/// The number of requests on one HTTP/2 connection.
const STREAMS: usize = 16;
/// The size of a body, and of the part of it that is sent.
const BODY_BYTES: usize = 8 << 20;
const SENT_BYTES: usize = BODY_BYTES - 1;
/// The time after which a client that cannot send gives up.
const SEND_WITHIN: Duration = Duration::from_secs(2);

/// Sends parts of bodies to a function, and closes the connections after a while.
pub fn run(probe: &Probe, function: &Function, engine: i32) {
    let path = format!("/function/{}", function.name);
    let address = probe.address;
    // The body begins with the id that the last called function would report if the call ran.
    let mut body = format!("{}|", first_id(PARTS, 0)).into_bytes();
    body.resize(SENT_BYTES, b'x');
    std::thread::scope(|scope| {
        let (path, body) = (&path, &body);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| scope.spawn(move || send(address, path, body, number.is_multiple_of(2))))
            .collect();
        // This client waits for some seconds for further frames of the engine; the other clients
        // wait as long.
        let streams = scope.spawn(move || {
            let client = Http2::try_open_with(address, &[(HEADER_TABLE_BYTES, 0)]);
            client.map_or_else(|_| Vec::new(), |mut c| c.send_parts(path, STREAMS, SENT_BYTES))
        });
        let statuses = streams.join().expect("no client panics");
        let clients = clients.into_iter().map(|client| client.join().expect("no client panics"));
        let clients: Vec<TcpStream> = clients.flatten().collect();
        let has = private_memory(engine);
        if has > MEMORY_BYTES + BESIDE_BYTES {
            let text = format!("the engine has {} MiB with parts of bodies", has >> 20);
            probe.find(Finding::LeftOver, &text);
        }
        let answers = clients.into_iter().filter_map(answer);
        let answers = answers.chain(statuses.iter().map(|status| format!("HTTP/2 {status} ")));
        for answer in answers {
            probe.ledger().part_refused();
            if answer.split(' ').nth(1) != Some("503") {
                let text = format!("a part of a body for {path} was answered: {answer:?}");
                probe.find(Finding::Wrong, &text);
            }
        }
    });
}

/// Sends a request without its end. Returns `None` if there is no engine.
fn send(address: SocketAddr, path: &str, body: &[u8], tells_length: bool) -> Option<TcpStream> {
    let mut client = TcpStream::connect(address).ok()?;
    client.set_write_timeout(Some(SEND_WITHIN)).ok()?;
    let length = match tells_length {
        true => format!("content-length: {BODY_BYTES}\r\n\r\n"),
        false => format!("transfer-encoding: chunked\r\n\r\n{BODY_BYTES:x}\r\n"),
    };
    let head = format!("POST {path} HTTP/1.1\r\nhost: test\r\n{length}");
    // The engine may refuse the rest, or die.
    let _ = client.write_all(head.as_bytes()).and_then(|()| client.write_all(body));
    Some(client)
}

/// Returns the answer so far, if there is any.
fn answer(mut client: TcpStream) -> Option<String> {
    let mut answer = vec![0; 4096];
    client.set_nonblocking(true).ok()?;
    let bytes = client.read(&mut answer).ok().filter(|bytes| *bytes > 0)?;
    Some(String::from_utf8_lossy(&answer[..bytes]).into_owned())
}
