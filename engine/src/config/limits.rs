//! Defaults and limits, each with its reason.

use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Where the gateway listens: on this machine only, until somebody says otherwise.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// Where the admin pages are if `[admin]` does not say: on this machine only, at a port that tools
/// for metrics know.
pub const DEFAULT_ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// The largest request body: room for images and documents; systems with 4 MB make people look for
/// the switch.
pub const DEFAULT_MAX_BODY_BYTES: u64 = 32 * MIB;
/// One container: enough for threads; interpreters with a global lock may want more.
pub const DEFAULT_PROCESSES: u32 = 1;
/// One worker is kept, so that a first call does not wait for one to be made.
pub const DEFAULT_MIN_WORKERS: u32 = 1;
/// Threads cost a stack and a channel each.
pub const DEFAULT_MAX_THREADS: u32 = 64;
/// Slots of an event loop cost next to nothing.
pub const DEFAULT_MAX_SLOTS: u32 = 1024;
/// The time of a call: what HTTP clients and proxies commonly wait.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The time to end by itself: a cancelled handler needs a moment to notice.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);
/// The time of a start: an interpreter that loads large modules from a slow disk needs half of it.
pub const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(60);
/// The time to end: the work after an answer takes seconds, and managers of services and of
/// containers kill all processes after ten.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// Rings: a call by them takes a tenth of the time that it takes by pipes when cores are idle, and
/// no more when they are busy.
pub const DEFAULT_CHANNEL: ChannelKind = ChannelKind::Ring;
/// Apart: the engine and a worker then work at the same time. Costs nothing where there is one core
/// only.
pub const DEFAULT_PLACEMENT: Placement = Placement::Apart;
/// Calls that wait: at a millisecond a call and one worker, the last of them waits a second.
pub const DEFAULT_QUEUE_CALLS: u32 = 1024;
/// Payload that waits: two of the largest bodies, or 64 KiB for each call of a full queue.
pub const DEFAULT_QUEUE_BYTES: u64 = 64 * MIB;
/// Depth of calls: deeper than any sound design, shallow enough to end an endless recursion early.
pub const DEFAULT_MAX_DEPTH: u32 = 64;
/// Inputs that kill go on killing until somebody says otherwise: to refuse what was never looked at
/// is not for an engine to begin by itself.
pub const DEFAULT_QUARANTINE_AFTER: u32 = 0;
/// None: whether a call may be sent again only who wrote the function knows.
pub const DEFAULT_RETRIES: u32 = 0;

/// The largest file that is read: some thousand functions; more is a mistaken path.
pub const MAX_FILE_BYTES: u64 = MIB;
/// The largest `max_body`: payloads are held in memory.
pub const MAX_MAX_BODY_BYTES: u64 = GIB;
/// The least `gateway.memory`: room for a hundred requests without bodies, of 16 clients.
pub const MIN_HELD_BYTES: u64 = MIB;
/// The largest `processes`: more than the cores of any one server.
pub const MAX_PROCESSES: u32 = 1024;
/// The largest `workers.max`: each thread needs two pipes, and a server has some hundred thousand
/// descriptors.
pub const MAX_WORKERS: u32 = 65536;
/// The least `start_timeout`: a process takes some milliseconds to start.
pub const MIN_START_TIMEOUT: Duration = Duration::from_millis(10);
/// The least `timeout`: a call takes some microseconds.
pub const MIN_TIMEOUT: Duration = Duration::from_micros(1);
/// The longest `timeout`, `grace`, `start_timeout` and `stop_timeout`: a deadline must fit every
/// clock and wire format with room to spare.
pub const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);
/// The least `recycle.age`: a process takes some of it to start.
pub const MIN_AGE: Duration = Duration::from_secs(1);
/// The longest `recycle.age`: machines are restarted more often.
pub const MAX_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The largest `queue.calls`: beyond it the last call waits for longer than anybody does.
pub const MAX_QUEUE_CALLS: u32 = 1 << 20;
/// The largest `queue.bytes`: queued payloads are held in memory.
pub const MAX_QUEUE_BYTES: u64 = TIB;
/// The largest `max_depth`: every level holds an open call and its payload.
pub const MAX_MAX_DEPTH: u32 = 1024;
/// The least `limits.memory`: below it no process starts.
pub const MIN_MEMORY_BYTES: u64 = MIB;
/// The largest `limits.memory` and `gateway.memory`: more than any one server has.
pub const MAX_MEMORY_BYTES: u64 = 1024 * TIB;
/// The least `limits.cpus`, in thousandths: the kernel takes no smaller share.
pub const MIN_CPU_MILLIS: u32 = 10;
/// The largest `limits.cpus`, in thousandths: as `processes`.
pub const MAX_CPU_MILLIS: u32 = 1000 * MAX_PROCESSES;
/// The least `limits.open_files`: what a runtime opens before it serves.
pub const MIN_OPEN_FILES: u32 = 16;
/// The largest `limits.open_files`: the kernel's own default bound.
pub const MAX_OPEN_FILES: u32 = 1 << 20;
/// The largest `limits.tasks`: the most pids that a kernel has.
pub const MAX_TASKS: u32 = 1 << 22;
/// The largest `quarantine_after`: who lets so many processes die lets them all.
pub const MAX_QUARANTINE_AFTER: u32 = 1000;
/// The largest `retries`: each of them has cost a process.
pub const MAX_RETRIES: u32 = 10;
/// The longest `route`: it is compared with every request.
pub const MAX_ROUTE_BYTES: usize = 1024;

// The comments above speak of these figures.
const _: () = assert!(DEFAULT_QUEUE_BYTES == 2 * DEFAULT_MAX_BODY_BYTES);
const _: () = assert!(DEFAULT_QUEUE_BYTES == 64 * KIB * DEFAULT_QUEUE_CALLS as u64);
