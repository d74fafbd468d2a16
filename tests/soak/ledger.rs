//! The ledger: every call that began, and how it ended.

use crate::outcome::{ClientReport, Outcome, Summary, Times};
use crate::windows::{Windows, Without};
use nightcore_runtime::clock::now_ns;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The time after its deadline within which a call must end and its client must know it.
const SLACK_NS: u64 = 100_000_000;
/// The client number of requests with bodies that do not end. No client process has it.
pub const PARTS: usize = 1003;
/// The number of findings of each kind that are printed; further ones are only counted.
const MAX_TOLD: usize = 20;

/// The number of recent faults that are printed with each finding.
const RECENT: usize = 6;

/// A kind of finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// A call that did not end in time.
    Hung,
    /// A call that ran or ended twice.
    Twice,
    /// A call that ended in a way in which it must not end.
    Wrong,
    /// A resource of which there is more than before.
    LeftOver,
}

/// The ledger of a run.
#[derive(Default)]
pub struct Ledger {
    /// The times in which calls may be lost or late.
    pub windows: Windows,
    /// Whether every call must be answered from now on.
    pub calm: bool,
    /// The calls that have begun and not ended, with their clients.
    open: HashMap<u64, usize>,
    /// How often the last function of each call ran, by call and by the number in it.
    runs: HashMap<(u64, u16), u8>,
    /// The calls that were answered, and how often the last function of each is called.
    ran: Vec<(u64, u16)>,
    begun: u64,
    answered: u64,
    errors: BTreeMap<String, u64>,
    lost: u64,
    /// The calls whose connection was ended because it was idle, and how often their last function
    /// would have been called.
    ended_idle: Vec<(u64, u16)>,
    /// The number of incomplete bodies that were refused.
    parts_refused: u64,
    left: u64,
    faults: BTreeMap<&'static str, u64>,
    /// The last faults with their times.
    recent: VecDeque<(u64, String)>,
    findings: BTreeMap<Finding, u64>,
    latest_ms: u64,
}

impl Ledger {
    /// Returns the number of calls that have begun.
    pub fn begun(&self) -> u64 {
        self.begun
    }

    /// Returns the number of findings of a kind.
    pub fn count(&self, finding: Finding) -> u64 {
        self.findings.get(&finding).copied().unwrap_or(0)
    }

    /// Returns whether there are no findings.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    /// Records a finding.
    pub fn find(&mut self, finding: Finding, text: &str) {
        let count = self.findings.entry(finding).or_default();
        *count += 1;
        if *count as usize <= MAX_TOLD {
            let now = now_ns();
            let recent = self.recent.iter().rev();
            let recent =
                recent.map(|(at, fault)| format!("{} ms ago {fault}", (now - at) / 1_000_000));
            let recent: Vec<String> = recent.collect();
            println!("FAILED {finding:?}: {text}\n    last faults: {}", recent.join(", "));
        }
    }

    /// Records a fault and its victim.
    pub fn fault(&mut self, kind: &'static str, whom: &str) {
        *self.faults.entry(kind).or_default() += 1;
        self.recent.push_back((now_ns(), format!("{kind} {whom}")));
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    /// Records a client's report.
    pub fn told(&mut self, client: usize, told: ClientReport) {
        match told {
            ClientReport::Begins { id } => {
                self.begun += 1;
                if self.open.insert(id, client).is_some() {
                    self.find(Finding::Twice, &format!("call {id} began again"));
                }
            }
            ClientReport::Ended { id, call, times, outcome } => {
                if self.open.remove(&id).is_none() {
                    self.find(Finding::Twice, &format!("call {id} ended again, with {outcome:?}"));
                    return;
                }
                self.ended(client, id, &call, times, outcome);
            }
        }
    }

    fn ended(&mut self, client: usize, id: u64, call: &Summary, times: Times, outcome: Outcome) {
        let Times { opened, began, ended, .. } = times;
        let named = format!("call {id} to {}", call.way);
        let allowed = call.timeout_ms * 1_000_000 + self.windows.allowance(client, times);
        let over = (ended - began).saturating_sub(allowed);
        match outcome {
            Outcome::Answered => {
                self.answered += 1;
                self.ran.push((id, call.runs));
            }
            Outcome::Error(text) => {
                if self.calm {
                    self.find(
                        Finding::Wrong,
                        &format!("{named}: {text} while there were no faults"),
                    );
                }
                let name = text.split_once(" (").map_or(text.as_str(), |(name, _)| name);
                *self.errors.entry(name.to_owned()).or_default() += 1;
            }
            Outcome::Lost(_) if self.windows.may_be_lost(opened, ended) => {
                self.lost += 1;
                return;
            }
            Outcome::Lost(_) if self.windows.may_be_ended_idle(times) => {
                self.ended_idle.push((id, call.runs));
                return;
            }
            Outcome::Lost(text) => {
                self.find(
                    Finding::Wrong,
                    &format!("{named}: connection lost while the engine lived: {text}"),
                );
            }
            Outcome::Silent => return self.find(Finding::Hung, &format!("{named}: no answer")),
            Outcome::Wrong(text) => self.find(Finding::Wrong, &format!("{named}: {text}")),
        }
        self.latest_ms = self.latest_ms.max(over / 1_000_000);
        if over > SLACK_NS {
            let ms = over / 1_000_000;
            self.find(Finding::Hung, &format!("{named}: ended {ms} ms after its deadline"));
        }
    }

    /// Records that a client was killed: its calls under way are cancelled.
    pub fn client_killed(&mut self, client: usize) {
        let before = self.open.len();
        self.open.retain(|_, owner| *owner != client);
        self.left += (before - self.open.len()) as u64;
    }

    /// Records that a request with an incomplete body was refused.
    pub fn part_refused(&mut self) {
        self.parts_refused += 1;
    }

    /// Records that the last function of a call ran.
    pub fn ran(&mut self, id: u64, number: u16) {
        if id >= first_id(PARTS, 0) && id < first_id(PARTS + 1, 0) {
            self.find(Finding::Wrong, "a call ran whose body did not end");
        }
        let runs = self.runs.entry((id, number)).or_default();
        *runs = runs.saturating_add(1);
        if *runs == 2 {
            self.find(Finding::Twice, &format!("call {id} ran twice (number {number})"));
        }
    }

    /// Records, after all reports were read, the calls that never ended and the answers that no
    /// function gave.
    pub fn close(&mut self) {
        let open: Vec<u64> = self.open.drain().map(|(id, _)| id).collect();
        for id in open {
            self.find(Finding::Hung, &format!("call {id} never ended"));
        }
        for (id, runs) in self.ended_idle.clone() {
            if (0..runs).any(|number| self.runs.contains_key(&(id, number))) {
                self.find(Finding::Wrong, &format!("the connection of call {id} was lost in it"));
            }
        }
        for (id, runs) in std::mem::take(&mut self.ran) {
            if let Some(missing) = (0..runs).find(|number| !self.runs.contains_key(&(id, *number)))
            {
                self.find(
                    Finding::Wrong,
                    &format!("call {id} was answered, and never ran (number {missing})"),
                );
            }
        }
    }

    /// Prints the summary.
    pub fn print(&self) {
        println!();
        println!("answered                     {:>9}", self.answered);
        for (name, count) in &self.errors {
            println!("error {name:22} {count:>9}");
        }
        println!("engine dead, UNAVAILABLE     {:>9}", self.lost);
        println!("ended idle, before the call  {:>9}", self.ended_idle.len());
        println!("parts of bodies refused      {:>9}", self.parts_refused);
        println!("left by a killed client      {:>9}", self.left);
        println!("runs of last functions       {:>9}", self.runs.len());
        println!("latest after its deadline    {:>6} ms", self.latest_ms);
        for (kind, count) in &self.faults {
            println!("fault {kind:22} {count:>9}");
        }
    }
}

/// Returns the first id of a client's calls, in its process or fault with the number `start`. The
/// run's own calls have client numbers as well.
pub fn first_id(client: usize, start: u64) -> u64 {
    ((client as u64) << 48) | (start << 32)
}

impl Ledger {
    /// Begins a time in which calls may be lost or late.
    pub fn begin(&mut self, without: Without) {
        self.windows.begin(without, now_ns());
    }

    /// Ends such a time.
    pub fn end(&mut self, without: Without) {
        self.windows.end(without, now_ns());
    }
}
