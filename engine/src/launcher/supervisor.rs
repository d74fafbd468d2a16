//! Which containers are to run, and when one that ended is started again. Pure: time is an argument.

use crate::config;
use std::collections::HashMap;
use std::time::Duration;

/// Pause before a container is started again that ended soon after its start; doubled with each such end in a row.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);
/// The longest such pause.
const MAX_BACKOFF: Duration = Duration::from_secs(10);
/// A container that was ready for this long has not failed at its start: it is started again at once.
const PROVEN_AFTER: Duration = Duration::from_millis(500);
/// So many ends in a row soon after the start are a crash loop: the function is declared unavailable, though it is
/// tried on.
const CRASH_LOOP: u32 = 3;
/// Time between SIGTERM and SIGKILL of a container that is to end.
const TERM_GRACE: Duration = Duration::from_secs(2);

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Start a container of the function with this index, as this launch.
    Start {
        /// The launch's number.
        launch: u64,
        /// Index of the function in the configuration.
        function: usize,
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
    /// Say that a function cannot be called now.
    Unavailable {
        /// Index of the function in the configuration.
        function: usize,
        /// Why.
        reason: String,
    },
}

/// What a person may want to know about a function's processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// How often a container was started again.
    pub restarts: u64,
    /// How the last one ended.
    pub last_end: Option<String>,
}

#[derive(Debug)]
struct Launched {
    function: usize,
    ready_at: Option<u64>,
    /// Another one has taken its place.
    replaced: bool,
    /// When SIGKILL follows the SIGTERM it was sent.
    kill_at: Option<u64>,
}

#[derive(Debug, Default)]
struct Function {
    name: String,
    /// Ends in a row soon after the start.
    failures: u32,
    /// Times at which containers are due.
    due: Vec<u64>,
    /// It was refused in a way that another start would not cure.
    hopeless: bool,
    history: History,
}

/// The supervisor of all functions.
#[derive(Debug, Default)]
pub struct Supervisor {
    functions: Vec<Function>,
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
    /// All containers of these functions are due now.
    pub fn new(functions: &[config::Function], now: u64) -> Supervisor {
        let of = |f: &config::Function| Function {
            name: f.name.clone(),
            due: vec![now; f.processes as usize],
            ..Function::default()
        };
        Supervisor { functions: functions.iter().map(of).collect(), noise: now | 1, ..Supervisor::default() }
    }

    /// What is known about a function's processes.
    pub fn history(&self, function: usize) -> &History {
        &self.functions[function].history
    }

    /// Whether any container has been started and not ended.
    pub fn is_empty(&self) -> bool {
        self.launched.is_empty()
    }

    /// What is due.
    pub fn advance(&mut self, now: u64) -> Vec<Task> {
        let mut tasks = Vec::new();
        for (index, function) in self.functions.iter_mut().enumerate() {
            if self.stopping || function.hopeless {
                function.due.clear();
            }
            let before = function.due.len();
            function.due.retain(|at| *at > now);
            for _ in function.due.len()..before {
                self.last_launch += 1;
                let launched = Launched { function: index, ready_at: None, replaced: false, kill_at: None };
                self.launched.insert(self.last_launch, launched);
                tasks.push(Task::Start { launch: self.last_launch, function: index });
            }
        }
        for (launch, launched) in &mut self.launched {
            if launched.kill_at.is_some_and(|at| at <= now) {
                launched.kill_at = None;
                tasks.push(Task::Kill { launch: *launch });
            }
        }
        tasks
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<u64> {
        let starts = self.functions.iter().flat_map(|f| f.due.iter().copied());
        starts.chain(self.launched.values().filter_map(|l| l.kill_at)).min()
    }

    /// A container's first worker is ready.
    pub fn ready(&mut self, now: u64, launch: u64) {
        if let Some(launched) = self.launched.get_mut(&launch) {
            launched.ready_at = Some(now);
        }
    }

    /// A container has ended, or could not be started.
    pub fn ended(&mut self, now: u64, launch: u64, how: &str) -> Vec<Task> {
        let Some(launched) = self.launched.remove(&launch) else { return Vec::new() };
        let noise = self.noise();
        let function = &mut self.functions[launched.function];
        function.history.last_end = Some(how.to_owned());
        if launched.replaced || function.hopeless || self.stopping {
            return Vec::new();
        }
        function.history.restarts += 1;
        if launched.ready_at.is_some_and(|at| now.saturating_sub(at) >= ns(PROVEN_AFTER)) {
            function.failures = 0;
            function.due.push(now);
            return Vec::new();
        }
        function.failures += 1;
        let doubled = ns(FIRST_BACKOFF) << (function.failures - 1).min(16);
        let pause = doubled.min(ns(MAX_BACKOFF));
        // Up to a quarter more, so that containers which fail together do not start together.
        function.due.push(now + pause + noise % (pause / 4));
        let failures = function.failures;
        if failures < CRASH_LOOP {
            return Vec::new();
        }
        let name = &function.name;
        let reason = format!(
            "{name} ended {failures} times soon after its start, last by {how}; see `nightcore logs {name}`"
        );
        vec![Task::Unavailable { function: launched.function, reason }]
    }

    /// A container was refused, and would be again.
    pub fn hopeless(&mut self, launch: u64, reason: &str) -> Vec<Task> {
        let Some(launched) = self.launched.get(&launch) else { return Vec::new() };
        let function = launched.function;
        self.functions[function].hopeless = true;
        vec![Task::Unavailable { function, reason: reason.to_owned() }]
    }

    /// A container holds a stuck call and gets no new ones: another one is due in its place.
    pub fn replace(&mut self, now: u64, launch: u64) {
        if let Some(launched) = self.launched.get_mut(&launch)
            && !std::mem::replace(&mut launched.replaced, true)
        {
            self.functions[launched.function].due.push(now);
        }
    }

    /// A container is to end.
    pub fn end(&mut self, now: u64, launch: u64) -> Vec<Task> {
        let Some(launched) = self.launched.get_mut(&launch) else { return Vec::new() };
        launched.kill_at = Some(now + ns(TERM_GRACE));
        vec![Task::Terminate { launch }]
    }

    /// What is left of a container is to end at once.
    pub fn gone(&mut self, launch: u64) -> Vec<Task> {
        if self.launched.contains_key(&launch) { vec![Task::Kill { launch }] } else { Vec::new() }
    }

    /// The launcher has died, and every container with it: all are due again.
    pub fn launcher_died(&mut self, now: u64) {
        for (_, launched) in self.launched.drain() {
            let function = &mut self.functions[launched.function];
            function.history.last_end = Some("the launcher died".into());
            if !launched.replaced && !function.hopeless && !self.stopping {
                function.history.restarts += 1;
                function.due.push(now);
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

    fn one(processes: usize) -> Supervisor {
        let function = Function { name: "Foo".into(), due: vec![0; processes], ..Function::default() };
        Supervisor { functions: vec![function], noise: 1, ..Supervisor::default() }
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
        assert!(supervisor.ended(SECOND, 1, "signal SIGKILL").is_empty());
        assert_eq!(started(&supervisor.advance(SECOND)), [2]);

        let (mut now, mut launch, mut pauses) = (SECOND, 2, Vec::new());
        for _ in 0..12 {
            supervisor.ended(now, launch, "exit code 1");
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
            told = supervisor.ended(now, launch, "exit code 1");
        }
        let [Task::Unavailable { reason, .. }] = &told[..] else { panic!("{told:?}") };
        assert!(reason.contains("3 times") && reason.contains("exit code 1"), "{reason}");
        assert!(supervisor.next_due().is_some());
    }

    #[test]
    fn what_is_hopeless_is_not_tried_again() {
        let mut supervisor = one(2);
        supervisor.advance(0);
        assert!(matches!(&supervisor.hopeless(1, "no handler")[..], [Task::Unavailable { .. }]));
        supervisor.ended(0, 1, "exit code 2");
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
        supervisor.ended(kill, 1, "signal SIGKILL");
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
}
