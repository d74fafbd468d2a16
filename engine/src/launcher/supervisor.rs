//! Which containers are to run, and when one that ended is started again. Pure: time is an
//! argument.

use super::end::End;
use crate::config;
use crate::ids::{FunctionId, Generation};
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

/// Pause before a container is started again that ended soon after its start; doubled with each
/// such end in a row.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest such pause.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// A container that was ready for this long has not failed at its start: it is started again at
/// once.
const PROVEN_AFTER: Duration = Duration::from_millis(500);
/// So many ends in a row soon after the start are a crash loop: the function is declared
/// unavailable, though it is tried on.
const CRASH_LOOP: u32 = 3;
/// Time that a container has to leave by itself before SIGTERM.
const LEAVE_GRACE: Duration = Duration::from_secs(2);
/// Time between SIGTERM and SIGKILL of a container that is to end.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Start a container of this function, as this launch.
    Start {
        /// The launch's number.
        launch: u64,
        /// The function.
        function: FunctionId,
        /// Of which generation of its containers it is.
        generation: Generation,
        /// What it is started from.
        config: Rc<config::Function>,
    },
    /// Send SIGTERM to a container's process group.
    Terminate {
        /// The launch.
        launch: u64,
    },
    /// Send SIGKILL to a container's process group.
    Kill {
        /// The launch.
        launch: u64,
    },
    /// Say that containers of this generation do not come to be.
    Failing {
        /// The function.
        function: FunctionId,
        /// The generation of its containers.
        generation: Generation,
        /// Why.
        reason: String,
    },
}

/// What a person may want to know about a function's processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How often a container was started again, by [`End::reason`].
    pub restarts: BTreeMap<&'static str, u64>,
    /// How the last one that ended did, and when, ns.
    pub last_end: Option<(End, u64)>,
}

impl History {
    fn count_restart(&mut self, after: &End) {
        *self.restarts.entry(after.reason()).or_default() += 1;
    }
}

#[derive(Debug)]
struct Launched {
    function: FunctionId,
    generation: Generation,
    connected: bool,
    ready_at: Option<u64>,
    /// Nothing is to take its place: another one has, or its generation is over.
    replaced: bool,
    /// When SIGTERM follows what it was asked.
    terminate_at: Option<u64>,
    /// When SIGKILL follows the SIGTERM it was sent.
    kill_at: Option<u64>,
}

impl Launched {
    fn new(function: FunctionId, generation: Generation) -> Launched {
        Launched {
            function,
            generation,
            connected: false,
            ready_at: None,
            replaced: false,
            terminate_at: None,
            kill_at: None,
        }
    }
}

/// The containers of a function that are started from the same configuration and code.
#[derive(Debug)]
struct Containers {
    generation: Generation,
    config: Rc<config::Function>,
    /// Ends in a row soon after the start.
    failures: u32,
    /// Times at which containers are due.
    due: Vec<u64>,
    /// It was refused in a way that another start would not cure.
    hopeless: bool,
}

#[derive(Debug, Default)]
struct Function {
    /// The one that serves, and while a newer one is coming that one, too.
    generations: Vec<Containers>,
    history: History,
}

impl Function {
    fn generation(&mut self, generation: Generation) -> Option<&mut Containers> {
        self.generations.iter_mut().find(|containers| containers.generation == generation)
    }
}

/// The supervisor of all functions.
#[derive(Debug)]
pub struct Supervisor {
    functions: BTreeMap<FunctionId, Function>,
    launched: HashMap<u64, Launched>,
    last_launch: u64,
    /// Nothing is started any more.
    stopping: bool,
    /// Spreads restarts of many containers; any odd start will do.
    noise: u64,
}

fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

impl Supervisor {
    /// One without functions.
    pub fn new(now: u64) -> Supervisor {
        Supervisor {
            functions: BTreeMap::new(),
            launched: HashMap::new(),
            last_launch: 0,
            stopping: false,
            noise: now | 1,
        }
    }

    /// Containers of a new generation of this function are due now.
    pub fn begin(
        &mut self,
        now: u64,
        function: FunctionId,
        generation: Generation,
        config: Rc<config::Function>,
    ) {
        let due = vec![now; config.processes as usize];
        let containers = Containers { generation, config, failures: 0, due, hopeless: false };
        self.functions.entry(function).or_default().generations.push(containers);
    }

    /// The containers of these generations of a function are no longer started; those that have not
    /// connected yet are ended, the others end when the scheduler says so.
    pub fn retire(
        &mut self,
        now: u64,
        function: FunctionId,
        is_over: impl Fn(Generation) -> bool,
    ) -> Vec<Task> {
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

    /// What is known about a function's processes.
    pub fn history(&self, function: FunctionId) -> History {
        self.functions.get(&function).map(|function| function.history.clone()).unwrap_or_default()
    }

    /// Whether any container has been started and not ended.
    pub fn is_empty(&self) -> bool {
        self.launched.is_empty()
    }

    /// What is due.
    pub fn advance(&mut self, now: u64) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (id, function) in &mut self.functions {
            for containers in &mut function.generations {
                if self.stopping || containers.hopeless {
                    containers.due.clear();
                }
                let due = containers.due.extract_if(.., |at| *at <= now).count();
                for _ in 0..due {
                    self.last_launch += 1;
                    let (function, generation) = (*id, containers.generation);
                    let launched = Launched::new(function, generation);
                    self.launched.insert(self.last_launch, launched);
                    let (launch, config) = (self.last_launch, containers.config.clone());
                    tasks.push(Task::Start { launch, function, generation, config });
                }
            }
        }
        for (launch, launched) in &mut self.launched {
            if launched.terminate_at.is_some_and(|at| at <= now) {
                launched.terminate_at = None;
                launched.kill_at = Some(now + ns(TERM_GRACE));
                tasks.push(Task::Terminate { launch: *launch });
            }
            if launched.kill_at.is_some_and(|at| at <= now) {
                launched.kill_at = None;
                tasks.push(Task::Kill { launch: *launch });
            }
        }
        tasks
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<u64> {
        let generations = self.functions.values().flat_map(|function| &function.generations);
        let starts = generations.flat_map(|containers| containers.due.iter().copied());
        let ends = self.launched.values().flat_map(|l| [l.terminate_at, l.kill_at]).flatten();
        starts.chain(ends).min()
    }

    /// A container has connected.
    pub fn connected(&mut self, launch: u64) {
        if let Some(launched) = self.launched.get_mut(&launch) {
            launched.connected = true;
        }
    }

    /// A container's first worker is ready.
    pub fn ready(&mut self, now: u64, launch: u64) {
        if let Some(launched) = self.launched.get_mut(&launch) {
            launched.ready_at = Some(now);
        }
    }

    /// A container has ended, or could not be started.
    pub fn ended(&mut self, now: u64, launch: u64, how: End) -> Vec<Task> {
        let Some(launched) = self.launched.remove(&launch) else { return Vec::new() };
        let noise = self.noise();
        let Some(function) = self.functions.get_mut(&launched.function) else { return Vec::new() };
        let Function { generations, history } = function;
        let Some(containers) = generations.iter_mut().find(|c| c.generation == launched.generation)
        else {
            return Vec::new();
        };
        history.last_end = Some((how.clone(), now));
        if launched.replaced || containers.hopeless || self.stopping {
            return Vec::new();
        }
        history.count_restart(&how);
        if launched.ready_at.is_some_and(|at| now.saturating_sub(at) >= ns(PROVEN_AFTER)) {
            containers.failures = 0;
            containers.due.push(now);
            return Vec::new();
        }
        containers.failures += 1;
        let doubled = ns(FIRST_BACKOFF) << (containers.failures - 1).min(16);
        let pause = doubled.min(ns(MAX_BACKOFF));
        // Up to a quarter more, so that containers which fail together do not start together.
        containers.due.push(now + pause + noise % (pause / 4));
        let failures = containers.failures;
        if failures < CRASH_LOOP {
            return Vec::new();
        }
        let name = &containers.config.name;
        let reason = format!(
            "{name} ended {failures} times soon after its start, last by {how}; see `nightcore logs {name}`"
        );
        let Launched { function, generation, .. } = launched;
        vec![Task::Failing { function, generation, reason }]
    }

    /// A container was refused, and would be again.
    pub fn hopeless(&mut self, launch: u64, reason: &str) -> Vec<Task> {
        let Some(launched) = self.launched.get(&launch) else { return Vec::new() };
        let Launched { function, generation, .. } = *launched;
        let Some(containers) =
            self.functions.get_mut(&function).and_then(|f| f.generation(generation))
        else {
            return Vec::new();
        };
        containers.hopeless = true;
        vec![Task::Failing { function, generation, reason: reason.to_owned() }]
    }

    /// A container holds a stuck call and gets no new ones: another one is due in its place.
    pub fn replace(&mut self, now: u64, launch: u64) {
        if let Some(launched) = self.launched.get_mut(&launch)
            && !std::mem::replace(&mut launched.replaced, true)
        {
            let function = self.functions.get_mut(&launched.function);
            if let Some(containers) = function.and_then(|f| f.generation(launched.generation)) {
                containers.due.push(now);
            }
        }
    }

    /// A container is to end.
    pub fn end(&mut self, now: u64, launch: u64) -> Vec<Task> {
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        launched.kill_at = Some(now + ns(TERM_GRACE));
        vec![Task::Terminate { launch }]
    }

    /// A container was asked to leave.
    pub fn leaves(&mut self, now: u64, launch: u64) {
        if let Some(launched) = self.launched.get_mut(&launch) {
            launched.terminate_at = Some(now + ns(LEAVE_GRACE));
        }
    }

    /// What is left of a container is to end at once.
    pub fn gone(&mut self, launch: u64) -> Vec<Task> {
        if self.launched.contains_key(&launch) { vec![Task::Kill { launch }] } else { Vec::new() }
    }

    /// The launcher has died, and every container with it: all are due again.
    pub fn launcher_died(&mut self, now: u64) {
        for (_, launched) in self.launched.drain() {
            let Some(function) = self.functions.get_mut(&launched.function) else { continue };
            function.history.last_end = Some((End::LauncherDied, now));
            if launched.replaced || self.stopping {
                continue;
            }
            if let Some(containers) =
                function.generation(launched.generation).filter(|c| !c.hopeless)
            {
                containers.due.push(now);
                function.history.count_restart(&End::LauncherDied);
            }
        }
    }

    /// Starts nothing any more.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Ends what still runs.
    pub fn end_all(&mut self, now: u64) -> Vec<Task> {
        let launches: Vec<u64> = self.launched.keys().copied().collect();
        launches.into_iter().flat_map(|launch| self.end(now, launch)).collect()
    }

    /// Marsaglia's xorshift64; it only has to differ from time to time.
    fn noise(&mut self) -> u64 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 7;
        self.noise ^= self.noise << 17;
        self.noise
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    const FOO: FunctionId = FunctionId::new(1).unwrap();
    const FIRST: Generation = Generation::FIRST;

    fn config(processes: u32) -> Rc<config::Function> {
        let text = format!("[functions.Foo]\ncommand = [\"sh\"]\nprocesses = {processes}\n");
        let config = config::Config::parse(&text, std::path::Path::new("nightcore.toml")).unwrap();
        Rc::new(config.functions[0].clone())
    }

    fn one(processes: u32) -> Supervisor {
        let mut supervisor = Supervisor::new(1);
        supervisor.begin(0, FOO, FIRST, config(processes));
        supervisor
    }

    fn started(tasks: &[Task]) -> Vec<u64> {
        let launch = |task: &Task| match task {
            Task::Start { launch, .. } => Some(*launch),
            _ => None,
        };
        tasks.iter().filter_map(launch).collect()
    }

    #[test]
    fn a_proven_container_comes_back_at_once_and_a_failing_one_ever_later() {
        let mut supervisor = one(1);
        assert_eq!(started(&supervisor.advance(0)), [1]);
        supervisor.ready(0, 1);
        assert!(supervisor.ended(SECOND, 1, End::killed("SIGKILL")).is_empty());
        assert_eq!(started(&supervisor.advance(SECOND)), [2]);
        let history = supervisor.history(FOO);
        assert_eq!(history.last_end, Some((End::killed("SIGKILL"), SECOND)));
        assert_eq!(history.restarts, BTreeMap::from([("signal", 1)]));

        let (mut now, mut launch, mut pauses) = (SECOND, 2, Vec::new());
        for _ in 0..12 {
            supervisor.ended(now, launch, End::Exited(1));
            let due = supervisor.next_due().unwrap();
            pauses.push(due - now);
            assert!(supervisor.advance(due - 1).is_empty());
            now = due;
            launch = started(&supervisor.advance(now))[0];
        }
        assert!(pauses[0] >= SECOND / 10 && pauses[0] < SECOND / 7);
        assert!(pauses.windows(2).take(6).all(|pair| pair[1] > pair[0]));
        assert!(*pauses.last().unwrap() <= 10 * SECOND + 10 * SECOND / 4);
    }

    #[test]
    fn a_crash_loop_is_told_and_tried_on() {
        let mut supervisor = one(1);
        let mut told = Vec::new();
        for _ in 0..3 {
            let now = supervisor.next_due().unwrap();
            let launch = started(&supervisor.advance(now))[0];
            told = supervisor.ended(now, launch, End::Exited(1));
        }
        let [Task::Failing { reason, .. }] = &told[..] else { panic!("{told:?}") };
        assert!(reason.contains("3 times") && reason.contains("exit code 1"), "{reason}");
        assert!(supervisor.next_due().is_some());
    }

    #[test]
    fn what_is_hopeless_is_not_tried_again() {
        let mut supervisor = one(2);
        supervisor.advance(0);
        assert!(matches!(&supervisor.hopeless(1, "no handler")[..], [Task::Failing { .. }]));
        supervisor.ended(0, 1, End::Exited(2));
        assert_eq!(supervisor.next_due(), None);
    }

    #[test]
    fn a_stuck_container_is_replaced_and_then_ended() {
        let mut supervisor = one(1);
        supervisor.advance(0);
        supervisor.ready(0, 1);
        supervisor.replace(5, 1);
        supervisor.replace(6, 1);
        assert_eq!(started(&supervisor.advance(6)), [2]);
        assert_eq!(supervisor.end(7, 1), [Task::Terminate { launch: 1 }]);
        let kill = supervisor.next_due().unwrap();
        assert_eq!(supervisor.advance(kill), [Task::Kill { launch: 1 }]);
        supervisor.ended(kill, 1, End::killed("SIGKILL"));
        assert_eq!(supervisor.next_due(), None);
    }

    #[test]
    fn all_come_back_when_the_launcher_died_and_none_after_a_stop() {
        let mut supervisor = one(3);
        supervisor.advance(0);
        supervisor.launcher_died(1);
        assert_eq!(started(&supervisor.advance(1)).len(), 3);
        supervisor.stop();
        assert_eq!(supervisor.end_all(2).len(), 3);
        supervisor.launcher_died(3);
        assert!(supervisor.advance(4).is_empty() && supervisor.is_empty());
    }

    #[test]
    fn a_generation_that_is_over_is_not_started_again_and_the_others_are() {
        let mut supervisor = one(1);
        supervisor.advance(0);
        supervisor.connected(1);
        let second = FIRST.next();
        supervisor.begin(1, FOO, second, config(2));
        assert_eq!(started(&supervisor.advance(1)), [2, 3]);
        // The second one has not connected when the third begins: it is ended, the first one is
        // kept up.
        assert_eq!(supervisor.retire(2, FOO, |generation| generation == second).len(), 2);
        supervisor.begin(2, FOO, second.next(), config(1));
        for launch in [2, 3] {
            assert!(supervisor.ended(3, launch, End::killed("SIGTERM")).is_empty());
        }
        supervisor.ready(0, 1);
        supervisor.ended(SECOND, 1, End::Exited(1));
        assert_eq!(started(&supervisor.advance(SECOND)).len(), 2);
        assert!(supervisor.retire(SECOND, FOO, |_| true).len() == 2);
        assert_eq!(supervisor.next_due(), Some(SECOND + ns(TERM_GRACE)));
    }
}
