//! Tests functions with one worker that call each other and themselves: every call ends with the
//! right answer or an error that says why, and none waits for its deadline.

use harness::workers::{Language, event_loop};
use harness::{Connection, Engine, Response, Setup, wait_until};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// The errors that a failed call may report: calls nested too deeply, too many calls, or a
/// deadline.
const ERRORS: [&str; 3] = ["DEPTH_EXCEEDED", "OVERLOADED", "DEADLINE_EXCEEDED"];
/// Many times as long as all calls together take.
const TIMEOUT: Duration = Duration::from_secs(15);
const ONE: &str = "timeout = \"15s\"\nworkers = { max = 1 }";

/// A call under way.
struct Client {
    connection: Connection,
    began: Instant,
    sent: String,
    expected: String,
}

impl Client {
    fn send(engine: &Engine, function: &str, body: String, expected: String) -> Client {
        let mut connection = engine.connect();
        let began = Instant::now();
        connection.send("POST", &format!("/function/{function}"), &[], body.as_bytes()).unwrap();
        Client { connection, began, sent: format!("{function} {body:?}"), expected }
    }

    /// Returns the outcome of the call: "answered" if the answer is right, or the name of the
    /// error.
    fn ends(mut self) -> String {
        let response = self.connection.receive().unwrap_or_else(|e| panic!("{e}: {}", self.sent));
        let took = self.began.elapsed();
        assert!(took < TIMEOUT, "it hung until its deadline: {}", self.sent);
        if response.status == 200 {
            assert_eq!(response.text(), self.expected, "{}", self.sent);
            return "answered".to_owned();
        }
        let error = reason(&response);
        assert!(ERRORS.contains(&error.as_str()), "{}: {}", self.sent, response.text());
        error
    }
}

/// Returns the error that caused all others.
fn reason(response: &Response) -> String {
    let problem = response.problem();
    problem.cause.last().map_or(problem.error, |cause| cause.error.clone())
}

/// Checks that no call is left, and that no process was restarted.
fn is_well(engine: &Engine) {
    wait_until("all calls to have ended", || {
        engine.status().functions.iter().all(|f| f.queued + f.running + f.waiting == 0)
    });
    for function in engine.status().functions {
        assert_eq!(function.restarts, 0, "{function:?}");
    }
}

#[test]
fn a_function_that_calls_itself_through_two_others() {
    const CLIENTS: usize = 100;
    let c = Language::C.worker();
    let engine = Setup::new()
        .function("CallC", &c, ONE)
        .function("Call", &event_loop(), ONE)
        .function("CallRust", &Language::Rust.worker(), ONE)
        .function("EchoC", &c, ONE)
        .start();
    let ring = ["CallC", "Call", "CallRust"];
    // The lengths go once around the ring, several times around it, and deeper than calls may nest.
    let lengths = [3, 4, 9, 30, 75];
    let clients: Vec<(usize, Client)> = (0..CLIENTS)
        .map(|number| {
            let length = lengths[number % lengths.len()];
            let way = (1..length).map(|hop| ring[hop % ring.len()]);
            let way: String = way.chain(["EchoC"]).map(|name| format!("{name}\n")).collect();
            (length, Client::send(&engine, ring[0], format!("{way}{number}"), number.to_string()))
        })
        .collect();
    for (length, client) in clients {
        // The default of `max_depth` is 64.
        let expected = if length > 64 { "DEPTH_EXCEEDED" } else { "answered" };
        assert_eq!(client.ends(), expected, "calls of depth {length}");
    }
    is_well(&engine);
    engine.stop();
}

/// Pseudorandom numbers by splitmix64. The same seed gives the same numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

const TREES: u64 = 5;

/// Writes a tree of calls for the worker `Tree`, and returns the number of calls in it.
fn tree(random: &mut Random, depth: u64, text: &mut String) -> u64 {
    let children = if depth == 0 { 0 } else { random.below(3) };
    let way = if random.below(2) == 0 { "each" } else { "all" };
    write!(text, "{way} {} {children}", random.below(3)).unwrap();
    let mut calls = 1;
    for _ in 0..children {
        // One call in sixteen has a short timeout.
        let timeout_ms = if random.below(16) == 0 { 1 + random.below(20) } else { 0 };
        write!(text, " Tree{} {timeout_ms} ", random.below(TREES)).unwrap();
        calls += tree(random, depth - 1, text);
    }
    calls
}

#[test]
fn functions_that_call_each_other_at_random() {
    const ROUNDS: usize = 4;
    const CLIENTS: usize = 40;
    const DEPTH: u64 = 7;
    let seed = std::env::var("NIGHTCORE_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(nightcore_runtime::clock::now_ns);
    println!("NIGHTCORE_TEST_SEED={seed}");
    let mut random = Random(seed);
    let worker = Language::Rust.worker();
    let limits = format!("{ONE}\nmax_depth = 5\nqueue = {{ calls = 20 }}");
    let names: Vec<String> = (0..TREES).map(|number| format!("Tree{number}")).collect();
    let engine = names
        .iter()
        .fold(Setup::new(), |setup, name| setup.function(name, &worker, &limits))
        .start();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let clients: Vec<Client> = (0..CLIENTS)
            .map(|_| {
                let mut body = String::new();
                let calls = tree(&mut random, DEPTH, &mut body);
                let name = &names[random.below(TREES) as usize];
                Client::send(&engine, name, body, calls.to_string())
            })
            .collect();
        for (number, client) in clients.into_iter().enumerate() {
            // Some clients leave, which cancels all calls below theirs.
            if number % 8 == 7 {
                continue;
            }
            *ends.entry(client.ends()).or_default() += 1;
        }
    }
    println!("{ends:?}");
    assert!(ends.contains_key("answered"), "{ends:?}");
    is_well(&engine);
    engine.stop();
}
