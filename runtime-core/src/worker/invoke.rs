//! Makes the messages a worker sends: calls of other functions, answers, failures.

use super::arena::{Buffer, too_large};
use super::session::Session;
use crate::clock::now_ns;
use crate::ipc::region::{metadata_offset, payload_bytes};
use crate::protocol::limits::{MAX_INLINE_BYTES, MAX_METADATA_BYTES};
use crate::protocol::message::FLAG_WAITS;
use crate::protocol::{Failure, Header, Kind, MessageBuffer, MetadataBuffer, Status, name};
use std::time::Duration;

/// What may be said about an internal call beside its body.
#[derive(Clone, Debug, Default)]
pub struct CallOptions {
    /// Ends the call if it takes longer; the deadline of the request holds in any case.
    pub timeout: Option<Duration>,
    /// Metadata for the callee.
    pub metadata: MetadataBuffer,
}

/// The body of a call or an answer.
pub enum Body<'a> {
    /// These bytes, one after the other.
    Parts(&'a [&'a [u8]]),
    /// The first bytes of a buffer of the arena.
    Buffer(Buffer, usize),
}

/// A message with this payload: inline if it fits, else by the arena.
pub(super) fn message(
    session: &Session,
    mut header: Header,
    name: &[u8],
    metadata: &[u8],
    body: Body<'_>,
) -> Result<MessageBuffer, Failure> {
    if metadata.len() > MAX_METADATA_BYTES {
        return Err(Failure::new(
            Status::PayloadTooLarge,
            crate::protocol::MetadataError::TooLarge.to_string(),
        ));
    }
    header.metadata_len = metadata.len() as u32;
    match body {
        Body::Parts(parts) => {
            let body_len: usize = parts.iter().map(|part| part.len()).sum();
            if body_len as u64 > session.max_body_bytes() {
                return Err(too_large(body_len as u64, session.max_body_bytes()));
            }
            header.body_len = body_len as u64;
            if name.len() + metadata.len() + body_len <= MAX_INLINE_BYTES {
                return Ok(match parts {
                    [one] => MessageBuffer::new(header, name, &[metadata, one]),
                    _ => MessageBuffer::new(header, name, &[&[metadata], parts].concat()),
                });
            }
            let bytes = payload_bytes(metadata.len(), body_len as u64);
            let block = session.arena.allocate(bytes, session)?;
            let mut to = block.region.pointer(block.block, bytes);
            for part in parts {
                // SAFETY: the block is `bytes` long, which covers all parts and then the metadata; it was just
                // taken by this process, so nothing else writes to it, and `part` is not in it.
                unsafe {
                    std::ptr::copy_nonoverlapping(part.as_ptr(), to, part.len());
                    to = to.add(part.len());
                }
            }
            (header.region, header.block) = (block.region_id, block.block);
            put_metadata(&block.region, &header, metadata);
        }
        Body::Buffer(buffer, len) => {
            if len > buffer.capacity() {
                return Err(Failure::new(
                    Status::InvalidArgument,
                    "more bytes than the buffer has",
                ));
            }
            header.body_len = len as u64;
            let block = buffer.into_block();
            (header.region, header.block) = (block.region_id, block.block);
            put_metadata(&block.region, &header, metadata);
        }
    }
    Ok(MessageBuffer::new(header, name, &[]))
}

fn put_metadata(region: &crate::ipc::region::Region, header: &Header, metadata: &[u8]) {
    let start = region.pointer(header.block, payload_bytes(metadata.len(), header.body_len));
    // SAFETY: `pointer` checked that body and metadata lie in the region; the block belongs to this process.
    unsafe {
        let to = start.add(metadata_offset(header.body_len) as usize);
        std::ptr::copy_nonoverlapping(metadata.as_ptr(), to, metadata.len());
    }
}

/// An INVOKE for `parent`.
pub(super) struct Invoke<'a> {
    pub(super) call: u64,
    pub(super) parent: u64,
    pub(super) name: &'a str,
    /// The callee's id, 0 if it is not known yet: then the name is sent.
    pub(super) function: u32,
    pub(super) waits: bool,
    pub(super) options: &'a CallOptions,
}

impl Invoke<'_> {
    pub(super) fn message(
        &self,
        session: &Session,
        body: Body<'_>,
    ) -> Result<MessageBuffer, Failure> {
        if !name::is_valid(self.name) {
            return Err(Failure::new(
                Status::NotFound,
                format!("{:?} is not a name of a function", self.name),
            ));
        }
        let sent_at = now_ns();
        let timeout = self.options.timeout.map(|t| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX));
        let header = Header {
            flags: if self.waits { FLAG_WAITS } else { 0 },
            parent: self.parent,
            function: self.function,
            deadline: timeout.map_or(0, |t| sent_at.saturating_add(t)),
            sent_at,
            ..Header::new(Kind::Invoke, self.call)
        };
        let name = if self.function == 0 { self.name.as_bytes() } else { b"" };
        message(session, header, name, self.options.metadata.as_bytes(), body)
    }
}

/// The COMPLETE of a request.
pub(super) fn complete(
    session: &Session,
    call: u64,
    began_at: u64,
    metadata: &[u8],
    body: Body<'_>,
) -> Result<MessageBuffer, Failure> {
    let header = Header { parent: began_at, ..Header::new(Kind::Complete, call) };
    message(session, header, b"", metadata, body)
}

/// The FAILED of a request.
pub(super) fn failed(call: u64, began_at: u64, failure: &Failure) -> MessageBuffer {
    let (metadata, text) = failure.encode();
    let status = if failure.status.ends_a_call() { failure.status } else { Status::FunctionFailed };
    let header = Header {
        status: status.number(),
        parent: began_at,
        metadata_len: metadata.as_bytes().len() as u32,
        body_len: text.len() as u64,
        ..Header::new(Kind::Failed, call)
    };
    MessageBuffer::new(header, b"", &[metadata.as_bytes(), text.as_bytes()])
}
