//! How bytes move between the engine and a container: named pipes, shared memory and the control
//! socket.

pub mod bell;
pub mod board;
pub mod channel;
pub mod desk;
pub mod direct;
mod futex;
pub mod inbox;
pub mod place;
pub mod region;
pub mod ring;
pub mod slice;
pub mod socket;
pub mod spin;
pub mod yielding_spin;
