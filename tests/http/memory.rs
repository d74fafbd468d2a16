//! Tests that the memory of all requests and answers together is limited, and is returned.

use harness::http2::{HEADER_TABLE_BYTES, INITIAL_WINDOW};
use harness::workers::c;
use harness::{
    Connection, Engine, Http2, Setup, pattern, private_memory, wait_until, wait_until_within,
};
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;
/// The limit in these tests.
const LIMIT: u64 = 64 * MIB;
/// The memory that the engine may need in addition: for HTTP, for pages that are copied, and for
/// pages that the allocator keeps.
const BESIDE: u64 = 32 * MIB;
/// The part of a body of 32 MiB that is sent. The rest never comes.
const PART: usize = 31 << 20;
const BODY: usize = 32 << 20;

fn engine() -> Engine {
    let setup = Setup::new().gateway("memory = \"64MiB\"").admin();
    setup.functions(&["Echo", "Big", "Sleep"], &c()).start()
}

fn held(engine: &Engine) -> f64 {
    engine.metrics().value("nightcore_memory_held_bytes")
}

/// Checks that the engine no longer holds payloads, and has returned their memory to the system.
#[track_caller]
fn assert_given_back(engine: &Engine, before: u64) {
    wait_until("nothing to be held", || held(engine) == 0.0);
    let within = Duration::from_secs(10);
    wait_until_within("the memory to be given back", within, || {
        private_memory(engine.pid()) < before + 16 * MIB
    });
}

/// Runs work, and returns its result with the most private memory that the engine had meanwhile.
fn peak<T>(engine: &Engine, work: impl FnOnce() -> T + Send) -> (T, u64)
where
    T: Send,
{
    std::thread::scope(|scope| {
        let work = scope.spawn(work);
        let mut peak = 0;
        wait_until_within("the work to be done", Duration::from_secs(60), || {
            peak = private_memory(engine.pid()).max(peak);
            work.is_finished()
        });
        (work.join().expect("the work does not panic"), peak)
    })
}

#[test]
fn bodies_of_many_clients_hold_no_more_than_they_may() {
    const CLIENTS: usize = 30;
    let engine = engine();
    assert_eq!(engine.text("Echo", "warm"), "warm");
    let before = private_memory(engine.pid());
    let body = pattern(PART);
    let (clients, peak) = peak(&engine, || {
        std::thread::scope(|scope| {
            let send = || {
                let mut client = engine.connect();
                let head = format!(
                    "POST /function/Echo HTTP/1.1\r\nhost: test\r\ncontent-length: {BODY}\r\n\r\n"
                );
                client.write(head.as_bytes()).unwrap();
                // The gateway may refuse the rest.
                let _ = client.write(&body);
                client
            };
            let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(send)).collect();
            let clients = clients.into_iter().map(|client| client.join().unwrap());
            clients.collect::<Vec<Connection>>()
        })
    });
    assert!(peak < before + LIMIT + BESIDE, "{} MiB", peak / MIB);
    // Small requests still work.
    assert_eq!(engine.text("Echo", "small"), "small");
    let metrics = engine.metrics();
    assert_eq!(metrics.value("nightcore_memory_limit_bytes"), LIMIT as f64);
    assert!(metrics.value("nightcore_memory_refused_total") > 0.0);
    drop(clients);
    assert_given_back(&engine, before);
    engine.stop();
}

#[test]
fn bodies_on_one_connection_of_http_2_hold_no_more_than_they_may() {
    const STREAMS: usize = 60;
    let engine = engine();
    assert_eq!(engine.text("Echo", "warm"), "warm");
    let before = private_memory(engine.pid());
    let mut client = Http2::open_with(engine.address(), &[(HEADER_TABLE_BYTES, 0)]);
    let (statuses, peak) = peak(&engine, || client.send_parts("/function/Echo", STREAMS, PART));
    assert!(peak < before + LIMIT + BESIDE, "{} MiB", peak / MIB);
    let refused = statuses.iter().filter(|status| **status == 503).count();
    assert!(refused >= STREAMS / 2, "{statuses:?}");
    assert_eq!(engine.text("Echo", "small"), "small");
    drop(client);
    assert_given_back(&engine, before);
    engine.stop();
}

#[test]
fn small_answers_that_are_not_taken_are_counted() {
    const ANSWERS: usize = 500;
    const BYTES: usize = 4000;
    let engine = engine();
    // The client opens the window of each answer by one byte.
    let mut client = Http2::open_with(engine.address(), &[(INITIAL_WINDOW, 1)]);
    for _ in 0..ANSWERS {
        client.send("POST", "/function/Big", &[], BYTES.to_string().as_bytes()).unwrap();
    }
    wait_until("the answers", || engine.function("Big").answered == ANSWERS as u64);
    let held = held(&engine);
    assert!(held >= (ANSWERS * BYTES) as f64, "{held} bytes");
    drop(client);
    wait_until("nothing to be held", || self::held(&engine) == 0.0);
    engine.stop();
}

#[test]
fn a_body_without_room_in_memory_is_refused_before_it_is_read() {
    let engine = engine();
    let head = |bytes: usize| {
        format!(
            "POST /function/Echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: \
             {bytes}\r\n\r\n"
        )
    };
    let mut holds = engine.connect();
    holds.write(head(BODY).as_bytes()).unwrap();
    assert_eq!(holds.receive_head().unwrap().status, 100);
    holds.write(&pattern(PART)).unwrap();
    wait_until("the part to be held", || held(&engine) >= PART as f64);
    let mut refused = engine.connect();
    refused.write(head(BODY).as_bytes()).unwrap();
    let refused = refused.receive().unwrap();
    assert_eq!((refused.status, refused.problem().error.as_str()), (503, "OVERLOADED"));
    assert_eq!(refused.header("retry-after"), Some("1"));
    holds.write(&pattern(BODY - PART)).unwrap();
    assert_eq!(holds.receive().unwrap().body.len(), BODY);
    engine.stop();
}

#[test]
fn answers_wait_for_room_and_are_given_back() {
    const CLIENTS: usize = 24;
    let engine = engine();
    assert_eq!(engine.text("Echo", "warm"), "warm");
    let before = private_memory(engine.pid());
    // 192 MiB of answers pass a limit of 64 MiB.
    let ((), peak) = peak(&engine, || {
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let answer = engine.call("Big", (8 * MIB).to_string());
                    assert_eq!((answer.status, answer.body.len() as u64), (200, 8 * MIB));
                });
            }
        });
    });
    assert!(peak < before + LIMIT + BESIDE, "{} MiB", peak / MIB);
    assert_given_back(&engine, before);
    engine.stop();
}

#[test]
fn an_answer_waits_for_room_no_longer_than_its_client() {
    const HELD: usize = 30 << 20;
    let engine = engine();
    let mut takes_nothing = Http2::open_with(engine.address(), &[(INITIAL_WINDOW, 0)]);
    for _ in 0..2 {
        let bytes = HELD.to_string();
        takes_nothing.send("POST", "/function/Big", &[], bytes.as_bytes()).unwrap();
    }
    wait_until("two answers to be held", || held(&engine) >= 2.0 * HELD as f64);
    let began = Instant::now();
    let bytes = (8 * MIB).to_string();
    let headers = [("x-timeout-ms", "2000")];
    let answer = engine.connect().request("POST", "/function/Big", &headers, bytes.as_bytes());
    assert_eq!((answer.status, answer.problem().error.as_str()), (503, "OVERLOADED"));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    engine.stop();
}
