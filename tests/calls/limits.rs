//! Tests that limits are large, and that a call that reaches one gets an error.

use harness::process::descriptors;
use harness::workers::c;
use harness::{
    Connection, Engine, Setup, allow_many_descriptors, limit_process, pattern, process, wait_until,
};
use nix::sys::signal::Signal;
use std::fs;
use std::path::Path;

#[test]
fn there_may_be_hundreds_of_functions() {
    const FUNCTIONS: usize = 300;
    let names: Vec<String> = (0..FUNCTIONS).map(|number| format!("Function{number}")).collect();
    let mut setup = Setup::new().functions(&["Call"], &c());
    for name in &names {
        setup = setup.function(name, &c(), &format!("env = {{ ALSO = \"{name}\" }}"));
    }
    let engine = setup.start();
    let mut client = engine.connect();
    for name in &names {
        assert_eq!(client.call("Call", format!("{name}\n{name}").as_bytes()).text(), *name);
    }
    let internal = engine.status().functions.iter().map(|function| function.internal).sum::<u64>();
    assert_eq!(internal as usize, FUNCTIONS);
    engine.stop();
}

#[test]
fn a_name_may_be_as_long_as_a_label() {
    let name = format!("N-{}", "x".repeat(61));
    let engine = Setup::new()
        .function(&name, &c(), &format!("env = {{ ALSO = \"{name}\" }}"))
        .functions(&["Call", "TryCall"], &c())
        .start();
    assert_eq!(engine.text("Call", format!("{name}\nlong")), "long");
    let told = engine.text("TryCall", format!("{name}x\n"));
    assert!(told.starts_with("NOT_FOUND\n"), "{told}");
    engine.stop();
}

#[test]
fn many_large_payloads_are_under_way_at_once() {
    let engine = Setup::new()
        .function("Echo", &c(), "queue = { bytes = \"256MiB\" }")
        .functions(&["FanOut"], &c())
        .start();
    // The payloads are far larger than the first region of shared memory.
    let body = "x".repeat(200_000);
    assert_eq!(engine.text("FanOut", format!("Echo 400\n{body}")), "400");
    let mut clients: Vec<_> = (0..12).map(|_| engine.connect()).collect();
    let large = pattern(5 << 20);
    std::thread::scope(|scope| {
        for client in &mut clients {
            scope.spawn(|| assert!(client.call("Echo", &large).body == large));
        }
    });
    engine.stop();
}

#[test]
fn a_queue_of_too_many_bytes_refuses() {
    let engine = Setup::new()
        .function("Sleep", &c(), "workers = { max = 1 }\nqueue = { bytes = \"1KiB\" }")
        .start();
    let mut clients: Vec<_> = (0..2).map(|_| engine.connect()).collect();
    // The first call runs until the other one waits.
    let times = ["3000", "1"];
    for (already, client) in clients.iter_mut().enumerate() {
        client.send("POST", "/function/Sleep", &[], times[already].as_bytes()).unwrap();
        wait_until("the call to be taken", || {
            let sleep = engine.function("Sleep");
            (sleep.queued + sleep.running) as usize == already + 1
        });
    }
    let refused = engine.call("Sleep", "0".repeat(1024));
    assert_eq!((refused.status, refused.problem().error.as_str()), (503, "OVERLOADED"));
    for (client, time) in clients.iter_mut().zip(times) {
        assert_eq!(client.receive().unwrap().text(), format!("slept {time}"));
    }
    engine.stop();
}

#[test]
fn an_engine_takes_as_many_descriptors_as_it_may_and_gives_its_functions_the_user_s_share() {
    const SOFT: usize = 128;
    allow_many_descriptors();
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let limited = format!("ulimit -Sn {SOFT} && exec \"$@\"");
    let engine = home.start_under("sh", &["-c", &limited, "sh"]);
    let mut clients: Vec<_> = (0..2 * SOFT).map(|_| engine.connect()).collect();
    for client in &mut clients {
        assert_eq!(client.call("Echo", b"x").text(), "x");
    }
    assert!(descriptors(engine.pid()).len() > 2 * SOFT);
    let container = engine.container("Echo");
    let limits = fs::read_to_string(format!("/proc/{container}/limits")).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(files.split_ascii_whitespace().nth(3), Some("128"), "{files}");
    engine.stop();
}

/// Starts `nightcore up` under a limit of the shell's `ulimit`.
const UNDER: &str = "ulimit \"$0\" \"$1\" && shift && exec \"$@\"";

#[test]
fn a_limit_of_file_sizes_ends_nothing() {
    // The unit is 512 bytes. The limit is above the first region of shared memory and below the
    // body.
    const BLOCKS: &str = "40960";
    let home = Setup::new().functions(&["Echo", "PrintLong"], &c()).home();
    let engine = home.start_under("sh", &["-c", UNDER, "-f", BLOCKS]);
    let refused = engine.call("Echo", pattern(30 << 20));
    assert_eq!((refused.status, refused.problem().error.as_str()), (503, "OVERLOADED"));
    assert_eq!(engine.text("Echo", "small"), "small");
    let container = engine.container("Echo");
    process::signal(container, Signal::SIGKILL);
    wait_until("another process", || engine.call("Echo", "on").status == 200);
    engine.stop();
}

#[test]
fn a_limit_of_file_sizes_below_what_functions_need_is_told() {
    let home = Setup::new().functions(&["Echo"], &c()).home();
    let engine = home.start_under("sh", &["-c", UNDER, "-f", "2000"]);
    assert!(engine.ready_line().contains("failed: Echo"), "{}", engine.ready_line());
    let said = engine.stderr();
    assert!(said.contains("the engine cannot make shared memory: File too large"), "{said}");
    let health = engine.connect().request("GET", "/healthz", &[], b"");
    assert_eq!(health.status, 200);
    engine.stop();
}

#[test]
fn an_engine_that_gets_no_thread_goes_on() {
    let engine = Setup::new().functions(&["Echo"], &c()).admin().start();
    let status = fs::read_to_string(format!("/proc/{}/status", engine.pid())).unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    let size: u64 = size.trim().trim_end_matches(" kB").parse().unwrap();
    // This leaves less memory than the stack of a thread needs.
    limit_process(engine.pid(), libc::RLIMIT_AS, (size + 1024) * 1024);
    assert!(engine.metrics_page().contains("nightcore_available"));
    let reload = engine.nightcore("reload", &[]);
    assert_eq!(reload.text().trim(), "nothing has changed", "{}", reload.stderr);
    assert_eq!(engine.text("Echo", "on"), "on");
    engine.stop();
}

#[test]
fn idle_clients_keep_no_worker_from_being_created() {
    const CLIENTS: usize = 200;
    allow_many_descriptors();
    let home = Setup::new().functions(&["Echo", "Sleep"], &c()).home();
    let engine = home.start_under("sh", &["-c", UNDER, "-n", "72"]);
    // One client has a call under way, and keeps its connection.
    let mut busy = engine.connect();
    busy.send("POST", "/function/Sleep", &[], b"1500").unwrap();
    wait_until("the call to run", || engine.function("Sleep").running == 1);
    let mut idle: Vec<Connection> = (0..CLIENTS).map(|_| engine.connect()).collect();
    let before = engine.container("Echo");
    process::signal(before, Signal::SIGKILL);
    wait_until("another process of Echo to serve", || engine.call("Echo", "on").status == 200);
    assert_ne!(engine.container("Echo"), before);
    assert_eq!(busy.receive().unwrap().text(), "slept 1500");
    // The connections that have been idle for the longest time were closed.
    assert!(idle[0].is_closed());
    assert_eq!(idle.last_mut().unwrap().call("Echo", b"last").text(), "last");
    drop(idle);
    assert_eq!(engine.text("Echo", "after"), "after");
    engine.stop();
}

#[test]
fn a_connection_that_takes_the_last_descriptor_is_answered() {
    let engine = Setup::new().functions(&["Echo", "Sleep"], &c()).start();
    let target = |fd: u64| fs::read_link(format!("/proc/{}/fd/{fd}", engine.pid())).ok();
    let first_free = || (0..).find(|fd| target(*fd).is_none()).unwrap();
    // The descriptors that the engine keeps for its own work must stay below the limit. Clients
    // with calls under way take the free ones before them.
    let is_kept = |fd: &u64| target(*fd).is_some_and(|path| path == Path::new("/dev/null"));
    let last_kept = (0..200).filter(is_kept).max().unwrap();
    let mut busy = Vec::new();
    while first_free() < last_kept {
        let mut client = engine.connect();
        client.send("POST", "/function/Sleep", &[], b"20000").unwrap();
        busy.push(client);
        wait_until("the call to run", || engine.function("Sleep").running as usize == busy.len());
    }
    limit_process(engine.pid(), libc::RLIMIT_NOFILE, first_free() + 1);
    for _ in 0..20 {
        assert_eq!(engine.function("Echo").running, 0);
        assert_eq!(engine.text("Echo", "on"), "on");
    }
    drop(busy);
    engine.stop();
}

/// The number of clients that an engine with 64 descriptors has room for.
const ROOM: usize = 36;

fn with_little_room() -> Engine {
    let home = Setup::new().functions(&["Echo", "Big"], &c()).home();
    home.start_under("sh", &["-c", UNDER, "-n", "72"])
}

#[test]
fn a_new_client_waits_while_all_others_have_a_request_under_way() {
    const HEAD: &[u8] = b"POST /function/Echo HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\n\
        content-length: 5\r\n\r\n";
    let engine = with_little_room();
    let mut busy: Vec<Connection> = (0..ROOM).map(|_| engine.connect()).collect();
    for client in &mut busy {
        client.write(HEAD).unwrap();
        assert_eq!(client.receive_head().unwrap().status, 100);
    }
    let mut new = engine.connect();
    new.send("POST", "/function/Echo", &[], b"new").unwrap();
    wait_until("it to be accepted", || engine.connections() == ROOM + 1);
    for client in &mut busy {
        client.write(b"hello").unwrap();
        assert_eq!(client.receive().unwrap().text(), "hello");
    }
    assert_eq!(new.receive().unwrap().text(), "new");
    engine.stop();
}

#[test]
fn an_answer_that_its_client_still_takes_is_not_cut_for_another_client() {
    const BYTES: usize = 30 << 20;
    let engine = with_little_room();
    let mut slow = engine.connect();
    slow.send("POST", "/function/Big", &[], BYTES.to_string().as_bytes()).unwrap();
    // The body of the answer is being written, too.
    let head = slow.receive_head().unwrap();
    assert_eq!(head.header("content-length"), Some(BYTES.to_string().as_str()));
    let mut others: Vec<Connection> = (0..2 * ROOM).map(|_| engine.connect()).collect();
    assert!(others[0].is_closed(), "it has been idle for the longest time");
    assert_eq!(slow.receive_body(BYTES).unwrap().len(), BYTES);
    engine.stop();
}
