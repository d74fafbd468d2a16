//! A fault: more calls to a stopped container than its channels have room for.

use crate::call::{Call, Task};
use crate::functions::Function;
use crate::ledger::{Ledger, first_id};
use crate::outcome::{ClientReport, Summary, Times, receive};
use harness::{Connection, process};
use nightcore_runtime::clock::now_ns;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// The number of calls in a flood. An event loop takes them all at once, and a ring has room for a
/// dozen of them.
const CALLS: u64 = 150;
/// The size of a body: nearly as much as a message carries.
const BODY_BYTES: u64 = 800;
/// The client number of these calls. No client process has it.
pub const FLOOD: usize = 1000;

/// Stops the container, calls its function, lets the container continue after a while, and reads
/// the answers.
pub fn run(
    pid: i32,
    function: &Function,
    stopped: Duration,
    address: SocketAddr,
    number: u64,
    ledger: &Mutex<Ledger>,
) {
    process::signal(pid, nix::sys::signal::Signal::SIGSTOP);
    let tell = |told| ledger.lock().expect("nobody panics with it").told(FLOOD, told);
    std::thread::scope(|scope| {
        for index in 0..CALLS {
            let call = Call::to(
                first_id(FLOOD, number) + index,
                &[function],
                Task::Nothing,
                1,
                BODY_BYTES,
            );
            let opened = now_ns();
            let Ok(mut connection) = Connection::try_open(address) else { break };
            tell(ClientReport::Begins { id: call.id });
            let _ = connection.send("POST", &call.path(), &[("route", "")], call.body());
            let began = now_ns();
            // Each call has a thread: a late call must not delay noticing the end of the next one.
            scope.spawn(move || {
                let outcome = receive(&mut connection, &call).outcome;
                let times =
                    Times { opened, idle_since: opened, is_first: true, began, ended: now_ns() };
                tell(ClientReport::Ended { id: call.id, call: Summary::of(&call), times, outcome });
            });
        }
        std::thread::sleep(stopped);
        process::thaw(pid);
    });
}
