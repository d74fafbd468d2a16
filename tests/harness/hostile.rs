//! Checks that calls of Echo are not disturbed by peers that break the rules.

use crate::engine::Engine;
use crate::http::Response;
use crate::load::Load;
use crate::wait::wait_until;
use std::time::{Duration, Instant};

/// The timeout of functions whose workers do not answer, as in [`LIMITS`].
pub const TIMEOUT: Duration = Duration::from_millis(400);
/// The lines that set these limits in the functions' tables.
pub const LIMITS: &str = "timeout = \"400ms\"\ngrace = \"200ms\"\n";
/// The time within which every call of another function is answered, even on a busy machine. If a
/// worker can block the engine, it blocks it for good, because only the engine could end that
/// worker.
pub const PROMPTLY: Duration = Duration::from_secs(2);
/// More memory than an engine needs for a container and its calls, and less than a misbehaving
/// worker or client makes it hold if nothing stops it.
pub const MEMORY: u64 = 24 << 20;

/// Calls the function while other functions are called, and checks that these are not disturbed.
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

/// The latency of a call of Echo: the median of many calls, one after another.
#[derive(Clone, Copy, Debug)]
pub struct EchoTime(Duration);

impl EchoTime {
    /// The number of warm-up calls, which take longer and do not count.
    const WARM_UP: usize = 500;
    const CALLS: usize = 2000;
    /// The factor by which a call may be slower beside a peer that does one thing as often as it
    /// can. Such a peer uses up one of the machine's few cores, and takes its share of the engine's
    /// core.
    const SLOWER: u32 = 8;
    const TRIES: usize = 5;

    /// Measures the latency now.
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

    /// Asserts that a call beside a hostile peer, which never pauses, does not take much longer
    /// than this latency. A slow result is measured again, because other load on the machine comes
    /// and goes.
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
