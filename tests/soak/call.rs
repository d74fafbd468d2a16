//! Calls, each with an id, a route through the functions, and a known answer.

use crate::functions::{EATER, Function};
use crate::random::Random;
use std::fmt;
use std::time::Duration;

/// The maximum number of functions that a call goes through.
const DEPTH: u64 = 3;
/// The maximum number of calls that a function makes at once.
const MAX_FAN: u64 = 40;

/// The task of the last function of a call, besides answering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Nothing,
    Sleep(u64),
    /// Ends its process.
    Exit,
    /// Takes memory until it dies.
    Eat,
    /// Prints a line.
    Say,
}

/// A call.
#[derive(Clone, Debug)]
pub struct Call {
    pub id: u64,
    pub timeout: Duration,
    pub task: Task,
    /// How often its last function is called: more than once if the first function makes several
    /// calls.
    pub runs: u16,
    route: Vec<String>,
    body: Vec<u8>,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:?}x{}:{}B", self.route.join(">"), self.task, self.runs, self.body.len())
    }
}

impl Call {
    /// Returns the call with this id. A `calm` call does no harm.
    pub fn new(seed: u64, id: u64, functions: &[Function], calm: bool) -> Call {
        let mut random = Random::new(seed ^ id.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let mut hops: Vec<&Function> =
            (0..random.between(1, DEPTH)).map(|_| random.of(functions)).collect();
        let mut task = match random.below(24_000) {
            0..8 if !calm => Task::Exit,
            8..12 if !calm => Task::Eat,
            // This is longer than the call's deadline and the grace time after it.
            12..14 if !calm => Task::Sleep(6000),
            14..24 if !calm => Task::Sleep(2500),
            24..1200 => Task::Sleep(random.between(1, 40)),
            1200..1700 => Task::Say,
            _ => Task::Nothing,
        };
        if task == Task::Eat {
            match functions.iter().find(|function| function.name == EATER) {
                Some(eater) => *hops.last_mut().expect("there is one at least") = eater,
                None => task = Task::Nothing,
            }
        }
        let size = match random.below(1000) {
            0..700 => random.between(0, 600),
            700..920 => random.between(600, 6000),
            920..997 => random.between(65_000, 200_000),
            _ => 1 << 20,
        };
        let fan = hops.len() > 1 && size < 1000 && random.once_in(30);
        let runs = if fan { random.between(2, MAX_FAN) as u16 } else { 1 };
        Call::to(id, &hops, task, runs, size)
    }

    /// Returns a call along this route.
    pub fn to(id: u64, hops: &[&Function], task: Task, runs: u16, size: u64) -> Call {
        let mut body = format!("{id}|").into_bytes();
        // The bytes differ for each call and at each place.
        let mut word = id.wrapping_mul(2_654_435_761).wrapping_add(1);
        body.extend((0..size).map(|_| {
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (word >> 56) as u8
        }));
        let route = hops.iter().map(|function| function.name.clone()).collect();
        Call { id, timeout: hops[0].timeout, task, runs, route, body }
    }

    /// Returns the path of the request.
    pub fn path(&self) -> String {
        format!("/function/{}", self.route[0])
    }

    /// Returns the headers with the instructions for the functions.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![("route", self.route[1..].join(","))];
        match self.task {
            Task::Nothing => {}
            Task::Sleep(ms) => headers.push(("do", format!("sleep:{ms}"))),
            Task::Exit => headers.push(("do", "exit".into())),
            Task::Eat => headers.push(("do", "eat".into())),
            Task::Say => headers.push(("do", "say".into())),
        }
        if self.runs > 1 {
            headers.push(("fan", self.runs.to_string()));
        }
        headers
    }

    /// Returns its body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Returns whether this is the right answer.
    pub fn is_right(&self, answer: &[u8]) -> bool {
        let there = self.route[..self.route.len() - 1].iter().map(|name| format!(">{name}"));
        let back =
            self.route[..self.route.len() - 1].iter().skip(1).rev().map(|name| format!("<{name}"));
        let leaf = format!("!{}", self.route[self.route.len() - 1]);
        let tail = there.chain([leaf]).chain(back).collect::<String>();
        let mut left = answer;
        for number in 0..self.runs {
            let numbered = if self.runs > 1 { format!("{number}.") } else { String::new() };
            for part in [numbered.as_bytes(), &self.body, tail.as_bytes()] {
                let Some(rest) = left.strip_prefix(part) else { return false };
                left = rest;
            }
        }
        let last = if self.route.len() > 1 { format!("<{}", self.route[0]) } else { String::new() };
        left == last.as_bytes()
    }

    /// Returns whether its last function cannot answer.
    pub fn ends_in_error(&self) -> bool {
        match self.task {
            Task::Exit | Task::Eat => true,
            Task::Sleep(ms) => Duration::from_millis(ms) > self.timeout,
            Task::Nothing | Task::Say => false,
        }
    }
}
