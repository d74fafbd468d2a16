//! Functions whose workers break the rules, beside Echo, whose calls must not notice.

use crate::engine::Engine;
use crate::http::Response;
use crate::load::Load;
use crate::wait::wait_until;
use std::time::{Duration, Instant};

/// The timeout of functions whose workers do not answer, as in [`LIMITS`].
pub const TIMEOUT: Duration = Duration::from_millis(400);
/// Lines of their tables.
pub const LIMITS: &str = "timeout = \"400ms\"\ngrace = \"200ms\"\n";
/// Within this time every call of another function is answered, on a machine that has much else to do. An engine that a worker
/// can hold up is held up for good: it is the engine that would have to end that worker.
pub const PROMPTLY: Duration = Duration::from_secs(2);
/// More than an engine needs for a container and its calls, and less than a worker or a stranger makes it hold that is not
/// stopped.
pub const MEMORY: u64 = 24 << 20;

/// Calls the function while others are called, which must not notice.
#[track_caller]
pub fn call_among_others(engine: &Engine, function: &str) -> Response {
    let others = Load::start(engine.address(), 2, "Echo", b"others");
    wait_until("others to be answered", || others.ended() > 10);
    let began = Instant::now();
    let response = engine.call(function, "body");
    let took = began.elapsed();
    assert!(took < TIMEOUT + PROMPTLY, "{function}: ended after {took:?}");
    let before = others.ended();
    wait_until("others to be answered", || others.ended() > before + 10);
    for outcome in others.stop() {
        assert_eq!((outcome.status, outcome.text.as_str()), (Some(200), "others"), "{function}");
        let took = outcome.ended - outcome.began;
        assert!(took < PROMPTLY, "{function}: another call took {took:?}");
    }
    response
}
