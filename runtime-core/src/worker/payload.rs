//! A payload that was received, and the input of a request.

use super::fork::is_forked;
use super::memory::DirectMemory;
use super::protocol::ReceivedRequest;
use super::session::Session;
use crate::clock::now_ns;
use crate::ipc::region::{Region, metadata_offset, payload_bytes};
use crate::protocol::direct::DirectCall;
use crate::protocol::{Broken, CallId, CallNumber, InlinePayload, Message, Metadata, WirePayload};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// Where the bytes of a payload are.
#[derive(Debug)]
enum PayloadBytes {
    Inline(Box<[u8]>),
    Block { region: Arc<Region>, block: u32 },
}

/// Metadata and body as they were received. A block of the arena is given back when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Payload {
    place: PayloadBytes,
    metadata_len: usize,
    body_len: usize,
}

impl Payload {
    fn inline(inline: InlinePayload<'_>) -> Payload {
        Payload {
            place: PayloadBytes::Inline([inline.metadata, inline.body].concat().into()),
            metadata_len: inline.metadata.len(),
            body_len: inline.body.len(),
        }
    }

    /// Receives the payload of a message from the engine. Waits for a region that is still on its
    /// way.
    ///
    /// # Errors
    ///
    /// If the payload does not lie in the arena.
    pub(super) fn receive(payload: WirePayload<'_>, session: &Session) -> Result<Payload, Broken> {
        match payload {
            WirePayload::Inline(inline) => Ok(Payload::inline(inline)),
            WirePayload::Block(place) => {
                let bytes = payload_bytes(place.metadata_len, place.body_len);
                let region = session.engine_region(place.region).ok_or(place.broken(bytes))?;
                if !region.contains(place.block, bytes) {
                    return Err(place.broken(bytes));
                }
                Ok(Payload {
                    place: PayloadBytes::Block { region, block: place.block },
                    metadata_len: place.metadata_len,
                    body_len: place.body_len as usize,
                })
            }
        }
    }

    /// Receives the payload of a message of a direct channel. It is copied out at once, as the peer
    /// is not trusted to leave its memory unchanged.
    ///
    /// # Errors
    ///
    /// If the payload does not lie in the memory of the direct channel.
    pub(super) fn receive_direct(
        payload: WirePayload<'_>,
        memory: &DirectMemory,
    ) -> Result<Payload, Broken> {
        let place = match payload {
            WirePayload::Inline(inline) => return Ok(Payload::inline(inline)),
            WirePayload::Block(place) => place,
        };
        let bytes = payload_bytes(place.metadata_len, place.body_len);
        let region = memory.peer_region(place.region).ok_or(place.broken(bytes))?;
        if !region.contains(place.block, bytes) {
            return Err(place.broken(bytes));
        }
        let (metadata_len, body_len) = (place.metadata_len, place.body_len as usize);
        let start = region.pointer(place.block, bytes);
        let mut copy = Vec::with_capacity(metadata_len + body_len);
        // SAFETY: `pointer` has checked that body and metadata lie inside the map, the metadata at
        // its offset. The copy has room for both, and its length is set to what was written. The
        // peer may write meanwhile: then other bytes are copied, and nothing was checked yet.
        unsafe {
            let metadata = start.add(metadata_offset(place.body_len) as usize);
            let to: *mut u8 = copy.as_mut_ptr();
            std::ptr::copy_nonoverlapping(metadata, to, metadata_len);
            std::ptr::copy_nonoverlapping(start, to.add(metadata_len), body_len);
            copy.set_len(metadata_len + body_len);
        }
        region.give_back(place.block);
        Ok(Payload { place: PayloadBytes::Inline(copy.into()), metadata_len, body_len })
    }

    pub(super) fn body(&self) -> &[u8] {
        match &self.place {
            PayloadBytes::Inline(bytes) => &bytes[self.metadata_len..],
            PayloadBytes::Block { region, block } => {
                let start = region.pointer(*block, self.body_len as u64);
                // SAFETY: `pointer` checked the range. The engine owns the region and is trusted by
                // the container. It does not write to the block before the block is given back, on
                // drop.
                unsafe { std::slice::from_raw_parts(start, self.body_len) }
            }
        }
    }

    /// The metadata. It is empty if it is malformed, as that of an internal caller may be.
    pub(super) fn metadata(&self) -> Metadata<'_> {
        let bytes = match &self.place {
            PayloadBytes::Inline(bytes) => &bytes[..self.metadata_len],
            PayloadBytes::Block { region, block } => {
                let bytes = payload_bytes(self.metadata_len, self.body_len as u64);
                let start = region.pointer(*block, bytes);
                let offset = metadata_offset(self.body_len as u64) as usize;
                // SAFETY: the same as in `body`; `pointer` checked offset + metadata_len.
                unsafe { std::slice::from_raw_parts(start.add(offset), self.metadata_len) }
            }
        };
        Metadata::parse(bytes).unwrap_or_default()
    }
}

impl Drop for Payload {
    /// In a fork the block still belongs to the parent, which may be reading it.
    fn drop(&mut self) {
        if let PayloadBytes::Block { region, block } = &self.place
            && !is_forked()
        {
            region.give_back(*block);
        }
    }
}

/// The origin of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// The call came by the gateway.
    External,
    /// This function made the call.
    Internal(&'a str),
}

/// A direct call that has come. Its caller can no longer change it.
#[derive(Debug)]
pub(super) struct DirectCalled {
    /// The caller's number for the call.
    pub(super) call: CallNumber,
    root: CallId,
    depth: u32,
    pub(super) deadline: NonZeroU64,
    /// When it was sent, in ns of the monotonic clock.
    pub(super) sent_at: u64,
    payload: Payload,
}

impl DirectCalled {
    /// Reads a direct call from a message of the caller.
    ///
    /// # Errors
    ///
    /// If the message is no direct call, or its payload does not lie in the memory of the
    /// direct channel.
    pub(super) fn receive(
        message: &Message<'_>,
        memory: &DirectMemory,
    ) -> Result<DirectCalled, Broken> {
        let DirectCall { call, root, depth, deadline, sent_at, payload } =
            DirectCall::read(message)?;
        let payload = Payload::receive_direct(payload, memory)?;
        Ok(DirectCalled { call, root, depth, deadline, sent_at, payload })
    }
}

/// The facts that only a direct call has.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectInput {
    /// The caller's number for the call.
    pub(super) call: CallNumber,
    pub(super) deadline: NonZeroU64,
}

/// The facts of a handler's own call that the calls it makes take over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker {
    /// The engine's number of the handler's call. For a direct call it is that of its lease.
    pub(super) call: CallNumber,
    /// The id of the external call at the top of the tree, which may be the handler's own call.
    pub(super) root: CallId,
    /// How many calls are above it in the tree.
    pub(super) depth: u32,
    /// Its deadline, in ns of the monotonic clock.
    pub(super) deadline: Option<NonZeroU64>,
    /// The deadline, if it is a direct call.
    pub(super) direct_deadline: Option<NonZeroU64>,
}

/// The input of a handler.
#[derive(Debug)]
pub struct Input {
    pub(super) session: Arc<Session>,
    payload: Payload,
    /// The engine's number of the call. For a direct call it is that of its lease.
    pub(super) call: CallNumber,
    root: Option<CallId>,
    /// How many calls are above it in the tree.
    pub(super) depth: u32,
    /// The facts that only a direct call has.
    pub(super) direct: Option<DirectInput>,
    deadline: Option<NonZeroU64>,
    caller: Option<Arc<str>>,
}

impl Input {
    /// Reads the input from a DISPATCH.
    ///
    /// # Errors
    ///
    /// If the payload does not lie in the arena.
    pub(super) fn receive(
        request: ReceivedRequest<'_>,
        session: &Arc<Session>,
    ) -> Result<Input, Broken> {
        let ReceivedRequest { call, root, depth, deadline, caller, payload, .. } = request;
        let (payload, session) = (Payload::receive(payload, session)?, session.clone());
        Ok(Input { session, payload, call, root, depth, deadline, caller, direct: None })
    }

    /// The input of a direct call under this lease.
    pub(super) fn of_direct_call(
        session: &Arc<Session>,
        (lease, caller): (CallNumber, Arc<str>),
        call: DirectCalled,
    ) -> Input {
        let DirectCalled { call, root, depth, deadline, payload, .. } = call;
        Input {
            session: session.clone(),
            payload,
            call: lease,
            root: Some(root),
            depth,
            deadline: Some(deadline),
            caller: Some(caller),
            direct: Some(DirectInput { call, deadline }),
        }
    }

    /// The facts that the calls of its handler take over.
    #[inline]
    pub(super) fn maker(&self) -> Maker {
        Maker {
            call: self.call,
            root: self.call_id(),
            depth: self.depth,
            deadline: self.deadline,
            direct_deadline: self.direct.map(|direct| direct.deadline),
        }
    }

    /// The id of the external call that led to this call, or of this call itself. An older engine
    /// does not tell it; then each call gets an id of its own.
    pub fn call_id(&self) -> CallId {
        self.root.unwrap_or_else(|| CallId::new(self.call.number()))
    }

    /// Writes lines about the call to standard error, from where they reach the function's log.
    /// Each line carries the id of the call.
    pub fn log(&self, text: &[u8]) {
        super::log::log(self.call_id(), text);
    }

    /// The name of the function that this container runs.
    pub fn function(&self) -> &str {
        self.session.function()
    }

    /// The body. It is valid as long as the request.
    pub fn body(&self) -> &[u8] {
        self.payload.body()
    }

    /// The metadata. It is valid as long as the request.
    pub fn metadata(&self) -> Metadata<'_> {
        self.payload.metadata()
    }

    /// The name of the function that made this call; `None` if the call came by the gateway.
    pub fn caller(&self) -> Option<&str> {
        self.caller.as_deref()
    }

    /// The origin of the call.
    pub fn origin(&self) -> Origin<'_> {
        self.caller().map_or(Origin::External, Origin::Internal)
    }

    /// The time left until the deadline. It is zero when the deadline has passed, and `None` if
    /// there is no deadline.
    pub fn time_left(&self) -> Option<Duration> {
        let left = |deadline: NonZeroU64| deadline.get().saturating_sub(now_ns());
        self.deadline.map(|deadline| Duration::from_nanos(left(deadline)))
    }
}
