//! Tests of the worker runtime in a real process, against a scripted engine.
//!
//! The worker process is this same test program. In the environment that an engine gives it, it
//! serves calls instead of running tests.

#[macro_use]
mod channels;
mod event_loop;
mod forks;
mod loop_worker;
#[path = "../peer/mod.rs"]
mod peer;
mod thread_worker;
mod threads;

use nightcore_runtime::protocol::control::ChannelKind;
use nightcore_runtime::protocol::{CancelReason, Cause, Failure, MetadataBuffer, Status};
use nightcore_runtime::worker::{
    Body, CallOptions, Event, EventLoop, HandlerError, Handlers, LoopRequest, Request, RunningCall,
    StartError, serve,
};
use peer::Peer;
use peer::raw::{Kind, RawHeader};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The variable that makes this program a worker process: "threads" or "loop".
const SKIN: &str = "NIGHTCORE_TEST_SKIN";

fn worker(skin: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker_process", "--nocapture", "--test-threads=1"]).env(SKIN, skin);
    command.stdout(std::process::Stdio::null());
    command
}

/// Not a test: this is the worker process that the tests start.
#[test]
fn worker_process() {
    let ended = match std::env::var(SKIN).as_deref() {
        Ok("threads") => serve(&thread_worker::handlers()),
        Ok("loop") => loop_worker::serve_loop(),
        _ => return,
    };
    let code = ended.map_or_else(
        |error| {
            eprintln!("nightcore: {error}");
            i32::from(error.exit_code())
        },
        |()| 0,
    );
    std::process::exit(code);
}

fn ends_well(peer: Peer) {
    let (status, stderr) = peer.shut_down();
    assert_eq!(status.code(), Some(0), "{stderr}");
}
