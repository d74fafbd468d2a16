//! A payload that was received, and what a request says about itself.

use super::fork::is_forked;
use super::memory::DirectMemory;
use super::protocol::HeardRequest;
use super::session::Session;
use crate::clock::now_ns;
use crate::ipc::region::{Region, metadata_offset, payload_bytes};
use crate::protocol::direct::DirectCall;
use crate::protocol::{Broken, CallId, CallNumber, InlinePayload, Message, Metadata, WirePayload};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

/// Where the bytes are.
#[derive(Debug)]
enum Place {
    Inline(Box<[u8]>),
    Block { region: Arc<Region>, block: u32 },
}

/// Metadata and body as they were received. A block of the arena is given back when this is
/// dropped.
#[derive(Debug)]
pub(super) struct Payload {
    place: Place,
    metadata_len: usize,
    body_len: usize,
}

impl Payload {
    fn inline(inline: InlinePayload<'_>) -> Payload {
        Payload {
            place: Place::Inline([inline.metadata, inline.body].concat().into()),
            metadata_len: inline.metadata.len(),
            body_len: inline.body.len(),
        }
    }

    /// The payload of a message from the engine. Waits for a region that is still on its way.
    ///
    /// # Errors
    /// If the payload lies where there is no memory.
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
                    place: Place::Block { region, block: place.block },
                    metadata_len: place.metadata_len,
                    body_len: place.body_len as usize,
                })
            }
        }
    }

    /// The payload of a message of a direct channel. It is copied out at once: the peer is not
    /// trusted to leave its memory as it is.
    ///
    /// # Errors
    /// If the payload lies where there is no memory.
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
        Ok(Payload { place: Place::Inline(copy.into()), metadata_len, body_len })
    }

    pub(super) fn body(&self) -> &[u8] {
        match &self.place {
            Place::Inline(bytes) => &bytes[self.metadata_len..],
            Place::Block { region, block } => {
                let start = region.pointer(*block, self.body_len as u64);
                // SAFETY: `pointer` checked the range; the engine, which owns the region and is
                // trusted by the container, does not write to the block before it is given back, on
                // drop.
                unsafe { std::slice::from_raw_parts(start, self.body_len) }
            }
        }
    }

    /// The metadata; empty if it is malformed, as an internal caller's may be.
    pub(super) fn metadata(&self) -> Metadata<'_> {
        let bytes = match &self.place {
            Place::Inline(bytes) => &bytes[..self.metadata_len],
            Place::Block { region, block } => {
                let bytes = payload_bytes(self.metadata_len, self.body_len as u64);
                let start = region.pointer(*block, bytes);
                let offset = metadata_offset(self.body_len as u64) as usize;
                // SAFETY: as in `body`; offset + metadata_len is what `pointer` checked.
                unsafe { std::slice::from_raw_parts(start.add(offset), self.metadata_len) }
            }
        };
        Metadata::parse(bytes).unwrap_or_default()
    }
}

impl Drop for Payload {
    /// In a fork the block is still the parent's, which may be reading it.
    fn drop(&mut self) {
        if let Place::Block { region, block } = &self.place
            && !is_forked()
        {
            region.give_back(*block);
        }
    }
}

/// Where a call came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin<'a> {
    /// It came in by the gateway.
    External,
    /// This function made it.
    Internal(&'a str),
}

/// A direct call that has come, out of its caller's reach.
#[derive(Debug)]
pub(super) struct DirectCalled {
    /// The caller's number for it.
    pub(super) call: CallNumber,
    root: CallId,
    depth: u32,
    pub(super) deadline: NonZeroU64,
    /// When it was sent, in ns of the monotonic clock.
    pub(super) sent_at: u64,
    payload: Payload,
}

impl DirectCalled {
    /// What a message from the caller says.
    ///
    /// # Errors
    /// If it is no direct call, or its payload lies where there is no memory.
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

/// What is known of a direct call alone.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectInput {
    /// The caller's number for it.
    pub(super) call: CallNumber,
    pub(super) deadline: NonZeroU64,
}

/// What calls that a handler makes take over from its own call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker {
    /// The engine's number of the handler's call; of a direct call, that of its lease.
    pub(super) call: CallNumber,
    /// The call from outside that led to it, or that it is.
    pub(super) root: CallId,
    /// How many calls are above it.
    pub(super) depth: u32,
    /// When it must have ended, in ns of the monotonic clock.
    pub(super) deadline: Option<NonZeroU64>,
    /// The deadline of a direct call.
    pub(super) direct_deadline: Option<NonZeroU64>,
}

/// What a handler was given.
#[derive(Debug)]
pub struct Input {
    pub(super) session: Arc<Session>,
    payload: Payload,
    /// The engine's number; of a direct call, that of its lease.
    pub(super) call: CallNumber,
    root: Option<CallId>,
    /// How many calls are above it.
    pub(super) depth: u32,
    /// What is known of a direct call alone.
    pub(super) direct: Option<DirectInput>,
    deadline: Option<NonZeroU64>,
    caller: Option<Arc<str>>,
}

impl Input {
    /// What came with a DISPATCH.
    ///
    /// # Errors
    /// If the payload lies where there is no memory.
    pub(super) fn receive(
        request: HeardRequest<'_>,
        session: &Arc<Session>,
    ) -> Result<Input, Broken> {
        let HeardRequest { call, root, depth, deadline, caller, payload, .. } = request;
        let (payload, session) = (Payload::receive(payload, session)?, session.clone());
        Ok(Input { session, payload, call, root, depth, deadline, caller, direct: None })
    }

    /// What came with a direct call under this lease.
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

    /// What calls of its handler take over.
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

    /// The id of the call from outside that led to this one, or is this one. An engine that does
    /// not tell it gives each call an id of its own.
    pub fn call_id(&self) -> CallId {
        self.root.unwrap_or_else(|| CallId::new(self.call.number()))
    }

    /// Writes lines about the call to standard error, from where they reach the log of the
    /// function, each with the id of the call.
    pub fn log(&self, text: &[u8]) {
        super::log::log(self.call_id(), text);
    }

    /// The function this container runs.
    pub fn function(&self) -> &str {
        self.session.function()
    }

    /// The body, valid as long as the request.
    pub fn body(&self) -> &[u8] {
        self.payload.body()
    }

    /// The metadata, valid as long as the request.
    pub fn metadata(&self) -> Metadata<'_> {
        self.payload.metadata()
    }

    /// The function that made this call; `None` if it came in by the gateway.
    pub fn caller(&self) -> Option<&str> {
        self.caller.as_deref()
    }

    /// Where the call came from.
    pub fn origin(&self) -> Origin<'_> {
        self.caller().map_or(Origin::External, Origin::Internal)
    }

    /// The time left until the deadline; zero when it has passed, `None` if there is none.
    pub fn time_left(&self) -> Option<Duration> {
        let left = |deadline: NonZeroU64| deadline.get().saturating_sub(now_ns());
        self.deadline.map(|deadline| Duration::from_nanos(left(deadline)))
    }
}
