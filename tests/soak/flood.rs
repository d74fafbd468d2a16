//! More calls to a stopped container than its channels have room for.

use crate::call::{Call, Task};
use crate::functions::Function;
use crate::ledger::{Ledger, first_id};
use crate::outcome::{Summary, Times, Told, receive};
use harness::{Connection, process};
use nightcore_runtime::clock::now_ns;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

/// Calls of a flood: an event loop takes them all at once, and a ring has room for a dozen of them.
const CALLS: u64 = 150;
/// Nearly as much as a message carries.
const BODY_BYTES: u64 = 800;
/// Not the number of a client.
pub const FLOOD: usize = 1000;

/// Stops the container, calls its function, lets it go on after a while, and takes the answers.
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
            tell(Told::Begins { id: call.id });
            let _ = connection.send("POST", &call.path(), &[("route", "")], call.body());
            let began = now_ns();
            // Each has a thread: a call that may be late must not hide when the next one ended.
            scope.spawn(move || {
                let outcome = receive(&mut connection, &call).outcome;
                let times =
                    Times { opened, idle_since: opened, is_first: true, began, ended: now_ns() };
                tell(Told::Ended { id: call.id, call: Summary::of(&call), times, outcome });
            });
        }
        std::thread::sleep(stopped);
        process::thaw(pid);
    });
}
