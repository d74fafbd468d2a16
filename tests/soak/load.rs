//! Calls of every kind to every language, whose answers are known.

use harness::{Connection, pattern};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

/// More than this is told by number only.
const MAX_TOLD: usize = 20;

/// What came of a load.
#[derive(Default)]
pub struct Tally {
    pub count: u64,
    pub left: u64,
    pub wrong: Vec<String>,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.count += other.count;
        self.left += other.left;
        self.wrong.extend(other.wrong);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls, {} of which their clients left, {} wrong",
            self.count,
            self.left,
            self.wrong.len()
        )
    }
}

/// Marsaglia's xorshift64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

/// A request for a case, and what must come of it: status and body, or that its client leaves.
struct Call {
    function: &'static str,
    metadata: Vec<(&'static str, String)>,
    body: Vec<u8>,
    expected: Option<(u16, Vec<u8>)>,
}

fn call(random: &mut Random, functions: &[&'static str]) -> Call {
    let (function, target) = (*random.of(functions), *random.of(functions));
    let make = |pairs: &[(&'static str, &str)], body: Vec<u8>, expected: Option<(u16, Vec<u8>)>| {
        let metadata = pairs.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Call { function, metadata, body, expected }
    };
    let to = |case: &'static str, to: &'static str| [("case", case), ("target", target), ("to", to)];
    match random.below(100) {
        0..30 => {
            let body = pattern(*random.of(&[0, 16, 900, 1100, 5000, 70_000]));
            make(&[("case", "echo")], body.clone(), Some((200, body)))
        }
        30..55 => {
            let body = pattern(*random.of(&[0, 16, 900, 1100, 5000, 70_000]));
            make(&to("call", "echo"), body.clone(), Some((200, body)))
        }
        55..65 => {
            let n = random.below(12);
            let expected: String = (0..n).map(|i| format!("{i};")).collect();
            make(&to("fan_out", "echo"), n.to_string().into(), Some((200, expected.into())))
        }
        65..75 => {
            let route: Vec<&str> = (0..1 + random.below(6)).map(|_| *random.of(functions)).collect();
            let mut hops = vec![function];
            hops.extend(&route[..route.len() - 1]);
            let expected = format!("begin>{}", hops.join(">"));
            make(
                &[("case", "chain"), ("route", &route.join(","))],
                b"begin".to_vec(),
                Some((200, expected.into())),
            )
        }
        75..85 => {
            let expected = format!("FUNCTION_FAILED\n{target}\nno");
            make(&to("catch", "fail"), b"no".to_vec(), Some((200, expected.into())))
        }
        85..90 => make(&[("case", "sleep")], b"5".to_vec(), Some((200, b"slept".to_vec()))),
        90..94 => {
            let pairs = [&to("catch", "sleep")[..], &[("timeout-ms", "5")]].concat();
            // Only how it begins is known, see `check`.
            make(&pairs, b"50".to_vec(), Some((200, format!("DEADLINE_EXCEEDED\n{target}\n").into())))
        }
        94..97 => {
            let body = pattern(1 << 20);
            make(&to("call", "count"), body, Some((200, b"1048576".to_vec())))
        }
        97..99 => make(&to("call", "wait_for_cancel"), b"x".to_vec(), None),
        _ => make(&[("case", "status")], b"503".to_vec(), Some((503, b"503".to_vec()))),
    }
}

/// Calls until it is told to stop.
pub fn run(address: SocketAddr, functions: &[&'static str], seed: u64, stop: &AtomicBool) -> Tally {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut tally = Tally::default();
    let mut connection = Connection::open(address);
    while !stop.load(Ordering::Relaxed) && tally.wrong.len() < MAX_TOLD {
        let call = call(&mut random, functions);
        tally.count += 1;
        let metadata: Vec<(&str, &str)> = call.metadata.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let path = format!("/function/{}", call.function);
        let sent = connection.send("POST", &path, &metadata, &call.body);
        let Some((status, body)) = &call.expected else {
            // Leaves while it is under way, or before.
            std::thread::sleep(std::time::Duration::from_millis(random.below(5)));
            connection = Connection::open(address);
            tally.left += 1;
            continue;
        };
        let said = match sent.and_then(|()| connection.receive()) {
            Ok(response) if response.status == *status && is_right(&response.body, body) => continue,
            Ok(response) => format!("{} {:?}", response.status, shown(&response.body)),
            Err(error) => {
                connection = Connection::open(address);
                error.to_string()
            }
        };
        tally.wrong.push(format!("{path} {metadata:?}: {said} instead of {status} {:?}", shown(body)));
    }
    tally
}

/// Of a call that was too late the message says when.
fn is_right(got: &[u8], expected: &[u8]) -> bool {
    got == expected || expected.starts_with(b"DEADLINE_EXCEEDED\n") && got.starts_with(expected)
}

fn shown(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(120)]).into_owned()
}
