//! The client processes. Each is restarted after it was killed.

use crate::client::Orders;
use crate::ledger::{Finding, Ledger, first_id};
use crate::outcome::ClientReport;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// The state that a client shares with the threads that supervise it.
struct Shared {
    /// The id of its process; 0 while there is none.
    pid: AtomicI32,
    stop: AtomicBool,
    /// Held open while the client is to continue.
    input: Mutex<Option<ChildStdin>>,
}

/// A client, which may be a succession of processes.
pub struct Client {
    shared: Arc<Shared>,
    keeper: JoinHandle<u64>,
}

impl Client {
    /// Starts the client with this number. `starts` is the number of processes that it has already
    /// had.
    pub fn start(number: usize, starts: u64, orders: Orders, ledger: Arc<Mutex<Ledger>>) -> Client {
        let shared = Arc::new(Shared {
            pid: AtomicI32::new(0),
            stop: AtomicBool::new(false),
            input: Mutex::new(None),
        });
        let kept = shared.clone();
        let keeper = std::thread::spawn(move || keep(number, starts, &kept, orders, &ledger));
        Client { shared, keeper }
    }

    /// Returns the id of its process, if there is one now.
    pub fn pid(&self) -> Option<i32> {
        Some(self.shared.pid.load(Ordering::Relaxed)).filter(|pid| *pid > 0)
    }

    /// Returns whether it has made all its calls, or was stopped.
    pub fn has_ended(&self) -> bool {
        self.keeper.is_finished()
    }

    /// Tells it to begin no more calls.
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.input.lock().expect("nobody panics with it").take();
    }

    /// Waits for its end, and returns the number of processes that it has had.
    pub fn join(self) -> u64 {
        self.keeper.join().expect("nobody panics here")
    }
}

fn keep(
    number: usize,
    mut starts: u64,
    shared: &Shared,
    mut orders: Orders,
    ledger: &Mutex<Ledger>,
) -> u64 {
    while orders.calls > 0 && !shared.stop.load(Ordering::Relaxed) {
        orders.first = first_id(number, starts);
        starts += 1;
        let mut child = spawn(&orders);
        let output = child.stdout.take().expect("it was asked for");
        *shared.input.lock().expect("nobody panics with it") = child.stdin.take();
        shared.pid.store(child.id() as i32, Ordering::Relaxed);
        if shared.stop.load(Ordering::Relaxed) {
            shared.input.lock().expect("nobody panics with it").take();
        }
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { break };
            let mut ledger = ledger.lock().expect("nobody panics with it");
            match ClientReport::from_line(&line) {
                Some(told) => {
                    orders.calls -= u64::from(matches!(told, ClientReport::Begins { .. }));
                    ledger.told(number, told);
                }
                None => ledger.find(Finding::Wrong, &format!("client {number} said {line:?}")),
            }
        }
        shared.pid.store(0, Ordering::Relaxed);
        let status = child.wait().expect("a child can be waited for");
        let mut ledger = ledger.lock().expect("nobody panics with it");
        match (status.success(), status.signal()) {
            (true, _) => return starts,
            (_, Some(libc::SIGKILL)) => ledger.client_killed(number),
            _ => ledger.find(Finding::Wrong, &format!("client {number} ended with {status}")),
        }
    }
    starts
}

fn spawn(orders: &Orders) -> Child {
    // The link leads to this program even if cargo has replaced the file at its path.
    let mut command = Command::new("/proc/self/exe");
    command.arg("client").args(orders.words()).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("a client can be started")
}
