//! Every limit of the protocol, with its reason.

/// Size of a message's header on the wire.
pub const HEADER_BYTES: usize = 64;
/// Largest message. A write of at most `PIPE_BUF` (4096) bytes is atomic; 1024 lets a pipe of one
/// page hold four, so that a writer seldom meets a full pipe.
pub const MAX_MESSAGE_BYTES: usize = 1024;
/// The room in a message for the name and the payload (metadata and body). A larger payload goes
/// through the arena.
pub const MAX_INLINE_BYTES: usize = MAX_MESSAGE_BYTES - HEADER_BYTES;
/// Largest encoded metadata: as much as common HTTP servers take in headers.
pub const MAX_METADATA_BYTES: usize = 32 * 1024;
/// Longest name of a function; fits a DNS label, and its length fits six bits.
pub const MAX_NAME_BYTES: usize = 63;
/// Largest body that a header may announce. Far above any configured limit; keeps sums of lengths
/// from overflowing.
pub const MAX_BODY_BYTES: u64 = 1 << 40;
/// Longest message of a failure; longer ones are cut. With causes it always fits a message, so that
/// telling a failure can never fail for want of room.
pub const MAX_FAILURE_MESSAGE_BYTES: usize = 512;
/// Most internal calls one worker may have under way; a worker beyond it gets OVERLOADED. Bounds
/// what the engine may have to hold for one channel.
pub const MAX_OUTSTANDING: usize = 1024;
/// Most workers of one container: each has a cancel word in the arena, and threads beyond this
/// number cost more than they give.
pub const MAX_WORKERS_PER_CONTAINER: usize = 1024;
/// Bytes of the pipe behind each direction of a channel: eight of the largest messages. Small,
/// because an unprivileged user may hold 16,384 pages of pipe buffers.
pub const PIPE_BYTES: usize = 8192;
/// Unit of a ring: a cache line, and as long as a header, so that a message without payload is one
/// line.
pub const LINE_BYTES: usize = 64;
/// Lines of the ring in each direction of a channel: eight of the largest messages, as in a pipe,
/// or 64 of those with a small payload. A power of two, so that positions may wrap.
pub const RING_LINES: u32 = 128;
/// Unit of allocation in the arena: a page.
pub const BLOCK_UNIT_BYTES: usize = 4096;
/// Units of the region that every container gets in each direction: 16 MiB. Address space only:
/// pages are taken when they are first written.
pub const BASE_UNITS: u32 = 4096;
/// The smallest size of a region that is added when the first one is full, if the budget allows.
/// Many payloads of some kilobytes that are under way at once share it. Address space only, too.
pub const REGION_BYTES: u64 = BASE_UNITS as u64 * BLOCK_UNIT_BYTES as u64;
/// Largest text in a control message: handler names, messages for people.
pub const MAX_CONTROL_TEXT_BYTES: usize = 16 * 1024;
/// Bytes of the token that admits one process as a container, once.
pub const TOKEN_BYTES: usize = 16;
/// The most leases of one event loop as the callee. As many more of its handlers can make direct
/// calls themselves: the desk of a worker has a seat for each.
pub const MAX_LEASES_OF_LOOP: usize = 64;
