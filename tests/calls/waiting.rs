//! Tests how the engine waits for messages. A timer of its runtime would add 500 instructions to
//! every call, so the engine's periodic work uses timers of the kernel.

use harness::workers::c;
use harness::{Setup, process, wait_until};

#[test]
fn the_engine_waits_for_messages_without_a_timeout() {
    let recycled = "recycle = { calls = 1000000, memory = \"1GiB\", age = \"1d\" }";
    let engine = Setup::new().admin().function("Echo", &c(), recycled).start();
    assert_eq!(engine.text("Echo", "once"), "once");
    wait_until("the engine to wait", || process::waits_without_timeout(engine.pid()));
    engine.stop();
}
