//! The defaults and limits, each with its reason.

use nightcore_runtime::protocol::control::{ChannelKind, Placement};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// The address of the gateway: only this machine can reach it unless the file names another one.
pub const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
/// The address of the admin pages if `[admin]` names none. Only this machine can reach it, and
/// monitoring tools know its port.
pub const DEFAULT_ADMIN_LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// The default of `max_body`: large enough for images and documents. In systems that allow 4 MB,
/// many users have to raise the limit.
pub const DEFAULT_MAX_BODY_BYTES: u64 = 32 * MIB;
/// One container is enough for threads. Interpreters with a global lock may need more.
pub const DEFAULT_PROCESSES: u32 = 1;
/// One worker is kept, so that the first call does not wait for a worker to be created.
pub const DEFAULT_MIN_WORKERS: u32 = 1;
/// Each thread costs a stack and a channel.
pub const DEFAULT_MAX_THREADS: u32 = 64;
/// A slot of an event loop costs almost nothing.
pub const DEFAULT_MAX_SLOTS: u32 = 1024;
/// The default of `timeout`: HTTP clients and proxies commonly wait this long.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// The default of `grace`: a cancelled handler needs a moment to notice.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(5);
/// The default of `start_timeout`: an interpreter that loads large modules from a slow disk needs
/// half of it.
pub const DEFAULT_START_TIMEOUT: Duration = Duration::from_secs(60);
/// The default of `stop_timeout`: the work after an answer takes seconds, and managers of services
/// and of containers kill all processes after ten seconds.
pub const DEFAULT_STOP_TIMEOUT: Duration = Duration::from_secs(5);
/// A call by rings takes a tenth of the time of a call by pipes if cores are idle, and no more time
/// if they are busy.
pub const DEFAULT_CHANNEL: ChannelKind = ChannelKind::Ring;
/// With `apart`, the engine and a worker run on different cores and so at the same time. It costs
/// nothing on a machine with one core.
pub const DEFAULT_PLACEMENT: Placement = Placement::Apart;
/// The default of `queue.calls`: with one worker and a millisecond for each call, the last call
/// waits a second.
pub const DEFAULT_QUEUE_CALLS: u32 = 1024;
/// The default of `queue.bytes`: two of the largest bodies, or 64 KiB for each call of a full
/// queue.
pub const DEFAULT_QUEUE_BYTES: u64 = 64 * MIB;
/// The default of `max_depth`: deeper than any sound design needs, and shallow enough to end an
/// endless recursion early.
pub const DEFAULT_MAX_DEPTH: u32 = 64;
/// Off by default: the engine does not refuse inputs on its own account before somebody has
/// examined them.
pub const DEFAULT_QUARANTINE_AFTER: u32 = 0;
/// Off by default: only the function's author knows whether a call may be sent again.
pub const DEFAULT_RETRIES: u32 = 0;

/// The largest file that is read. It has room for some thousand functions; a larger file is
/// probably the wrong path.
pub const MAX_FILE_BYTES: u64 = MIB;
/// The largest `max_body`: payloads are held in memory.
pub const MAX_MAX_BODY_BYTES: u64 = GIB;
/// The least `gateway.memory`: room for a hundred requests without bodies, from 16 clients.
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
/// The longest `recycle.age`: machines are restarted more often than that.
pub const MAX_AGE: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The largest `queue.calls`: in a longer queue the last call waits for longer than any client
/// does.
pub const MAX_QUEUE_CALLS: u32 = 1 << 20;
/// The largest `queue.bytes`: queued payloads are held in memory.
pub const MAX_QUEUE_BYTES: u64 = TIB;
/// The largest `max_depth`: every level holds an open call and its payload.
pub const MAX_MAX_DEPTH: u32 = 1024;
/// The least `limits.memory`: no process starts with less.
pub const MIN_MEMORY_BYTES: u64 = MIB;
/// The largest `limits.memory` and `gateway.memory`: more than any one server has.
pub const MAX_MEMORY_BYTES: u64 = 1024 * TIB;
/// The least `limits.cpus`, in thousandths: the kernel accepts no smaller share.
pub const MIN_CPU_MILLIS: u32 = 10;
/// The largest `limits.cpus`, in thousandths: one core for each process of the largest `processes`.
pub const MAX_CPU_MILLIS: u32 = 1000 * MAX_PROCESSES;
/// The least `limits.open_files`: a runtime opens that many before it serves.
pub const MIN_OPEN_FILES: u32 = 16;
/// The largest `limits.open_files`: the kernel's own default limit.
pub const MAX_OPEN_FILES: u32 = 1 << 20;
/// The largest `limits.tasks`: the largest number of pids of a kernel.
pub const MAX_TASKS: u32 = 1 << 22;
/// The largest `quarantine_after`: a user who accepts so many crashes would accept any number.
pub const MAX_QUARANTINE_AFTER: u32 = 1000;
/// The largest `retries`: each retry means that a process died.
pub const MAX_RETRIES: u32 = 10;
/// The longest `route`: it is compared with every request.
pub const MAX_ROUTE_BYTES: usize = 1024;

// The comments above state these two relations.
const _: () = assert!(DEFAULT_QUEUE_BYTES == 2 * DEFAULT_MAX_BODY_BYTES);
const _: () = assert!(DEFAULT_QUEUE_BYTES == 64 * KIB * DEFAULT_QUEUE_CALLS as u64);
