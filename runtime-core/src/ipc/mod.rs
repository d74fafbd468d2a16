//! How bytes move between the engine and a container: named pipes, shared memory and the control
//! socket.

pub mod bell;
pub mod channel;
pub mod inbox;
pub mod look;
pub mod place;
pub mod region;
pub mod ring;
pub mod slice;
pub mod socket;
