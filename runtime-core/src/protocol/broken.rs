//! The rules of the protocol that a peer can break.

use super::limits::RING_LINES;

/// A rule of the protocol that the peer broke. It ends the channel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The kind is not known, or may not come from this side.
    #[error("unknown or unexpected kind of message {0}")]
    Kind(u16),
    /// A flag that is not known.
    #[error("unknown flags {0:#06x}")]
    Flags(u16),
    /// The name is too long or is not UTF-8.
    #[error("invalid name of {0} bytes")]
    Name(usize),
    /// Lengths over the limits.
    #[error("impossible lengths: {metadata} bytes of metadata, {body} of body")]
    Lengths {
        /// Bytes of metadata announced.
        metadata: u32,
        /// Bytes of body announced.
        body: u64,
    },
    /// A call the channel does not have.
    #[error("call {0:#x} is not under way on this channel")]
    Call(u64),
    /// An internal call with the number of one that is under way.
    #[error("internal call {0:#x} is under way already on this channel")]
    Invoke(u64),
    /// A caller's id whose name was never told on this channel.
    #[error("the name of function {0} was not told")]
    Caller(u32),
    /// A place in the arena that does not exist.
    #[error("no block {block} of {bytes} bytes in region {region}")]
    Block {
        /// The region named.
        region: u32,
        /// The block named.
        block: u32,
        /// The payload's bytes.
        bytes: u64,
    },
    /// A status that this message cannot carry.
    #[error("invalid status {0}")]
    Status(u32),
    /// A call that must have a deadline has none.
    #[error("a call without a deadline")]
    Deadline,
    /// The channel ended inside a message.
    #[error("the channel ended inside a message")]
    Truncated,
    /// More lines than a ring has.
    #[error("{0} lines are said to be in a ring of {RING_LINES}")]
    Ring(u32),
    /// A worker that asks and does not read what it is answered.
    #[error("{0} messages wait for the worker to read them")]
    Unread(usize),
}
