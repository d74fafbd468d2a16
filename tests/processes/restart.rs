//! Tests that an engine that is killed under a supervisor serves again at once.

use harness::process;
use harness::workers::c;
use harness::{Connection, Setup, repository, wait_until};
use nix::sys::signal::Signal;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

const FUNCTIONS: usize = 20;
const KILLS: usize = 10;
/// Ten times the time that a restart takes on an idle machine.
const SERVES_WITHIN: Duration = Duration::from_secs(2);

/// Returns the time that the unit's supervisor waits before it restarts the engine.
fn restart_pause() -> Duration {
    let unit = std::fs::read_to_string(repository().join("deploy/nightcore.service")).unwrap();
    let line =
        unit.lines().find_map(|line| line.strip_prefix("RestartSec=")).expect("the unit says it");
    Duration::from_millis(line.strip_suffix("ms").expect("in ms").parse().unwrap())
}

#[test]
fn a_killed_engine_serves_all_functions_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let names: Vec<String> = (1..=FUNCTIONS).map(|number| format!("Echo{number}")).collect();
    let setup = names
        .iter()
        .fold(Setup::new().gateway(&format!("listen = \"{address}\"")), |setup, name| {
            setup.function(name, &c(), &format!("env = {{ ALSO = \"{name}\" }}"))
        });
    let home = setup.home();
    let mut engine = home.start();
    let mut took = Vec::new();
    for _ in 0..KILLS {
        let containers = names.iter().map(|name| engine.container(name)).collect::<Vec<_>>();
        let killed = Instant::now();
        process::signal(engine.pid(), Signal::SIGKILL);
        std::thread::sleep(restart_pause());
        engine = home.start();
        for name in &names {
            let mut connection = Connection::open(address);
            assert_eq!(connection.call(name, name.as_bytes()).text(), *name);
        }
        took.push(killed.elapsed());
        wait_until("the old processes to be gone", || {
            containers.iter().all(|pid| !process::is_alive(*pid))
        });
    }
    engine.stop();
    took.sort_unstable();
    let longest = took[KILLS - 1];
    println!(
        "restart: {KILLS} kills of an engine with {FUNCTIONS} functions: all serve again after \
         {:?}, at most {longest:?}",
        took[KILLS / 2]
    );
    assert!(longest < SERVES_WITHIN, "{longest:?}");
}

#[test]
fn a_service_manager_is_told() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let path = home.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let engine = home.start_under("env", &[format!("NOTIFY_SOCKET={}", path.display())]);
    let told = || {
        let mut bytes = [0; 4096];
        let len = manager.recv(&mut bytes).expect("the manager is told something");
        String::from_utf8(bytes[..len].to_vec()).unwrap()
    };
    let address = engine.address();
    assert_eq!(told(), format!("READY=1\nSTATUS=listening on http://{address}"));
    assert_eq!(told(), format!("STATUS={}", engine.ready_line()));
    engine.terminate();
    assert_eq!(told(), "STOPPING=1");
    engine.wait_for_end();
}
