//! Composes the messages that a worker sends: calls of other functions, answers, failures.

use super::arena::Block;
use super::buffer::{Buffer, too_large, too_long};
use super::memory::Memory;
use super::payload::Maker;
use super::session::Session;
use crate::clock::now_ns;
use crate::ipc::region::{metadata_offset, payload_bytes};
use crate::protocol::direct::DirectCall;
use crate::protocol::limits::{MAX_INLINE_BYTES, MAX_METADATA_BYTES};
use crate::protocol::to_engine::{
    CallComplete, CallFailed, Callee, HandlerTimes, Invoke, InvokeAlone, InvokeBelow,
};
use crate::protocol::{
    BlockPayload, CallNumber, CancelReason, Failure, InlinePayload, InvokeNumber, MessageBuffer,
    MetadataBuffer, MetadataError, Status, WireFailure, WirePayload, name,
};
use std::num::NonZeroU64;
use std::time::Duration;

/// The options of an internal call.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// The longest time that the call may take; it must be more than zero. The deadline of the
    /// request applies in any case.
    pub timeout: Option<Duration>,
    /// Metadata for the callee.
    pub metadata: MetadataBuffer,
}

impl CallOptions {
    /// Checks the options.
    ///
    /// # Errors
    ///
    /// INVALID_ARGUMENT if the timeout is zero.
    fn check(&self) -> Result<(), Failure> {
        if self.timeout == Some(Duration::ZERO) {
            let text = "a timeout must be more than 0";
            return Err(Failure::new(Status::InvalidArgument, text));
        }
        Ok(())
    }

    /// The deadline that follows from the timeout, in ns of the monotonic clock.
    fn deadline(&self, now: u64) -> Option<NonZeroU64> {
        let timeout = u64::try_from(self.timeout?.as_nanos()).unwrap_or(u64::MAX);
        NonZeroU64::new(now.saturating_add(timeout))
    }
}

/// Checks that a function can have this name.
///
/// # Errors
///
/// NOT_FOUND if none can have it.
fn check_name(name: &str) -> Result<&str, Failure> {
    if name::is_valid(name) {
        return Ok(name);
    }
    Err(Failure::new(Status::NotFound, format!("{name:?} is not a name of a function")))
}

/// The body of a call or an answer.
pub enum Body<'a> {
    /// The concatenation of these parts.
    Parts(&'a [&'a [u8]]),
    /// This many bytes from the start of a buffer of the arena.
    Buffer(Buffer, usize),
}

/// An internal call that a handler makes.
pub(super) struct OutgoingCall<'a> {
    /// The facts of the request whose handler makes it.
    pub(super) maker: Maker,
    pub(super) name: &'a str,
    pub(super) body: Body<'a>,
    pub(super) options: &'a CallOptions,
    /// The deadline, in ns of the monotonic clock, if a direct call was tried before: the time that
    /// this took counts.
    pub(super) not_after: Option<NonZeroU64>,
}

impl OutgoingCall<'_> {
    /// Composes the INVOKE. `waits` says that the handler does nothing until it gets an answer.
    pub(super) fn compose(
        self,
        session: &Session,
        (call, callee): (InvokeNumber, Callee<'_>),
        waits: bool,
    ) -> Result<MessageBuffer, Failure> {
        check_name(self.name)?;
        self.options.check()?;
        let sent_at = now_ns();
        let deadline = self.asked_deadline(sent_at);
        let name_len = match callee {
            Callee::Id(_) => 0,
            Callee::Name(name) => name.len(),
        };
        let (mut gathered, metadata) = (Vec::new(), self.options.metadata.as_bytes());
        let room = (session as &dyn Memory, session.max_body_bytes());
        let payload = place(room, name_len, metadata, self.body, &mut gathered)?;
        let Maker { call: parent, root, depth, .. } = self.maker;
        let Some(direct_deadline) = self.maker.direct_deadline else {
            return Ok(Invoke { call, parent, callee, waits, deadline, sent_at, payload }.write());
        };
        let below = InvokeBelow {
            call,
            lease: parent,
            root,
            // A hostile caller may have sent any depth, and one that is too deep must not wrap
            // around to 0.
            depth: depth.saturating_add(1),
            callee,
            waits,
            deadline: deadline.map_or(direct_deadline, |asked| asked.min(direct_deadline)),
            payload,
        };
        Ok(below.write())
    }

    /// The deadline that the maker of the call asks for, in ns of the monotonic clock. It may be in
    /// the past; the engine then ends the call.
    pub(super) fn asked_deadline(&self, now: u64) -> Option<NonZeroU64> {
        self.options.deadline(now).into_iter().chain(self.not_after).min()
    }

    /// Composes the DIRECT_CALL with this number. Its payload is placed in `memory` if it does not
    /// fit inline.
    pub(super) fn compose_direct(
        self,
        (memory, max_body_bytes): (&dyn Memory, u64),
        (call, deadline): (CallNumber, NonZeroU64),
        sent_at: u64,
    ) -> Result<MessageBuffer, Failure> {
        let (mut gathered, metadata) = (Vec::new(), self.options.metadata.as_bytes());
        let payload = place((memory, max_body_bytes), 0, metadata, self.body, &mut gathered)?;
        let (root, depth) = (self.maker.root, self.maker.depth.saturating_add(1));
        Ok(DirectCall { call, root, depth, deadline, sent_at, payload }.write())
    }
}

/// Composes the INVOKE_ALONE of a call that the process makes outside of any request.
pub(super) fn invoke_alone(
    session: &Session,
    (call, callee): (InvokeNumber, Callee<'_>),
    body: Body<'_>,
    options: &CallOptions,
) -> Result<MessageBuffer, Failure> {
    options.check()?;
    let sent_at = now_ns();
    let name_len = match callee {
        Callee::Id(_) => 0,
        Callee::Name(name) => check_name(name)?.len(),
    };
    let (mut gathered, metadata) = (Vec::new(), options.metadata.as_bytes());
    let room = (session as &dyn Memory, session.max_body_bytes());
    let payload = place(room, name_len, metadata, body, &mut gathered)?;
    let deadline = options.deadline(sent_at);
    Ok(InvokeAlone { call, callee, deadline, sent_at, payload }.write())
}

/// Places the payload of a message beside a name of this length: inline if it fits, else in a block
/// of `memory`. An inline body of several parts is collected in `gathered`.
fn place<'a>(
    (memory, max_body_bytes): (&dyn Memory, u64),
    name_len: usize,
    metadata: &'a [u8],
    body: Body<'a>,
    gathered: &'a mut Vec<u8>,
) -> Result<WirePayload<'a>, Failure> {
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(MetadataError::TooLarge.into());
    }
    match body {
        Body::Parts(parts) => {
            let body_len: usize = parts.iter().map(|part| part.len()).sum();
            if body_len as u64 > max_body_bytes {
                return Err(too_large(body_len as u64, max_body_bytes));
            }
            if name_len + metadata.len() + body_len <= MAX_INLINE_BYTES {
                let body = match parts {
                    [] => &[],
                    [one] => *one,
                    _ => {
                        gathered.reserve_exact(body_len);
                        parts.iter().for_each(|part| gathered.extend_from_slice(part));
                        gathered
                    }
                };
                return Ok(WirePayload::Inline(InlinePayload { metadata, body }));
            }
            let bytes = payload_bytes(metadata.len(), body_len as u64);
            let block = memory.allocate(bytes)?;
            let mut to = block.region.pointer(block.block, bytes);
            for part in parts {
                // SAFETY: `pointer` checked that the block is `bytes` long, which covers all parts
                // and then the metadata. This process has just allocated it, so nothing else writes
                // to it, and `part` is not in it.
                unsafe {
                    std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                    to = to.add(part.len());
                }
            }
            Ok(WirePayload::Block(put_metadata(&block, metadata, body_len as u64)))
        }
        Body::Buffer(buffer, len) => {
            if len > buffer.capacity() {
                return Err(too_long());
            }
            let block = buffer.into_block();
            Ok(WirePayload::Block(put_metadata(&block, metadata, len as u64)))
        }
    }
}

/// Writes the metadata behind the body of a block.
fn put_metadata(block: &Block, metadata: &[u8], body_len: u64) -> BlockPayload {
    let start = block.region.pointer(block.block, payload_bytes(metadata.len(), body_len));
    // SAFETY: `pointer` checked that body and metadata lie in the region. This process has
    // allocated the block, so nothing else writes to it, and `metadata` is not in it.
    unsafe {
        let to = start.add(metadata_offset(body_len) as usize);
        std::ptr::copy_nonoverlapping(metadata.as_ptr(), to, metadata.len());
    }
    let (region, metadata_len) = (block.region_id, metadata.len());
    BlockPayload { region, block: block.block, metadata_len, body_len }
}

/// The times of a handler that has not ended yet. [`MessageBuffer::set_ended`] completes them.
fn since(began_at: u64) -> HandlerTimes {
    HandlerTimes { began_at, ended_at: began_at }
}

/// Composes the COMPLETE of a request. Its payload is placed in this memory if it does not fit
/// inline.
pub(super) fn complete(
    room: (&dyn Memory, u64),
    call: CallNumber,
    began_at: u64,
    metadata: &[u8],
    body: Body<'_>,
) -> Result<MessageBuffer, Failure> {
    let mut gathered = Vec::new();
    let payload = place(room, 0, metadata, body, &mut gathered)?;
    let times = since(began_at);
    Ok(CallComplete { call, times, sent_at: began_at, payload }.write())
}

/// Composes the COMPLETE of a request that came by a direct channel. Its payload is placed in this
/// memory, which never contains a buffer of the arena.
pub(super) fn complete_directly(
    room: (&dyn Memory, u64),
    call: CallNumber,
    began_at: u64,
    metadata: &[u8],
    body: Body<'_>,
) -> Result<MessageBuffer, Failure> {
    match body {
        parts @ Body::Parts(_) => complete(room, call, began_at, metadata, parts),
        Body::Buffer(buffer, len) => {
            let parts = [buffer.filled(len)?];
            complete(room, call, began_at, metadata, Body::Parts(&parts))
        }
    }
}

/// Composes the COMPLETE of a request with an empty answer.
pub(super) fn complete_empty(call: CallNumber, began_at: u64) -> MessageBuffer {
    let (times, payload) = (since(began_at), WirePayload::EMPTY);
    CallComplete { call, times, sent_at: began_at, payload }.write()
}

/// Composes the FAILED of a direct call whose handler ended after the deadline. The caller may not
/// have noticed the deadline yet: a handler that heeds its deadline ends at that very moment.
pub(super) fn late(call: CallNumber, began_at: u64, function: &str) -> MessageBuffer {
    failed(call, began_at, &abandoned(function, CancelReason::Deadline))
}

/// The failure of a direct call of the function `name` for which nobody waits any more.
pub(super) fn abandoned(name: &str, reason: CancelReason) -> Failure {
    let status = reason.status();
    match reason {
        CancelReason::Deadline => {
            let text = format!("{name} did not answer by its deadline; it was in the handler");
            Failure::new(status, text)
        }
        CancelReason::Caller => Failure::new(status, status.title()),
    }
}

/// Composes the FAILED of a request.
pub(super) fn failed(call: CallNumber, began_at: u64, failure: &Failure) -> MessageBuffer {
    let (metadata, text) = failure.encode();
    let status = failure.status.of_a_call();
    let payload = InlinePayload { metadata: metadata.as_bytes(), body: text.as_bytes() };
    let failure = WireFailure { status, payload };
    CallFailed { call, times: since(began_at), sent_at: began_at, failure }.write()
}
