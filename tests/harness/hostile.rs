//! Peers that break the rules, beside Echo, whose calls must not notice.

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

/// How long a call of Echo takes: the median of many, one after another.
#[derive(Clone, Copy, Debug)]
pub struct EchoTime(Duration);

impl EchoTime {
    /// The first calls of an engine take longer, and do not count.
    const WARM_UP: usize = 500;
    const CALLS: usize = 2000;
    /// How many times as long a call may take beside a peer that does as much of one thing as it
    /// can. That peer has a core, of which a small machine has few, and its part of the engine's.
    const SLOWER: u32 = 8;
    const TRIES: usize = 5;

    /// Measures it now.
    #[track_caller]
    pub fn measure(engine: &Engine) -> EchoTime {
        let load = Load::start(engine.address(), 1, "Echo", b"others");
        let calls = EchoTime::WARM_UP + EchoTime::CALLS;
        wait_until("others to be answered", || load.ended() >= calls);
        let outcomes = load.stop();
        let counted = outcomes.iter().skip(EchoTime::WARM_UP);
        let mut times: Vec<Duration> = counted.map(|o| o.ended - o.began).collect();
        times.sort_unstable();
        EchoTime(times[times.len() / 2])
    }

    /// Beside a hostile peer, which acts without end, a call takes not much longer than this. It is
    /// measured again if it does: other work on the machine comes and goes.
    #[track_caller]
    pub fn assert_alike_now(self, engine: &Engine) {
        let bound = EchoTime::SLOWER * self.0;
        let times: Vec<Duration> = std::iter::repeat_with(|| EchoTime::measure(engine).0)
            .take(EchoTime::TRIES)
            .take_while(|beside| *beside >= bound)
            .collect();
        let is_alike = times.len() < EchoTime::TRIES;
        assert!(is_alike, "a call took {times:?}, and {:?} without the peer", self.0);
    }
}
