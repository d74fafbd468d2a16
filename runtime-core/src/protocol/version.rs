//! The versions of the protocol, and what each one brought.

/// The newest version of the protocol that this build speaks.
pub const VERSION: u16 = 5;
/// The oldest version of the protocol that this build still speaks.
pub const OLDEST_VERSION: u16 = 1;
/// The first version that has rings ([`super::control::ChannelKind::Ring`]), placements and TRIM.
pub const RING_SINCE_VERSION: u16 = 2;
/// The first version in which a cancellation carries its reason.
pub const CANCEL_REASON_SINCE_VERSION: u16 = 3;
/// The first version that has direct channels between containers.
pub const DIRECT_SINCE_VERSION: u16 = 4;
/// The first version in which a container may call outside of any request.
pub const CALLER_SINCE_VERSION: u16 = 5;
