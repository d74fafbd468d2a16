//! Why the bytes of a datagram are not a control message.

/// Why a control message is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// The lengths do not agree.
    #[error("a control message of {0} bytes has wrong lengths")]
    Short(usize),
    /// The kind is not known, or does not come from this side.
    #[error("unknown or unexpected kind of control message {0}")]
    Kind(u16),
    /// Reserved bytes are not zero.
    #[error("reserved bytes of a control message are not zero")]
    Reserved,
    /// The text is not UTF-8.
    #[error("the text of a control message is not UTF-8")]
    Text,
    /// A slot that no container has.
    #[error("no container has a worker slot {0}")]
    Slot(u64),
    /// A region that cannot be.
    #[error("there is no region {0}")]
    Region(u32),
    /// A region larger than any can be.
    #[error("no region has {0} units")]
    Units(u64),
    /// A status that this message cannot carry.
    #[error("invalid status {0} in a control message")]
    Status(u32),
    /// A lease without a number or a function.
    #[error("a lease is not named")]
    Lease,
    /// A placement that is not known.
    #[error("unknown placement {0}")]
    Placement(u16),
}
