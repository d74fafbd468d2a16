//! How bytes move between the engine and a container: named pipes, shared memory, the control socket.

pub mod channel;
pub mod inbox;
pub mod region;
pub mod socket;
