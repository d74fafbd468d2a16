//! `make soak`: calls under load while faults happen at random, see README.md. Whichever processes
//! are killed or stopped and whichever disk is full, every call ends once and in time, with its
//! answer or with an error, and nothing is left over.

mod call;
mod client;
mod clients;
mod crowd;
mod disk;
mod faults;
mod flood;
mod functions;
mod ledger;
mod options;
mod orphans;
mod outcome;
mod parts;
mod probe;
mod ran;
mod random;
mod twins;
mod usage;
mod windows;

use call::{Call, Task};
use clients::Client;
use disk::Disk;
use faults::Faults;
use harness::{Engine, Possessions, Setup, private_memory, process};
use ledger::{Finding, Ledger};
use options::Options;
use ran::Ran;
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The number of client processes.
const CLIENTS: usize = 4;
/// The share of calls at the end that are made without faults, and must be answered: one in this
/// many.
const CALM_SHARE: u64 = 10;
/// The client number of warm-up calls. No client process has it.
const WARM_UP: usize = 1001;
/// The maximum pause between two checks of the clients.
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// The time after the last fault within which all functions are back: the pauses before restarts
/// are at most 10 s.
const BACK_WITHIN: Duration = Duration::from_secs(30);
/// The time within which killed processes are gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// The time within which threads that a load left behind are retired. They are retired 3 s after
/// the load is forgotten, which takes 10 s.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);
/// The pause between two samples of the processes' usage, and the number of samples needed to tell
/// whether it grows.
const SAMPLE_PAUSE: Duration = Duration::from_millis(500);
const SAMPLES: usize = 20;
/// The memory that an engine may use more after its calls than before: the allocator keeps the
/// memory of bodies that were under way at once. The total of all bodies is many times that.
const MORE_MEMORY: u64 = 128 << 20;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).peekable();
    if words.peek().is_some_and(|word| word == "client") {
        words.next();
        let Some(orders) = client::Orders::from_words(words) else { return ExitCode::from(2) };
        client::run(&orders);
        return ExitCode::SUCCESS;
    }
    let options = match Options::read(words) {
        Ok(options) => options,
        Err(usage) => {
            eprintln!("{usage}");
            return ExitCode::from(2);
        }
    };
    let mounts = disk::separate_mounts();
    println!("soak: seed {}", options.seed);
    harness::allow_many_descriptors();
    run(options, mounts.is_ok())
}

/// Returns a free port, so that each engine of the run can use it.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it is bound").port()
}

fn run(options: Options, may_mount: bool) -> ExitCode {
    let began = Instant::now();
    let own = process::descriptors(std::process::id() as i32).len();
    let folder = tempfile::Builder::new().prefix("nc").tempdir().expect("a temporary folder");
    let ran_path = folder.path().join("ran");
    let setup = Setup::new()
        .gateway(&format!("listen = \"127.0.0.1:{}\"", free_port()))
        .gateway(&format!("memory = \"{}\"", parts::MEMORY))
        .admin();
    let (setup, functions) = functions::add(setup, &ran_path);
    let ledger = Arc::new(Mutex::new(Ledger::default()));
    let ran = Ran::start(&ran_path, ledger.clone()).expect("a named pipe can be made");
    let home = setup.home();
    let disk = if may_mount { Disk::over(home.path()).ok() } else { None };
    if disk.is_none() {
        println!("skipped: soak on a full disk: mounts of its own are not permitted");
    }
    let engine = faults::start(&home);
    functions
        .all()
        .enumerate()
        .for_each(|(index, function)| warm_up(&engine, function, index as u64));
    println!("built and ready after {:.0} s", began.elapsed().as_secs_f64());
    let before = Before {
        possessions: Possessions::of(&engine),
        usage: usage::of(&engine),
        memory: private_memory(engine.pid()),
    };

    let mut load = Load {
        options,
        ledger: ledger.clone(),
        functions: functions.called.clone(),
        address: engine.address(),
        starts: [0; CLIENTS],
    };
    let faults = Faults::new(options.seed, home.clone(), ledger.clone(), functions, disk, engine);
    let (engine, killed, disk) = load.storm(faults);
    let back = harness::wait::find_within(BACK_WITHIN, || is_quiet(&engine).then_some(()));
    if back.is_none() {
        let text =
            format!("not all functions are back, or calls are under way: {:#?}", engine.status());
        load.find(Finding::Hung, &text);
    }
    load.calm(&engine);
    ran.stop();
    leftovers(&load, &engine, &killed, &before);
    drop(killed);
    engine.stop();
    drop((disk, home, folder));
    let more = process::descriptors(std::process::id() as i32).len().saturating_sub(own);
    if more > 0 {
        load.find(Finding::LeftOver, &format!("{more} descriptors of this program"));
    }

    let mut ledger = ledger.lock().expect("nobody panics with it");
    ledger.close();
    ledger.print();
    let [hung, twice, wrong, left] =
        [Finding::Hung, Finding::Twice, Finding::Wrong, Finding::LeftOver]
            .map(|finding| ledger.count(finding));
    println!("seed {}, {:.0} s", options.seed, began.elapsed().as_secs_f64());
    println!(
        "soak: {} calls, {hung} hung, {twice} twice, {wrong} wrong, {left} left over",
        ledger.begun()
    );
    if ledger.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes a function print, and send a payload through the arena, so that the resources for both
/// exist from then on.
fn warm_up(engine: &Engine, function: &functions::Function, index: u64) {
    let call = Call::to(ledger::first_id(WARM_UP, index), &[function], Task::Say, 1, 100_000);
    let headers = call.headers();
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = engine.connect().request("POST", &call.path(), &headers, call.body());
    assert!(call.is_right(&answer.body), "{}: {} {}", function.name, answer.status, answer.text());
}

/// The calls of a run.
struct Load {
    options: Options,
    ledger: Arc<Mutex<Ledger>>,
    functions: Vec<functions::Function>,
    address: std::net::SocketAddr,
    /// The number of processes that each client has had.
    starts: [u64; CLIENTS],
}

impl Load {
    fn find(&self, finding: Finding, text: &str) {
        self.ledger.lock().expect("nobody panics with it").find(finding, text);
    }

    fn begun(&self) -> u64 {
        self.ledger.lock().expect("nobody panics with it").begun()
    }

    /// Starts the clients, which make this many calls together.
    fn start(&self, calls: u64, calm: bool) -> Vec<Client> {
        let start = |number: usize| {
            let share =
                calls / CLIENTS as u64 + u64::from((number as u64) < calls % CLIENTS as u64);
            let orders = client::Orders {
                address: self.address,
                seed: self.options.seed,
                first: 0,
                calls: share,
                calm,
                functions: self.functions.clone(),
            };
            Client::start(number, self.starts[number], orders, self.ledger.clone())
        };
        (0..CLIENTS).map(start).collect()
    }

    /// Waits for the end of the clients.
    fn finish(&mut self, clients: Vec<Client>) {
        for (starts, client) in self.starts.iter_mut().zip(clients) {
            *starts = client.join();
        }
    }

    /// Makes most of the calls, while faults happen.
    fn storm(&mut self, mut faults: Faults) -> (Engine, Vec<Engine>, Option<Disk>) {
        let until = self.options.time.map(|time| Instant::now() + time - time / CALM_SHARE as u32);
        let clients = self.start(self.options.calls - self.options.calls / CALM_SHARE, false);
        // Calls of floods count as well, so some calls are reserved for the end.
        let enough = self.options.calls - self.options.calls / (2 * CALM_SHARE);
        let mut told = Instant::now();
        while !clients.iter().all(Client::has_ended) {
            let next = faults.advance(&clients);
            if until.is_some_and(|until| Instant::now() >= until) || self.begun() >= enough {
                clients.iter().for_each(Client::stop);
                break;
            }
            if told.elapsed() > Duration::from_secs(10) {
                told = Instant::now();
                println!("{} calls", self.begun());
            }
            std::thread::sleep(next.saturating_duration_since(Instant::now()).min(POLL_PAUSE));
        }
        let rest = faults.finish();
        self.finish(clients);
        rest
    }

    /// Makes the remaining calls, without faults.
    fn calm(&mut self, engine: &Engine) {
        self.ledger.lock().expect("nobody panics with it").calm = true;
        let calls = self.options.calls.saturating_sub(self.begun());
        let until = self.options.time.map(|time| Instant::now() + time / CALM_SHARE as u32);
        let clients = self.start(calls, true);
        let (mut samples, mut looked) = (Vec::new(), Instant::now());
        while !clients.iter().all(Client::has_ended) {
            if until.is_some_and(|until| Instant::now() >= until) {
                clients.iter().for_each(Client::stop);
                break;
            }
            if looked.elapsed() > SAMPLE_PAUSE {
                looked = Instant::now();
                samples.push(usage::of(engine));
            }
            std::thread::sleep(POLL_PAUSE);
        }
        self.finish(clients);
        if samples.len() >= SAMPLES {
            let part = samples.len() / 4;
            // Earlier samples are warm-up.
            for grown in usage::compare(&samples[part..2 * part], &samples[samples.len() - part..])
            {
                self.find(Finding::LeftOver, &grown);
            }
        }
    }
}

/// Returns whether every process of every function is ready, and no call is under way.
fn is_quiet(engine: &Engine) -> bool {
    engine
        .status()
        .functions
        .iter()
        .all(|f| f.workers > 0 && f.failing.is_none() && f.queued + f.running + f.waiting == 0)
}

/// The state before the calls.
struct Before {
    possessions: Possessions,
    usage: Vec<usage::Usage>,
    memory: u64,
}

/// Records the resources of which there is more than before the calls.
fn leftovers(load: &Load, engine: &Engine, killed: &[Engine], before: &Before) {
    if harness::wait::find_within(GONE_WITHIN, || is_quiet(engine).then_some(())).is_none() {
        load.find(
            Finding::Hung,
            &format!("calls are under way, with no client: {:#?}", engine.status()),
        );
    }
    let held = || engine.metrics().value("nightcore_memory_held_bytes");
    if harness::wait::find_within(GONE_WITHIN, || (held() == 0.0).then_some(())).is_none() {
        load.find(Finding::LeftOver, &format!("{} bytes held for no request", held()));
    }
    for more in before.possessions.more(engine, SETTLED_WITHIN) {
        load.find(Finding::LeftOver, &more);
    }
    let more = || usage::more(&before.usage, &usage::of(engine));
    if harness::wait::find_within(SETTLED_WITHIN, || more().is_empty().then_some(())).is_none() {
        more().iter().for_each(|more| load.find(Finding::LeftOver, more));
    }
    // The memory of payloads is returned when there have been no calls for a while.
    let memory = before.memory;
    let more = || private_memory(engine.pid()).saturating_sub(memory);
    let bounded =
        harness::wait::find_within(SETTLED_WITHIN, || (more() <= MORE_MEMORY).then_some(()));
    let more = more();
    println!(
        "engine: {} KiB of memory, {} KiB more than at the start",
        (memory + more) / 1024,
        more / 1024
    );
    if bounded.is_none() {
        load.find(Finding::LeftOver, &format!("{} KiB of the engine's memory", more / 1024));
    }
    for engine in killed {
        let gone =
            harness::wait::find_within(GONE_WITHIN, || engine.processes().is_empty().then_some(()));
        if gone.is_none() {
            load.find(Finding::LeftOver, &format!("of a killed engine: {:?}", engine.processes()));
        }
    }
}
