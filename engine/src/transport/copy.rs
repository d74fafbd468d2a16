//! Copies payloads that are too large for a message into a container's memory, or out of it.
//!
//! Large payloads are copied in slices. Other calls go on between two slices.

use super::arena::EngineBlock;
use super::channel::Channel;
use super::outgoing::Outgoing;
use super::payload::Payload;
use crate::buffer::Buffer;
use crate::ids::{CallNumber, FunctionId};
use bytes::Bytes;
use nightcore_runtime::ipc::region::{metadata_offset, payload_bytes};
use nightcore_runtime::protocol::{BlockPayload, MessageBuffer, WirePayload};
use std::io;
use std::rc::Rc;

/// Bytes that are copied at once.
const SLICE_BYTES: usize = 64 * 1024;

/// A message whose payload is copied into its container's memory before it can be sent.
pub struct BlockCopy {
    channel: Rc<Channel>,
    /// The message, which already names the block.
    message: MessageBuffer,
    /// The function whose name the message tells.
    told: Option<FunctionId>,
    payload: Payload,
    block: EngineBlock,
    /// The call that the message dispatches; `None` if it is an answer.
    call: Option<CallNumber>,
}

impl BlockCopy {
    /// Prepares to copy a payload into this block, and writes the message that names the block.
    pub(super) fn new(
        channel: &Rc<Channel>,
        message: Outgoing<'_>,
        payload: Payload,
        block: EngineBlock,
    ) -> BlockCopy {
        let (told, call) = (message.told(), message.call());
        let message = message.write(WirePayload::Block(BlockPayload {
            region: block.region_id,
            block: block.block,
            metadata_len: payload.metadata_len(),
            body_len: payload.body_len(),
        }));
        BlockCopy { channel: channel.clone(), message, told, payload, block, call }
    }

    /// Whether the payload fits into one slice.
    pub(super) fn is_short(&self) -> bool {
        self.payload.body_len() <= SLICE_BYTES as u64
    }

    /// Copies the whole payload, in one slice.
    pub(super) fn run_short(&self) {
        self.metadata();
        self.slice(0);
    }

    /// Notes in the channel that the call waits for the copy.
    pub(super) fn begin(&self) {
        if let Some(call) = self.call {
            self.channel.begin_copy(call);
        }
    }

    /// Copies the whole payload, slice by slice.
    pub(crate) async fn run(&self) {
        self.metadata();
        let mut offset = 0;
        while offset < self.payload.body_len() {
            offset += self.slice(offset);
            tokio::task::yield_now().await;
        }
    }

    /// Sends the message, and returns its channel.
    pub(crate) fn send(self) -> Rc<Channel> {
        let BlockCopy { channel, message, told, payload, block, call } = self;
        // The payload is dropped before the message is sent, which gives the block it came in back
        // to its container: another call may need that block before this container has read the
        // message.
        drop((payload, block));
        if let Some(call) = call {
            channel.end_copy(call);
        }
        channel.send_telling(&message, told);
        channel
    }

    fn metadata(&self) {
        let offset = metadata_offset(self.payload.body_len()) as usize;
        let len = self.payload.metadata_len();
        // SAFETY: `start` checked that the block has room for a body of this length with metadata
        // of `len` behind it at `offset`, and is inside the map. The engine took the block and is
        // its only writer; the container has not been told of it yet.
        let to = unsafe { std::slice::from_raw_parts_mut(self.start().add(offset), len) };
        self.payload.copy_metadata(to);
    }

    /// Copies the slice of the body at `offset`; returns its length.
    fn slice(&self, offset: u64) -> u64 {
        let len = (self.payload.body_len() - offset).min(SLICE_BYTES as u64);
        // SAFETY: `start` checked that the block, which begins with the body, is inside the map,
        // and offset + len is at most the body's length. The engine took the block and is its only
        // writer; the container has not been told of it yet.
        let to = unsafe {
            std::slice::from_raw_parts_mut(self.start().add(offset as usize), len as usize)
        };
        self.payload.copy_body(offset, to);
        len
    }

    /// Where the block begins. Checks that the payload fits into the mapped region.
    fn start(&self) -> *mut u8 {
        let bytes = payload_bytes(self.payload.metadata_len(), self.payload.body_len());
        self.block.region.pointer(self.block.block, bytes)
    }
}

/// Copies an answer out of a container's memory. Returns its metadata and its body.
///
/// # Errors
///
/// If the system has no memory for the body.
pub(crate) async fn collect(payload: Payload) -> io::Result<(Vec<u8>, Bytes)> {
    let mut metadata = vec![0; payload.metadata_len()];
    payload.copy_metadata(&mut metadata);
    let body = match payload {
        Payload::Http { body, .. } => body,
        Payload::Inline { bytes, metadata_len } => Bytes::copy_from_slice(&bytes[metadata_len..]),
        Payload::Block(_) | Payload::Shared(_) => {
            let len = payload.body_len() as usize;
            let mut body = Buffer::with_capacity(len)?;
            let mut offset = 0;
            while offset < len {
                if offset > 0 {
                    tokio::task::yield_now().await;
                }
                let bytes = (len - offset).min(SLICE_BYTES);
                body.push_with(bytes, |slice| payload.copy_body(offset as u64, slice))?;
                offset += bytes;
            }
            body.freeze()
        }
    };
    Ok((metadata, body))
}
