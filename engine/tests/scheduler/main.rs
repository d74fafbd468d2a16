//! The scheduler on a simulated clock. In any order of events every call ends exactly once, every
//! counter is the sum over the calls, `max` is never exceeded, and nothing is left over.

mod calls;
mod deadlines;
mod leases;
mod queue;
mod random;
#[path = "../simulated/mod.rs"]
mod simulated;
mod steps;
mod workers;
mod world;

use nightcore_engine::functions::cores::Reading;
use nightcore_engine::functions::{Origin, Ran, Spec};
use nightcore_engine::ids::{CallId, CallNumber, ChannelKey, ContainerKey, FunctionId, Generation};
use nightcore_engine::scheduler::{Action, Below, Event, InternalCall};
use nightcore_runtime::protocol::Notice;
use nightcore_runtime::protocol::control::{ChannelKind, Mode};
use nightcore_runtime::protocol::limits::MAX_LEASES_OF_LOOP;
use nightcore_runtime::protocol::{Broken, Failure, InvokeNumber, Status};
use simulated::{Body, Driven, Internal, MS};
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

/// The timeout of every function.
const TIMEOUT: Duration = Duration::from_secs(5);
const NAMES: [&str; 3] = ["A", "B", "C"];

/// Returns the index of a function in `NAMES`.
fn place(id: FunctionId) -> usize {
    id.number() as usize - 1
}

/// Returns the id of the function with this index in `NAMES`.
fn id(function: usize) -> FunctionId {
    simulated::function(function as u32 + 1)
}

fn spec(name: &str, max: u32) -> Spec {
    let channel = ChannelKind::Ring;
    Spec {
        timeout: TIMEOUT,
        queue_calls: 50,
        queue_bytes: 10_000,
        channel,
        ..simulated::spec(name, max)
    }
}

/// A call that a simulated worker holds.
#[derive(Debug)]
struct Held {
    call: CallNumber,
    root: Option<CallId>,
    /// The tags of its internal calls under way.
    outstanding: HashSet<u64>,
    /// The tags of calls that were refused at once. Their answers change nothing.
    refused: HashSet<u64>,
    /// Whether its slot is lent, as the scheduler knows it.
    blocked: bool,
    answers: u64,
    /// The leases by which it waits for the answers to direct calls. A thread has at most one.
    direct: BTreeSet<CallNumber>,
    /// The state that it publishes at the desk.
    seat: Seat,
    /// The number of its unanswered requests for a slot. It goes on after the last answer.
    wants: u32,
    /// The number of messages on their way to it that were sent before its slot was lent once more.
    overtaken: usize,
    /// Whether it is cancelled. A cancelled call makes no direct call.
    cancelled: bool,
    /// The lease, if the call is one.
    lease: Option<Lent>,
}

/// The state of a handler at the desk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seat {
    /// The handler waits for no direct call.
    Runs,
    /// The handler waits for a direct call, and its slot can be lent.
    Waits,
    /// The handler's slot was lent while it waited for a direct call.
    Lent,
}

/// A lease, which its worker holds as a call.
#[derive(Debug)]
struct Lent {
    caller: ContainerKey,
    callee: usize,
    recalled: bool,
    /// The worker that made the direct call which the lease runs, and that worker's own call or
    /// lease.
    runs: Option<(ChannelKey, CallNumber)>,
    /// Whether the handler of that direct call exists. It does not exist while the lease has no
    /// slot.
    begun: bool,
    /// Whether the direct call was cancelled.
    cancelled: bool,
}

impl Held {
    fn new(call: CallNumber, root: Option<CallId>, lease: Option<Lent>) -> Held {
        Held {
            call,
            root,
            outstanding: HashSet::new(),
            refused: HashSet::new(),
            blocked: false,
            answers: 0,
            direct: BTreeSet::new(),
            seat: Seat::Runs,
            wants: 0,
            overtaken: 0,
            cancelled: false,
            lease,
        }
    }

    /// Returns whether the call has a handler. A lease has none between two direct calls.
    fn has_handler(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.begun)
    }

    /// Returns whether its handler computes.
    fn computes(&self) -> bool {
        self.has_handler() && !self.blocked && self.direct.is_empty() && self.wants == 0
    }

    /// Returns whether it waits for no answer.
    fn has_all_answers(&self) -> bool {
        self.outstanding.is_empty() && self.direct.is_empty()
    }

    /// Records that the scheduler has sent it a message. After the message it has a slot, unless it
    /// is in an event loop and has calls under way.
    fn heard(&mut self, mode: Mode) {
        if self.overtaken > 0 {
            self.overtaken -= 1;
        } else {
            let under_way = self.outstanding.difference(&self.refused).next();
            self.blocked = mode == Mode::EventLoop && under_way.is_some();
        }
    }
}

/// A simulated worker: a thread with at most one call, or an event loop with many.
#[derive(Debug)]
struct Worker {
    container: ContainerKey,
    mode: Mode,
    held: Vec<Held>,
}

/// The number of times that each rare event has happened.
#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    /// A direct call was made.
    called: u64,
    /// A handler that waited for a direct call lent its slot.
    lent: u64,
    /// Such a handler lent a slot that it had got back in the meantime.
    lent_again: u64,
    /// A lease with a handler lent its slot.
    lease_lent: u64,
    /// A handler, or a lease between two calls, asked for a slot.
    asked: u64,
    /// A handler or lease asked for a slot, and none was free.
    asked_in_vain: u64,
    /// A handler or lease was told that it has a slot again.
    resumed: u64,
    /// A direct call had to wait until its lease had a slot.
    began_late: u64,
    /// A direct call was given up.
    given_up: u64,
    /// A handler had several direct calls under way.
    several: u64,
    /// A handler had both direct calls and other calls under way.
    mixed: u64,
}

impl Reached {
    fn add(&mut self, other: Reached) {
        self.called += other.called;
        self.lent += other.lent;
        self.lent_again += other.lent_again;
        self.lease_lent += other.lease_lent;
        self.asked += other.asked;
        self.asked_in_vain += other.asked_in_vain;
        self.resumed += other.resumed;
        self.began_late += other.began_late;
        self.given_up += other.given_up;
        self.several += other.several;
        self.mixed += other.mixed;
    }
}

#[derive(Default)]
struct World {
    scheduler: Driven<u64>,
    now: u64,
    /// The function and the generation of each container.
    containers: HashMap<ContainerKey, (usize, Generation)>,
    /// By function, the generations whose containers are started again when they end.
    kept_up: [Vec<Generation>; 3],
    channels: HashMap<ChannelKey, Worker>,
    /// Workers that were told to end and have not done so yet.
    retired: HashSet<ChannelKey>,
    /// The containers of workers that were requested and do not exist yet, in order.
    asked: VecDeque<ContainerKey>,
    /// The number of requested workers, from the next one on, that cannot be created.
    failing: u32,
    /// The number of dispatched calls, from the next one on, that cannot be sent.
    undeliverable: u32,
    /// Containers beside which another one was started.
    replaced: HashSet<ContainerKey>,
    /// Clients that wait for an answer.
    clients: HashMap<u64, CallNumber>,
    /// The time by which each client must have its answer.
    due: HashMap<u64, u64>,
    ended: HashMap<u64, Status>,
    next_client: u64,
    next_tag: u64,
    /// The number of internal calls that were made.
    invoked: u64,
    max: [u32; 3],
    modes: [Option<Mode>; 3],
    /// The notice of each function, which callers read.
    board: [Notice; 3],
    /// Whether workers can be lent to containers.
    is_direct: bool,
    /// How often each rare event has happened to threads, and below to event loops.
    threads: Reached,
    loops: Reached,
}

const THREADS: [Mode; 3] = [Mode::Threads; 3];
