//! Calls that a fault itself makes, to a function that must keep answering.

use crate::call::{Call, Task};
use crate::functions::Function;
use crate::ledger::{Finding, Ledger, first_id};
use crate::outcome::{ClientReport, Outcome, Summary, Times, receive};
use harness::Connection;
use nightcore_runtime::clock::now_ns;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The client number of these calls. No client process has it.
const PROBE: usize = 1002;
/// The size of a body. It is too small to go through shared memory.
const BODY_BYTES: u64 = 100;
/// The pause after a call that was not answered.
const PAUSE: Duration = Duration::from_millis(20);
/// The time within which a function whose process was killed answers again, whatever else happens:
/// the pauses before restarts are at most 10 s.
pub const AGAIN_WITHIN: Duration = Duration::from_secs(20);

/// Makes calls for a fault, and records findings.
pub struct Probe {
    pub address: SocketAddr,
    ledger: Arc<Mutex<Ledger>>,
    next: u64,
}

impl Probe {
    /// Creates the probe for the fault with this number, which no other fault has.
    pub fn new(address: SocketAddr, ledger: Arc<Mutex<Ledger>>, number: u64) -> Probe {
        Probe { address, ledger, next: first_id(PROBE, number) }
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("nobody panics with it")
    }

    /// Records a finding.
    pub fn find(&self, finding: Finding, text: &str) {
        self.ledger().find(finding, text);
    }

    /// Makes a call over a connection of its own. The ledger also records its outcome.
    pub fn call(&mut self, function: &Function) -> Outcome {
        let call = Call::to(self.next, &[function], Task::Nothing, 1, BODY_BYTES);
        self.next += 1;
        self.ledger().told(PROBE, ClientReport::Begins { id: call.id });
        let opened = now_ns();
        let (began, outcome) = match Connection::try_open(self.address) {
            Ok(mut connection) => {
                let _ = connection.send("POST", &call.path(), &[("route", "")], call.body());
                (now_ns(), receive(&mut connection, &call).outcome)
            }
            Err(error) => (opened, Outcome::Lost(error.to_string())),
        };
        let times = Times { opened, idle_since: opened, is_first: true, began, ended: now_ns() };
        let told = ClientReport::Ended {
            id: call.id,
            call: Summary::of(&call),
            times,
            outcome: outcome.clone(),
        };
        self.ledger().told(PROBE, told);
        if outcome != Outcome::Answered {
            std::thread::sleep(PAUSE);
        }
        outcome
    }

    /// Calls a function until it answers. Records a finding if it does not; `during` names the
    /// fault that keeps it from answering.
    pub fn until_answered(&mut self, function: &Function, during: &str) {
        let until = Instant::now() + AGAIN_WITHIN;
        loop {
            let outcome = self.call(function);
            if outcome == Outcome::Answered {
                return;
            }
            if Instant::now() >= until {
                let name = &function.name;
                let within = AGAIN_WITHIN.as_secs();
                let text = format!("{name} did not answer within {within} s {during}: {outcome:?}");
                return self.find(Finding::Hung, &text);
            }
        }
    }
}
