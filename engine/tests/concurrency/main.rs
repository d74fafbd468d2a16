//! The concurrency controller on a simulated clock: one function, a FIFO queue, exponential service
//! times.

mod changes;
mod closed_load;
mod open_load;
mod random;
mod report;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use nightcore_engine::functions::concurrency::{Bounds, Concurrency, QUIET_AFTER_NS, Why};

const US: f64 = 1e3;
const MS: f64 = 1e6;
const S: f64 = 1e9;
const MAX: u32 = 64;

/// The generator xorshift64*, which gives the same numbers in every run.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        (bits as f64 + 0.5) / (1u64 << 53) as f64
    }

    fn exponential(&mut self, mean: f64) -> f64 {
        -mean * self.unit().ln()
    }
}

/// A time that can be ordered: an `f64` that is never NaN here.
#[derive(PartialEq, Clone, Copy)]
struct Time(f64);
impl Eq for Time {}
impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// The events and sums of a span of simulated time.
#[derive(Default, Debug, Clone, Copy)]
struct Seen {
    from_ns: f64,
    ended: u64,
    waited_ns: f64,
    started: u64,
    limit_ns: f64,
    limit_highest: u32,
    limit_changes: u32,
    /// The number of consecutive times that [`Concurrency::next_change_ns`] named and at which
    /// nothing changed.
    idle_timers: u32,
    running_ns: f64,
}

impl Seen {
    fn mean_wait_ns(&self) -> f64 {
        self.waited_ns / self.started as f64
    }
    fn mean_limit(&self, until_ns: f64) -> f64 {
        self.limit_ns / (until_ns - self.from_ns)
    }
    fn throughput(&self, until_ns: f64) -> f64 {
        self.ended as f64 / (until_ns - self.from_ns)
    }
}

/// One function under load. Each running call is served at the speed min(1, cores / running), or
/// slower if `each` is not 0.
struct World {
    control: Concurrency,
    random: Random,
    now_ns: f64,
    service_ns: f64,
    cores: f64,
    /// The time that each further running call adds to the others, as a part of the time of a call
    /// that runs alone. An event loop takes all messages that have arrived in one go: each message
    /// takes some time, and the rest is shared.
    each: f64,
    /// Whether all calls need the same work, so that calls that begin together end together.
    even: bool,
    queue: VecDeque<f64>,
    /// The service, in ns, that a call would have received if it had run from the start. A call
    /// ends when this number has grown by the call's work.
    served_ns: f64,
    running: BinaryHeap<Reverse<(Time, Time)>>,
    /// Open load: the number of arrivals per ns, and the time of the next one.
    rate: f64,
    next_arrival_ns: f64,
    /// Closed load: the number of clients that have still to join, the time at which the next one
    /// joins, and the time between two of them.
    joining: u32,
    next_join_ns: f64,
    join_every_ns: f64,
    clients: bool,
    limit: u32,
    seen: Seen,
}

impl World {
    fn new(bounds: Bounds, service_ns: f64) -> Self {
        World {
            control: Concurrency::new(bounds),
            random: Random(0x9E37_79B9_7F4A_7C15),
            now_ns: 0.0,
            service_ns,
            cores: f64::INFINITY,
            each: 0.0,
            even: false,
            queue: VecDeque::new(),
            served_ns: 0.0,
            running: BinaryHeap::new(),
            rate: 0.0,
            next_arrival_ns: f64::INFINITY,
            joining: 0,
            next_join_ns: f64::INFINITY,
            join_every_ns: 0.0,
            clients: false,
            limit: bounds.max,
            seen: Seen::default(),
        }
    }

    fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.next_arrival_ns = if rate > 0.0 {
            self.now_ns + self.random.exponential(1.0 / rate)
        } else {
            f64::INFINITY
        };
    }

    fn join(&mut self, clients: u32, every_ns: f64) {
        self.clients = true;
        self.joining = clients;
        self.join_every_ns = every_ns;
        self.next_join_ns = self.now_ns;
    }

    fn speed(&self) -> f64 {
        let running = self.running.len() as f64;
        let shared = 1.0 / (1.0 + self.each * (running - 1.0));
        (self.cores / running).min(1.0) * shared
    }

    fn now(&self) -> u64 {
        self.now_ns as u64
    }

    fn arrive(&mut self) {
        self.control.arrived(self.now());
        self.queue.push_back(self.now_ns);
    }

    /// Starts calls while fewer run than the limit allows, as the dispatcher does.
    fn dispatch(&mut self) {
        loop {
            let oldest = self.queue.front().map(|&since| since as u64);
            self.limit = self.control.limit(self.now(), oldest);
            assert!(self.limit >= 1 && self.limit <= MAX, "limit {}", self.limit);
            self.seen.limit_highest = self.seen.limit_highest.max(self.limit);
            if self.running.len() >= self.limit as usize {
                return;
            }
            let Some(since) = self.queue.pop_front() else { return };
            self.seen.waited_ns += self.now_ns - since;
            self.seen.started += 1;
            let work = match self.even {
                true => self.service_ns,
                false => self.random.exponential(self.service_ns),
            };
            self.running.push(Reverse((Time(self.served_ns + work), Time(self.now_ns))));
        }
    }

    /// Runs until this time is reached or this many calls have started.
    fn run(&mut self, until_ns: f64, calls: u64) -> Seen {
        self.seen = Seen { from_ns: self.now_ns, ..Seen::default() };
        while self.now_ns < until_ns && self.seen.started < calls {
            let end_ns = self.running.peek().map_or(f64::INFINITY, |Reverse((at, _))| {
                self.now_ns + (at.0 - self.served_ns) / self.speed()
            });
            let timer_ns = self
                .control
                .next_change_ns(self.queue.front().map(|&since| since as u64))
                .map_or(f64::INFINITY, |at| at as f64);
            let next_ns = end_ns
                .min(self.next_arrival_ns)
                .min(self.next_join_ns)
                .min(timer_ns.max(self.now_ns))
                .min(until_ns);
            let passed_ns = next_ns - self.now_ns;
            self.seen.limit_ns += passed_ns * f64::from(self.limit);
            self.seen.running_ns += passed_ns * self.running.len() as f64;
            if !self.running.is_empty() {
                self.served_ns += passed_ns * self.speed();
            }
            self.now_ns = next_ns;
            if next_ns == end_ns {
                if let Some(Reverse((at, began))) = self.running.pop() {
                    self.served_ns = at.0;
                    let run_ns = (self.now_ns - began.0) as u64;
                    self.control.ended(self.now(), run_ns, run_ns);
                    self.seen.ended += 1;
                    if self.clients {
                        self.arrive();
                    }
                }
            } else if next_ns == self.next_arrival_ns {
                self.arrive();
                self.next_arrival_ns += self.random.exponential(1.0 / self.rate);
            } else if next_ns == self.next_join_ns {
                self.arrive();
                self.joining -= 1;
                self.next_join_ns =
                    if self.joining > 0 { next_ns + self.join_every_ns } else { f64::INFINITY };
            }
            let limit = self.limit;
            self.dispatch();
            self.seen.limit_changes += u32::from(self.limit != limit);
            let idle = next_ns == timer_ns && self.limit == limit;
            self.seen.idle_timers = if idle { self.seen.idle_timers + 1 } else { 0 };
            assert!(
                self.seen.idle_timers < 3,
                "a dispatcher would spin on this timer: {:?}",
                self.seen
            );
        }
        self.seen
    }
}

const BOUNDS: Bounds = Bounds { min: 1, max: MAX, in_one_go_ns: 0 };

/// Two cores need a limit of 2 + ⌈√2⌉ = 4. Twice that leaves room for changes that were
/// learned from noise, and one more leaves room for experiments.
const LIMIT_FOR_TWO_CORES: f64 = 9.0;
