//! Decides which containers run, and when a container that ended is restarted. This module does no
//! I/O, and time is an argument.

mod death;
mod places;

pub use super::task::SupervisorTask;

use super::end::End;
use super::recycling::{Used, reached};
use crate::config::{self, Recycle};
use crate::ids::{FunctionId, Generation};
use crate::pool::FailedCalls;
use death::{Death, Next};
use places::{Containers, Due, Launched, ns};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

/// The pause before a container is restarted that ended soon after its start. It doubles with each
/// such end in a row.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest such pause.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// A container that was ready for this long has not failed at its start: it is restarted at once.
const PROVEN_AFTER: Duration = Duration::from_millis(500);
/// The number of ends in a row soon after the start that make a crash loop: the function is
/// declared unavailable, but further starts are tried.
const CRASH_LOOP: u32 = 3;
/// The time between SIGTERM and SIGKILL of a container that is to end.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// The restarts and the last end of a function's processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The number of restarts by the reason, which is that of [`End::reason`].
    pub restarts: BTreeMap<&'static str, u64>,
    /// The end of the container that ended last, and its time in ns.
    pub last_end: Option<(End, u64)>,
}

impl History {
    fn count_restart(&mut self, after: &End) {
        *self.restarts.entry(after.reason()).or_default() += 1;
    }
}

#[derive(Debug, Default)]
struct SupervisedFunction {
    /// The containers of the serving generation and, while a newer one is starting, those of the
    /// newer one.
    generations: Vec<Containers>,
    history: History,
    recycle: Recycle,
}

impl SupervisedFunction {
    fn generation(&mut self, generation: Generation) -> Option<&mut Containers> {
        self.generations.iter_mut().find(|containers| containers.generation == generation)
    }
}

/// The supervisor of all functions.
#[derive(Debug)]
pub struct Supervisor {
    functions: BTreeMap<FunctionId, SupervisedFunction>,
    launched: HashMap<u64, Launched>,
    last_launch: u64,
    /// The deaths of containers that the core has not lost yet, so that the number of failed calls
    /// is not known.
    untold: HashMap<u64, Death>,
    /// Whether no more containers are started.
    stopping: bool,
    /// The state of the generator that spreads the restarts of many containers. Its seed is any odd
    /// number.
    noise: u64,
}

impl Supervisor {
    /// Creates a supervisor without functions.
    pub fn new(now: u64) -> Supervisor {
        Supervisor {
            functions: BTreeMap::new(),
            launched: HashMap::new(),
            last_launch: 0,
            untold: HashMap::new(),
            stopping: false,
            noise: now | 1,
        }
    }

    /// Returns a new number for a launch that is not a container's.
    pub fn new_launch(&mut self) -> u64 {
        self.last_launch += 1;
        self.last_launch
    }

    /// Makes the containers of a new generation of this function due now.
    pub fn begin(
        &mut self,
        now: u64,
        function: FunctionId,
        generation: Generation,
        config: Rc<config::FunctionConfig>,
    ) {
        let due =
            vec![Due { at: now, failures: 0, takes_over: None }; config.keys.processes as usize];
        let containers = Containers { generation, config, due };
        self.functions.entry(function).or_default().generations.push(containers);
    }

    /// Stops starting containers of these generations of a function. Those that have not connected
    /// yet are ended; the others end when the scheduler decides so.
    pub fn retire(
        &mut self,
        now: u64,
        function: FunctionId,
        is_over: impl Fn(Generation) -> bool,
    ) -> Vec<SupervisorTask> {
        if let Some(function) = self.functions.get_mut(&function) {
            function.generations.retain(|containers| !is_over(containers.generation));
        }
        let mut unconnected = Vec::new();
        for (launch, launched) in &mut self.launched {
            if launched.function == function && is_over(launched.generation) {
                launched.replaced = true;
                unconnected.extend((!launched.connected).then_some(*launch));
            }
        }
        unconnected.into_iter().flat_map(|launch| self.end(now, launch)).collect()
    }

    /// Returns the history of a function's processes.
    pub fn history(&self, function: FunctionId) -> History {
        self.functions.get(&function).map(|function| function.history.clone()).unwrap_or_default()
    }

    /// Whether no started container is left.
    pub fn is_empty(&self) -> bool {
        self.launched.is_empty()
    }

    /// Returns the tasks that are due.
    pub fn advance(&mut self, now: u64) -> Vec<SupervisorTask> {
        let mut tasks = Vec::new();
        for (id, function) in &mut self.functions {
            for containers in &mut function.generations {
                if self.stopping {
                    containers.due.clear();
                }
                let due: Vec<Due> = containers.due.extract_if(.., |due| due.at <= now).collect();
                for due in due {
                    self.last_launch += 1;
                    let (launch, function) = (self.last_launch, *id);
                    let launched = Launched::new(now, function, containers, due);
                    self.launched.insert(launch, launched);
                    let (generation, config) = (containers.generation, containers.config.clone());
                    tasks.push(SupervisorTask::Start { launch, function, generation, config });
                }
            }
        }
        for (launch, launched) in &mut self.launched {
            if launched.start_by.is_some_and(|at| at <= now) {
                launched.start_by = None;
                launched.ended_for = Some(End::StartTimedOut(launched.start_timeout));
                launched.terminate_at = Some(now);
            }
            if launched.terminate_at.is_some_and(|at| at <= now) {
                launched.terminate_at = None;
                launched.kill_at = Some(now + ns(TERM_GRACE));
                tasks.push(SupervisorTask::Terminate { launch: *launch });
            }
            if launched.kill_at.is_some_and(|at| at <= now) {
                launched.kill_at = None;
                tasks.push(SupervisorTask::Kill { launch: *launch });
            }
        }
        tasks
    }

    /// Returns the time of the next task, if there is one.
    pub fn next_due(&self) -> Option<u64> {
        let generations = self.functions.values().flat_map(|function| &function.generations);
        let starts = generations.flat_map(|containers| containers.due.iter().map(|due| due.at));
        let times = |l: &Launched| [l.start_by, l.terminate_at, l.kill_at];
        starts.chain(self.launched.values().flat_map(times).flatten()).min()
    }

    /// Records the process of a container.
    pub fn started(&mut self, launch: u64, pid: i32) {
        if let Some(launched) = self.launched.get_mut(&launch) {
            launched.pid = Some(pid);
        }
    }

    /// Records that a container has connected.
    pub fn connected(&mut self, launch: u64) {
        if let Some(launched) = self.launched.get_mut(&launch) {
            launched.connected = true;
        }
    }

    /// Records that a container's first worker is ready.
    pub fn ready(&mut self, now: u64, launch: u64) -> Vec<SupervisorTask> {
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        launched.ready_at = Some(now);
        launched.start_by = None;
        launched
            .takes_over
            .take()
            .map(|launch| SupervisorTask::SetAside { launch })
            .into_iter()
            .collect()
    }

    /// Sets the bounds at which containers of a function are replaced from now on.
    pub fn set_recycle(&mut self, function: FunctionId, recycle: Recycle) {
        self.functions.entry(function).or_default().recycle = recycle;
    }

    /// Returns the functions whose containers are replaced at bounds of `recycle`.
    pub fn recycled(&self) -> impl Iterator<Item = FunctionId> {
        self.functions.iter().filter(|(_, f)| f.recycle.is_set()).map(|(id, _)| *id)
    }

    /// Starts a container beside one that has reached a bound of `recycle`. It takes the place of
    /// the old one when it is ready. `used` returns what a launch has used so far. One container is
    /// replaced at a time: others wait until the replaced one has ended.
    pub fn recycle(
        &mut self,
        now: u64,
        function: FunctionId,
        used: impl Fn(u64) -> Option<Used>,
    ) -> Vec<SupervisorTask> {
        let Some(of_it) = self.functions.get_mut(&function) else { return Vec::new() };
        // While a new generation starts, all containers are replaced anyway.
        let [containers] = &mut of_it.generations[..] else { return Vec::new() };
        let mut candidates = Vec::new();
        for (launch, launched) in &self.launched {
            if launched.function != function {
                continue;
            }
            // Another container is being replaced, or is starting.
            if launched.is_recycled || launched.ready_at.is_none() && !launched.replaced {
                return Vec::new();
            }
            let age = launched.ready_at.map(|at| Duration::from_nanos(now.saturating_sub(at)));
            let is_kept = launched.replaced || launched.stays;
            if let (Some(age), Some(used), false) = (age, used(*launch), is_kept)
                && let Some(reached) = reached(&of_it.recycle, used, age)
            {
                candidates.push((*launch, reached));
            }
        }
        if self.stopping || !containers.due.is_empty() {
            return Vec::new();
        }
        let Some((launch, reached)) = candidates.into_iter().min_by_key(|(launch, _)| *launch)
        else {
            return Vec::new();
        };
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        launched.is_recycled = true;
        launched.replaced = true;
        launched.was_told = true;
        containers.due.push(Due { at: now, failures: 0, takes_over: Some(launch) });
        of_it.history.count_restart(&End::Recycled);
        let pid = launched.pid.map_or_else(String::new, |pid| format!("process {pid} "));
        let text = format!("{}: {pid}is replaced by a new one, as {reached}", launched.name);
        vec![SupervisorTask::Report { text }]
    }

    /// Records why a container does not pass its readiness check yet.
    pub fn not_ready(&mut self, launch: u64, why: String) {
        if let Some(launched) = self.launched.get_mut(&launch) {
            launched.not_ready = Some(why);
        }
    }

    /// Handles the end of a container, or that it could not be started.
    pub fn ended(&mut self, now: u64, launch: u64, how: End) -> Vec<SupervisorTask> {
        let Some(mut launched) = self.launched.remove(&launch) else { return Vec::new() };
        let how = launched.ended_for.take().unwrap_or(how);
        if launched.hopeless
            && let Some(old) = launched.takes_over.and_then(|old| self.launched.get_mut(&old))
        {
            (old.replaced, old.is_recycled, old.was_told, old.stays) = (false, false, false, true);
        }
        let (next, failing) = self.follow(now, &launched, &how);
        let mut tasks = self.tell(launch, launched, how, next);
        tasks.extend(failing);
        tasks
    }

    /// Decides what follows when a container has ended. Also returns the tasks that report a
    /// failing start.
    fn follow(&mut self, now: u64, launched: &Launched, how: &End) -> (Next, Vec<SupervisorTask>) {
        let (id, noise) = (launched.function, self.noise());
        let Some(function) = self.functions.get_mut(&id) else {
            return (Next::Nothing, Vec::new());
        };
        let SupervisedFunction { generations, history, .. } = function;
        let containers = generations.iter_mut().find(|c| c.generation == launched.generation);
        let Some(containers) = containers else { return (Next::Nothing, Vec::new()) };
        history.last_end = Some((how.clone(), now));
        if launched.replaced || launched.hopeless || self.stopping {
            return (Next::Nothing, Vec::new());
        }
        history.count_restart(how);
        if launched.ready_at.is_some_and(|at| now.saturating_sub(at) >= ns(PROVEN_AFTER)) {
            containers.due.push(Due { at: now, failures: 0, takes_over: None });
            return (Next::AtOnce, Vec::new());
        }
        let failures = match how {
            // It had enough time, so one timeout counts as a crash loop.
            End::StartTimedOut(_) => CRASH_LOOP.max(launched.failures + 1),
            _ => launched.failures + 1,
        };
        let doubled = ns(FIRST_BACKOFF) << (failures - 1).min(16);
        let pause = doubled.min(ns(MAX_BACKOFF));
        // Up to a quarter is added, so that containers which fail together do not start together.
        let pause = pause + noise % (pause / 4);
        let takes_over = launched.takes_over;
        containers.due.push(Due { at: now + pause, failures, takes_over });
        let next = Next::After(Duration::from_nanos(pause));
        if failures < CRASH_LOOP {
            return (next, Vec::new());
        }
        let name = &launched.name;
        let reason = match how {
            End::StartTimedOut(after) => format!(
                "{name} was not ready within {} (start_timeout){}; see `nightcore logs {name}`",
                config::format_duration(*after),
                launched.readiness()
            ),
            _ => format!(
                "{name} ended {failures} times soon after its start, last by {how}; \
                 see `nightcore logs {name}`"
            ),
        };
        let failing = self.failing(id, launched.generation, reason.clone());
        // The reason is reported once. From then on each end has a line of its own.
        let is_news = failures == CRASH_LOOP && !matches!(how, End::StartTimedOut(_));
        let said = is_news.then_some(SupervisorTask::Report { text: reason });
        (next, said.into_iter().chain([failing]).collect())
    }

    /// Returns the task that reports that a container of this generation fails to start.
    fn failing(
        &self,
        function: FunctionId,
        generation: Generation,
        reason: String,
    ) -> SupervisorTask {
        let fails = |failures: u32| failures >= CRASH_LOOP;
        let generations = self.functions.get(&function).into_iter().flat_map(|f| &f.generations);
        let due = generations.filter(|c| c.generation == generation).flat_map(|c| &c.due);
        let launched = self.launched.values().filter(|launched| {
            launched.function == function && launched.generation == generation && !launched.replaced
        });
        let is_all = { due }.all(|due| fails(due.failures)) && { launched }
            .all(|launched| launched.hopeless || fails(launched.failures));
        SupervisorTask::Failing { function, generation, reason, is_all }
    }

    /// Reports an end that was not requested, once the number of calls that failed with it is
    /// known.
    fn tell(
        &mut self,
        launch: u64,
        launched: Launched,
        how: End,
        next: Next,
    ) -> Vec<SupervisorTask> {
        if launched.was_told || self.stopping {
            return Vec::new();
        }
        let Launched { name, pid, connected, failed_calls, .. } = launched;
        let death = Death { name, pid, how, next };
        match failed_calls {
            Some(failed) => death.tell(&failed),
            None if !connected => death.tell(&FailedCalls::default()),
            None => {
                self.untold.insert(launch, death);
                Vec::new()
            }
        }
    }

    /// Handles the permanent refusal of a container.
    pub fn hopeless(&mut self, launch: u64, reason: &str) -> Vec<SupervisorTask> {
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        launched.hopeless = true;
        let (function, generation) = (launched.function, launched.generation);
        let of_it = self.functions.get_mut(&function).and_then(|f| f.generation(generation));
        if of_it.is_none() {
            return Vec::new();
        }
        let failing = self.failing(function, generation, reason.to_owned());
        vec![SupervisorTask::Report { text: reason.to_owned() }, failing]
    }

    /// Handles a container that cannot be started, and could not be started later.
    pub fn cannot_start(&mut self, now: u64, launch: u64, error: String) -> Vec<SupervisorTask> {
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        // The reason is reported at once below. A report of the process's end would only repeat it.
        launched.was_told = true;
        let reason = format!("{} cannot be started: {error}", launched.name);
        let mut tasks = self.hopeless(launch, &reason);
        tasks.extend(self.ended(now, launch, End::NotStarted(error)));
        tasks
    }

    /// Makes another container due in the place of one that holds a stuck call and gets no new
    /// calls.
    pub fn replace(&mut self, now: u64, launch: u64) -> Vec<SupervisorTask> {
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        if std::mem::replace(&mut launched.replaced, true) {
            return Vec::new();
        }
        // The replacement is reported here, so the end of the container is not.
        launched.was_told = true;
        let Some(function) = self.functions.get_mut(&launched.function) else { return Vec::new() };
        let Some(containers) = function.generation(launched.generation) else { return Vec::new() };
        containers.due.push(Due { at: now, failures: 0, takes_over: None });
        function.history.count_restart(&End::Stuck);
        let (name, pid) = (launched.name.clone(), launched.pid);
        Death { name, pid, how: End::Stuck, next: Next::AtOnce }.tell(&FailedCalls::default())
    }

    /// Ends a container.
    pub fn end(&mut self, now: u64, launch: u64) -> Vec<SupervisorTask> {
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        launched.was_told = true;
        launched.terminate_at = None;
        launched.kill_at.get_or_insert(now + ns(TERM_GRACE));
        vec![SupervisorTask::Terminate { launch }]
    }

    /// Records that a container was asked to leave.
    pub fn leaves(&mut self, now: u64, launch: u64) {
        if let Some(launched) = self.launched.get_mut(&launch) {
            launched.was_told = true;
            launched.terminate_at = Some(now.saturating_add(ns(launched.stop_timeout)));
        }
    }

    /// Records that the core has lost a container, with which these calls failed. The rest of its
    /// processes are killed at once.
    pub fn gone(&mut self, launch: u64, failed: FailedCalls) -> Vec<SupervisorTask> {
        if let Some(death) = self.untold.remove(&launch) {
            return death.tell(&failed);
        }
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        launched.failed_calls = Some(failed);
        vec![SupervisorTask::Kill { launch }]
    }

    /// Handles the death of the launcher, with which every container has died: all are due again.
    pub fn launcher_died(&mut self, now: u64) -> Vec<SupervisorTask> {
        let mut tasks = Vec::new();
        let launched: Vec<(u64, Launched)> = self.launched.drain().collect();
        for (launch, launched) in launched {
            let Some(function) = self.functions.get_mut(&launched.function) else { continue };
            function.history.last_end = Some((End::LauncherDied, now));
            let is_over = launched.replaced || launched.hopeless || self.stopping;
            let mut next = Next::Nothing;
            if let Some(containers) = function.generation(launched.generation)
                && !is_over
            {
                let failures = launched.failures;
                containers.due.push(Due { at: now, failures, takes_over: None });
                function.history.count_restart(&End::LauncherDied);
                next = Next::AtOnce;
            }
            tasks.extend(self.tell(launch, launched, End::LauncherDied, next));
        }
        tasks
    }

    /// Starts no more containers. Containers that are connected have been asked to leave; the
    /// others are ended.
    pub fn stop(&mut self, now: u64) {
        self.stopping = true;
        for launched in self.launched.values_mut() {
            launched.start_by = None;
            let patience = if launched.connected { ns(launched.stop_timeout) } else { 0 };
            if launched.kill_at.is_none() && launched.terminate_at.is_none() {
                launched.terminate_at = Some(now.saturating_add(patience));
            }
        }
    }

    /// Ends the containers that still run.
    pub fn end_all(&mut self, now: u64) -> Vec<SupervisorTask> {
        let launches: Vec<u64> = self.launched.keys().copied().collect();
        launches.into_iter().flat_map(|launch| self.end(now, launch)).collect()
    }

    /// Returns the next number of Marsaglia's xorshift64. The numbers only have to differ from one
    /// another.
    fn noise(&mut self) -> u64 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        self.noise
    }
}

#[cfg(test)]
mod tests;
