//! The faults. The seed determines the kind, the time and the victim of each. A fault that lasts
//! ends after a while.

use crate::clients::Client;
use crate::disk::Disk;
use crate::functions::{Function, Functions};
use crate::ledger::Ledger;
use crate::orphans::Started;
use crate::probe::Probe;
use crate::random::Random;
use crate::windows::Without;
use crate::{crowd, flood, orphans, parts, twins};
use harness::process::{self, Process};
use harness::{Engine, Home};
use nix::sys::signal::Signal;
use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The average pause between two faults.
const MEAN_PAUSE_MS: u64 = 500;
/// The number of descriptors that an engine is left with beside those that it has open.
const SPARE_DESCRIPTORS: u64 = 2;

/// The kinds of faults, with their names and weights.
const KINDS: [(Kind, &str, u64); 17] = [
    (Kind::KillContainer, "container killed", 40),
    (Kind::StopContainer, "container stopped", 30),
    (Kind::KillLauncher, "launcher killed", 5),
    (Kind::StopLauncher, "launcher stopped", 10),
    (Kind::KillClient, "client killed", 15),
    (Kind::StopClient, "client stopped", 10),
    (Kind::KillEngine, "engine killed", 4),
    (Kind::StopEngine, "engine stopped", 10),
    (Kind::Flood, "stopped and flooded", 15),
    (Kind::FillDisk, "disk full", 5),
    (Kind::TakeDescriptors, "no descriptors", 8),
    (Kind::KillAll, "all containers killed", 2),
    (Kind::Reload, "reloaded", 12),
    (Kind::KeepFromStarting, "one of two cannot start", 12),
    (Kind::FillMemory, "memory full of parts", 14),
    (Kind::TakeConnections, "idle clients hold all", 12),
    (Kind::LeaveChild, "child left that prints", 12),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    KillContainer,
    StopContainer,
    KillLauncher,
    StopLauncher,
    KillClient,
    StopClient,
    KillEngine,
    StopEngine,
    Flood,
    FillDisk,
    TakeDescriptors,
    KillAll,
    Reload,
    KeepFromStarting,
    FillMemory,
    TakeConnections,
    LeaveChild,
}

/// How a lasting fault ends.
enum End {
    Thaw(i32),
    ThawClient(i32, usize),
    ThawEngine(i32),
    EmptyDisk,
    GiveDescriptors(i32, libc::rlimit64),
}

/// Makes faults.
pub struct Faults {
    random: Random,
    home: Arc<Home>,
    ledger: Arc<Mutex<Ledger>>,
    functions: Functions,
    disk: Option<Disk>,
    engine: Engine,
    /// The engines that were killed.
    killed: Vec<Engine>,
    next: Instant,
    ends: Vec<(Instant, End)>,
    /// The running faults that have a thread each, and the number of such faults so far.
    running: Vec<(Kind, JoinHandle<()>)>,
    runs: u64,
    /// The process of the twins that is not killed while the other one cannot start.
    survivor: i32,
    /// The running commands `nightcore reload`.
    reloads: Vec<Child>,
}

impl Faults {
    /// Creates faults for this engine, which can be restarted in its home.
    pub fn new(
        seed: u64,
        home: Arc<Home>,
        ledger: Arc<Mutex<Ledger>>,
        functions: Functions,
        disk: Option<Disk>,
        engine: Engine,
    ) -> Faults {
        Faults {
            random: Random::new(seed),
            home,
            ledger,
            functions,
            disk,
            engine,
            killed: Vec::new(),
            next: Instant::now(),
            ends: Vec::new(),
            running: Vec::new(),
            runs: 0,
            survivor: 0,
            reloads: Vec::new(),
        }
    }

    /// Makes and ends faults that are due. Returns when to call it again.
    pub fn advance(&mut self, clients: &[Client]) -> Instant {
        let now = Instant::now();
        while let Some(at) = self.ends.iter().position(|(at, _)| *at <= now) {
            let (_, end) = self.ends.swap_remove(at);
            self.end(end);
        }
        if now >= self.next {
            self.begin(clients);
            self.next =
                Instant::now() + Duration::from_millis(self.random.between(0, 2 * MEAN_PAUSE_MS));
        }
        self.ends.iter().map(|(at, _)| *at).chain([self.next]).min().unwrap_or(self.next)
    }

    /// Ends all lasting faults. Returns the last engine, the earlier ones, and the disk.
    pub fn finish(mut self) -> (Engine, Vec<Engine>, Option<Disk>) {
        self.end_all();
        std::mem::take(&mut self.reloads).into_iter().for_each(end_child);
        for (_, thread) in std::mem::take(&mut self.running) {
            thread.join().expect("a fault does not panic");
        }
        (self.engine, self.killed, self.disk)
    }

    fn end_all(&mut self) {
        for (_, end) in std::mem::take(&mut self.ends) {
            self.end(end);
        }
    }

    fn ledger(&self) -> std::sync::MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panics with it")
    }

    fn lasts(&mut self, low_ms: u64, high_ms: u64, end: End) {
        let ms = self.random.between(low_ms, high_ms);
        self.ends.push((Instant::now() + Duration::from_millis(ms), end));
    }

    fn has_stopped(&self, whom: i32) -> bool {
        let is = |end: &End| match end {
            End::ThawClient(pid, _) | End::ThawEngine(pid) => *pid == whom,
            _ => false,
        };
        self.ends.iter().any(|(_, end)| is(end))
    }

    fn has_taken_descriptors(&self) -> bool {
        self.ends.iter().any(|(_, end)| matches!(end, End::GiveDescriptors(..)))
    }

    fn is_running(&self, kind: Kind) -> bool {
        self.running.iter().any(|(running, thread)| *running == kind && !thread.is_finished())
    }

    /// Returns the containers that may be killed and stopped, by function.
    fn containers(&self) -> BTreeMap<String, Vec<i32>> {
        let processes = self.engine.processes();
        let Some(launcher) = launcher(&self.engine, &processes) else { return BTreeMap::new() };
        let spared = self.is_running(Kind::KeepFromStarting).then_some(self.survivor);
        let mut containers = BTreeMap::<String, Vec<i32>>::new();
        for process in processes {
            if process.parent == launcher && spared != Some(process.pid) {
                let Some(name) = process.arguments.last() else { continue };
                containers.entry(name.clone()).or_default().push(process.pid);
            }
        }
        containers
    }

    fn begin(&mut self, clients: &[Client]) {
        let all: u64 = KINDS.iter().map(|(_, _, weight)| weight).sum();
        let mut drawn = self.random.below(all);
        let drawn = KINDS.iter().find(|(_, _, weight)| {
            let found = drawn < *weight;
            drawn = drawn.saturating_sub(*weight);
            found
        });
        let Some(&(kind, name, _)) = drawn else { return };
        // Each fault draws equally many numbers, whoever is there, so that a seed means the same in
        // every run.
        let (who, containers) = (self.random.below(1 << 20) as usize, self.containers());
        let pids: Vec<i32> = containers.values().flatten().copied().collect();
        let container = pids.get(who % pids.len().max(1)).copied();
        let of_container =
            containers.iter().find(|(_, pids)| container.is_some_and(|pid| pids.contains(&pid)));
        let mut whom = of_container
            .zip(container)
            .map_or(String::new(), |((function, _), pid)| format!("{function} ({pid})"));
        if !matches!(kind, Kind::KillContainer | Kind::StopContainer) {
            whom.clear();
        }
        let client = &clients[who % clients.len()];
        let client_pid = client.pid().map(|pid| (pid, who % clients.len()));
        let launcher = launcher(&self.engine, &self.engine.processes());
        let done = match (kind, container, launcher, client_pid) {
            (Kind::KillContainer, Some(pid), ..) => kill(pid),
            (Kind::KillAll, ..) => pids.iter().all(|pid| kill(*pid)),
            (Kind::StopContainer, Some(pid), ..) => {
                process::signal(pid, Signal::SIGSTOP);
                // Some stops are longer than the deadline and the grace time, so that the container
                // counts as stuck.
                if who.is_multiple_of(4) {
                    self.lasts(3000, 6000, End::Thaw(pid));
                } else {
                    self.lasts(20, 1500, End::Thaw(pid));
                }
                true
            }
            (Kind::KillLauncher, _, Some(pid), _) => kill(pid),
            (Kind::StopLauncher, _, Some(pid), _) => {
                process::signal(pid, Signal::SIGSTOP);
                self.lasts(50, 2000, End::Thaw(pid));
                true
            }
            (Kind::KillClient, _, _, Some((pid, _))) => {
                // A process that replaces the client must not be taken for the stopped one.
                let stopped =
                    |end: &End| matches!(end, End::ThawClient(stopped, _) if *stopped == pid);
                if let Some(at) = self.ends.iter().position(|(_, end)| stopped(end)) {
                    let (_, end) = self.ends.swap_remove(at);
                    self.end(end);
                }
                kill(pid)
            }
            // This fault lasts already, and the end of the new one would end both.
            (Kind::StopClient, _, _, Some((pid, _))) if self.has_stopped(pid) => false,
            (Kind::StopEngine, ..) if self.has_stopped(self.engine.pid()) => false,
            (Kind::TakeDescriptors, ..) if self.has_taken_descriptors() => false,
            (
                Kind::KeepFromStarting
                | Kind::FillMemory
                | Kind::TakeConnections
                | Kind::LeaveChild,
                ..,
            ) if self.is_running(kind) => false,
            (Kind::StopClient, _, _, Some((pid, number))) => {
                self.ledger().begin(Without::Client(number));
                process::signal(pid, Signal::SIGSTOP);
                self.lasts(50, 3000, End::ThawClient(pid, number));
                true
            }
            (Kind::KillEngine, ..) => {
                self.replace_engine();
                true
            }
            (Kind::StopEngine, ..) => {
                let pid = self.engine.pid();
                self.ledger().begin(Without::EngineRunning);
                process::signal(pid, Signal::SIGSTOP);
                self.lasts(20, 1000, End::ThawEngine(pid));
                true
            }
            (Kind::Flood, ..) => {
                let called = self.called(who, &containers);
                called.is_some_and(|(function, pid)| {
                    whom = format!("{} ({pid})", function.name);
                    self.flood(pid, function);
                    true
                })
            }
            (Kind::KeepFromStarting, ..) => self.keep_from_starting(&containers),
            (Kind::FillMemory, ..) => {
                let function = self.functions.called[who % self.functions.called.len()].clone();
                whom.clone_from(&function.name);
                let engine = self.engine.pid();
                self.run(kind, move |probe| parts::run(&probe, &function, engine));
                true
            }
            (Kind::TakeConnections, ..) => {
                let called = self.called(who, &containers);
                called.is_some_and(|(function, pid)| {
                    whom = format!("and {} ({pid}) killed", function.name);
                    let lasts = Duration::from_millis(self.random.between(200, 2000));
                    let engine = self.engine.pid();
                    self.run(kind, move |probe| crowd::run(probe, &function, engine, pid, lasts));
                    true
                })
            }
            (Kind::LeaveChild, _, Some(launcher), _) => {
                let called = self.called(who, &containers);
                called.is_some_and(|(function, container)| {
                    whom = format!("and {} ({container}) killed", function.name);
                    self.leave_child(function, Started { container, launcher }, &containers)
                })
            }
            (Kind::FillDisk, ..) => {
                let filled = self.disk.as_ref().is_some_and(|disk| disk.fill().is_ok());
                if filled {
                    self.lasts(500, 3000, End::EmptyDisk);
                }
                filled
            }
            (Kind::TakeDescriptors, ..) => {
                let pid = self.engine.pid();
                let has = process::descriptors(pid).len() as u64;
                let taken = limit_descriptors(pid, |was| libc::rlimit64 {
                    rlim_cur: has + SPARE_DESCRIPTORS,
                    ..was
                });
                if let Some(was) = taken {
                    self.ledger().begin(Without::Descriptors);
                    self.lasts(200, 1500, End::GiveDescriptors(pid, was));
                }
                taken.is_some()
            }
            (Kind::Reload, ..) => {
                whom = self.functions.called[who % self.functions.called.len()].name.clone();
                self.reload(&whom)
            }
            _ => false,
        };
        if done {
            self.ledger().fault(name, &whom);
        }
    }

    fn end(&mut self, end: End) {
        match end {
            End::Thaw(pid) => process::thaw(pid),
            End::ThawClient(pid, number) => {
                process::thaw(pid);
                self.ledger().end(Without::Client(number));
            }
            End::ThawEngine(pid) => {
                process::thaw(pid);
                self.ledger().end(Without::EngineRunning);
            }
            End::EmptyDisk => {
                if let Some(disk) = &self.disk {
                    disk.empty();
                }
            }
            End::GiveDescriptors(pid, limit) => {
                limit_descriptors(pid, |_| limit);
                self.ledger().end(Without::Descriptors);
            }
        }
    }

    /// Kills the engine and starts another one in its place. Stopped processes stay stopped.
    fn replace_engine(&mut self) {
        // An engine cannot start on a full disk, and reports that.
        let (now, later) = std::mem::take(&mut self.ends).into_iter().partition(|(_, end)| {
            matches!(end, End::EmptyDisk | End::ThawEngine(_) | End::GiveDescriptors(..))
        });
        self.ends = later;
        let now: Vec<(Instant, End)> = now;
        self.ledger().begin(Without::Engine);
        self.engine.kill();
        now.into_iter().for_each(|(_, end)| self.end(end));
        let engine = start(&self.home);
        self.ledger().end(Without::Engine);
        self.killed.push(std::mem::replace(&mut self.engine, engine));
    }

    /// Replaces the processes of a function by new ones. The result does not matter here: resources
    /// may be missing, and the engine may be killed.
    fn reload(&mut self, function: &str) -> bool {
        self.reloads.retain_mut(|reload| matches!(reload.try_wait(), Ok(None)));
        let mut command = self.home.command("reload");
        command.arg(function).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        let began = child.is_ok();
        self.reloads.extend(child);
        began
    }

    /// Returns a function that clients call, and its container.
    fn called(
        &self,
        who: usize,
        containers: &BTreeMap<String, Vec<i32>>,
    ) -> Option<(Function, i32)> {
        let function = &self.functions.called[who % self.functions.called.len()];
        Some((function.clone(), *containers.get(&function.name)?.first()?))
    }

    /// Runs a fault on a thread of its own.
    fn run(&mut self, kind: Kind, fault: impl FnOnce(Probe) + Send + 'static) {
        let probe = Probe::new(self.engine.address(), self.ledger.clone(), self.runs);
        self.runs += 1;
        self.running.retain(|(_, thread)| !thread.is_finished());
        self.running.push((kind, std::thread::spawn(move || fault(probe))));
    }

    /// Stops a container, calls it more often than it has room for, and lets it continue.
    fn flood(&mut self, pid: i32, function: Function) {
        let stopped = Duration::from_millis(self.random.between(100, 800));
        let (address, ledger, number) = (self.engine.address(), self.ledger.clone(), self.runs);
        self.run(Kind::Flood, move |_| {
            flood::run(pid, &function, stopped, address, number, &ledger);
        });
    }

    /// Kills one process of the twins, which cannot start again for a while.
    fn keep_from_starting(&mut self, containers: &BTreeMap<String, Vec<i32>>) -> bool {
        let lasts = Duration::from_millis(self.random.between(1500, 4000));
        let (Some(twins), Some([killed, survivor])) =
            (self.functions.twins.clone(), containers.get(twins::NAME).map(Vec::as_slice))
        else {
            return false;
        };
        let (killed, survivor) = (*killed, *survivor);
        let stopped = |end: &End| matches!(end, End::Thaw(pid) if *pid == survivor);
        if self.ends.iter().any(|(_, end)| stopped(end)) {
            return false;
        }
        self.survivor = survivor;
        self.run(Kind::KeepFromStarting, move |probe| {
            twins::run(probe, &twins, killed, survivor, lasts);
        });
        true
    }

    /// Makes a function leave behind a child that prints, and kills another function's container.
    fn leave_child(
        &mut self,
        function: Function,
        killed: Started,
        containers: &BTreeMap<String, Vec<i32>>,
    ) -> bool {
        let lasts = Duration::from_millis(self.random.between(100, 1000));
        let spilling = containers.get(orphans::NAME).and_then(|pids| pids.first()).copied();
        let (Some(spills), Some(spilling)) = (self.functions.spills.clone(), spilling) else {
            return false;
        };
        self.run(Kind::LeaveChild, move |probe| {
            orphans::run(probe, &spills, spilling, &function, killed, lasts);
        });
        true
    }
}

/// Starts an engine whose descriptors can be taken away: `ulimit -n` sets their number.
pub fn start(home: &Arc<Home>) -> Engine {
    const UNDER: &str = "ulimit -n \"$0\" && exec \"$@\"";
    let descriptors = crowd::DESCRIPTORS.to_string();
    home.start_under("sh", &["-c", UNDER, &descriptors])
}

/// Ends a command that may be waiting for an engine.
fn end_child(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

fn kill(pid: i32) -> bool {
    process::signal(pid, Signal::SIGKILL);
    true
}

fn launcher(engine: &Engine, processes: &[Process]) -> Option<i32> {
    let is_launcher = |process: &&Process| {
        process.parent == engine.pid()
            && process.arguments.get(1).is_some_and(|word| word == "launcher")
    };
    processes.iter().find(is_launcher).map(|process| process.pid)
}

/// Changes the limit of open files of a process, and returns the previous limit.
fn limit_descriptors(
    pid: i32,
    change: impl FnOnce(libc::rlimit64) -> libc::rlimit64,
) -> Option<libc::rlimit64> {
    let mut was = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: prlimit reads and writes the structs that it is given, which live as long as the
    // call.
    let asked = unsafe { libc::prlimit64(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &mut was) };
    if asked != 0 {
        return None;
    }
    let new = change(was);
    // SAFETY: as above.
    let set = unsafe { libc::prlimit64(pid, libc::RLIMIT_NOFILE, &new, std::ptr::null_mut()) };
    (set == 0).then_some(was)
}
