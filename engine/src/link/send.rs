//! Payloads on their way to a worker: in a message, or by its container's arena, into which large ones are copied in slices.

use super::channel::Channel;
use super::hub::Hub;
use super::payload::Payload;
use crate::dispatch::{CallId, FunctionId};
use nightcore_runtime::ipc::region::{metadata_offset, payload_bytes};
use nightcore_runtime::protocol::limits::MAX_INLINE_BYTES;
use nightcore_runtime::protocol::{Failure, Header};
use std::rc::Rc;
use tokio::task::spawn_local;

/// Bytes copied at once; larger bodies are copied in slices of this size, so that other calls go on.
pub(super) const COPY_SLICE_BYTES: usize = 64 * 1024;

/// What to do if a payload cannot be sent for want of room.
#[derive(Clone, Copy)]
pub(super) enum IfNoRoom {
    EndCall(CallId),
    FailAnswer { tag: u64, function: Option<FunctionId> },
}

impl Hub {
    /// Sends a payload to a worker: inline if it fits, else through its container's arena.
    pub(super) fn send_payload(
        &mut self,
        now: u64,
        channel: &Rc<Channel>,
        mut header: Header,
        name: &[u8],
        payload: Payload,
        if_no_room: IfNoRoom,
    ) {
        header.metadata_len = payload.metadata_len() as u32;
        header.body_len = payload.body_len();
        if payload.len() <= (MAX_INLINE_BYTES - name.len()) as u64 {
            payload.inline(name.len(), |parts| channel.send_named(header, name, parts));
            self.expect(channel);
            return;
        }
        let bytes = payload_bytes(payload.metadata_len(), payload.body_len());
        let Some(container) = self.containers.get_mut(&channel.container) else { return };
        let block = match container.allocate(bytes) {
            Ok(block) => block,
            Err(failure) => {
                let failure = Failure { function: container.identity.name.clone(), ..failure };
                match if_no_room {
                    IfNoRoom::EndCall(call) => self.dispatch.undeliverable(now, call, failure),
                    IfNoRoom::FailAnswer { tag, function } => {
                        channel.send_failure(tag, function, &failure)
                    }
                }
                return;
            }
        };
        self.arena_payloads += 1;
        (header.region, header.block) = (block.region_id, block.block);
        let copy = Copy { payload, block, bytes };
        if header.body_len <= COPY_SLICE_BYTES as u64 {
            copy.metadata();
            copy.slice(0);
            channel.send_named(header, name, &[]);
            self.expect(channel);
        } else {
            let (channel, name, hub) = (channel.clone(), name.to_vec(), self.this.clone());
            let dispatched = match if_no_room {
                IfNoRoom::EndCall(call) => Some(call),
                IfNoRoom::FailAnswer { .. } => None,
            };
            channel.copying.borrow_mut().extend(dispatched);
            spawn_local(async move {
                copy.metadata();
                let mut offset = 0;
                while offset < header.body_len {
                    offset += copy.slice(offset);
                    tokio::task::yield_now().await;
                }
                drop(copy);
                channel.copying.borrow_mut().retain(|call| Some(*call) != dispatched);
                channel.send_named(header, &name, &[]);
                if let Some(hub) = hub.upgrade() {
                    hub.borrow_mut().expect(&channel);
                }
            });
        }
    }
}

/// A copy into a container's memory.
struct Copy {
    payload: Payload,
    block: super::arena::Block,
    bytes: u64,
}

impl Copy {
    fn metadata(&self) {
        let len = self.payload.metadata_len();
        let offset = metadata_offset(self.payload.body_len()) as usize;
        // SAFETY: `pointer` checked that the block of `bytes`, which is offset + len, is inside the map. The engine took
        // the block and is its only writer; the container has not been told of it yet.
        let to = unsafe {
            let start = self.block.region.pointer(self.block.block, self.bytes);
            std::slice::from_raw_parts_mut(start.add(offset), len)
        };
        self.payload.copy_metadata(to);
    }

    /// Copies the slice of the body at `offset`; returns its length.
    fn slice(&self, offset: u64) -> u64 {
        let len = (self.payload.body_len() - offset).min(COPY_SLICE_BYTES as u64);
        // SAFETY: as in `metadata`; offset + len is at most the body's length, with which the block begins.
        let to = unsafe {
            let start = self.block.region.pointer(self.block.block, self.bytes);
            std::slice::from_raw_parts_mut(start.add(offset as usize), len as usize)
        };
        self.payload.copy_body(offset, to);
        len
    }
}
