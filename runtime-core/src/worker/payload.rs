//! A payload that was received, and what a request says about itself.

use super::session::{Session, is_forked};
use crate::clock::now_ns;
use crate::ipc::region::{Region, metadata_offset, payload_bytes};
use crate::protocol::{Broken, CallId, Header, Message, Metadata};
use std::sync::Arc;
use std::time::Duration;

/// Where the bytes are.
#[derive(Debug)]
enum Place {
    Inline(Box<[u8]>),
    Block { region: Arc<Region>, block: u32 },
}

/// Metadata and body as they were received. A block of the arena is given back when this is dropped.
#[derive(Debug)]
pub(super) struct Payload {
    place: Place,
    metadata_len: usize,
    body_len: usize,
}

impl Payload {
    /// The payload of a message from the engine. Waits for a region that is still on its way.
    pub(super) fn receive(message: &Message<'_>, session: &Session) -> Result<Payload, Broken> {
        let header = &message.header;
        let (metadata_len, body_len) = (header.metadata_len as usize, header.body_len as usize);
        let place = if header.region == 0 {
            Place::Inline(message.inline.into())
        } else {
            let bytes = payload_bytes(metadata_len, header.body_len);
            let broken = Broken::Block { region: header.region, block: header.block, bytes };
            let region = session.engine_region(header.region).ok_or(broken.clone())?;
            if !region.contains(header.block, bytes) {
                return Err(broken);
            }
            Place::Block { region, block: header.block }
        };
        Ok(Payload { place, metadata_len, body_len })
    }

    pub(super) fn body(&self) -> &[u8] {
        match &self.place {
            Place::Inline(bytes) => &bytes[self.metadata_len..],
            Place::Block { region, block } => {
                let start = region.pointer(*block, self.body_len as u64);
                // SAFETY: `pointer` checked the range; the engine, which owns the region and is trusted by the
                // container, does not write to the block before it is given back, on drop.
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

/// What a handler was given.
#[derive(Debug)]
pub struct Input {
    pub(super) session: Arc<Session>,
    pub(super) payload: Payload,
    pub(super) call: u64,
    root: u64,
    pub(super) deadline: u64,
    pub(super) caller: Option<Arc<str>>,
}

impl Input {
    /// What came with a `Dispatch` that has this header.
    pub(super) fn new(
        session: Arc<Session>,
        payload: Payload,
        header: &Header,
        caller: Option<Arc<str>>,
    ) -> Input {
        let Header { call, parent: root, deadline, .. } = *header;
        Input { session, payload, call, root, deadline, caller }
    }

    /// The id of the call from outside that led to this one, or is this one. An engine that does not tell gives each call
    /// an id of its own.
    pub fn call_id(&self) -> CallId {
        CallId::below(self.root, self.call)
    }

    /// Writes lines about the call to standard error, whence they come to the function's log, each with the call's id.
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

    /// The time left until the deadline; zero when it has passed, `None` if there is none.
    pub fn time_left(&self) -> Option<Duration> {
        (self.deadline != 0).then(|| Duration::from_nanos(self.deadline.saturating_sub(now_ns())))
    }
}
