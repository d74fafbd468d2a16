//! The settings of a container that the control socket's messages name: how it runs its calls,
//! which kind of channel carries its messages, and where it finds its engine.

use crate::protocol::version::{OLDEST_VERSION, VERSION};

/// Environment variable of a container: the engine's control socket.
pub const SOCKET_VARIABLE: &str = "NIGHTCORE_SOCKET";
/// Environment variable of a container: its token, in hex.
pub const TOKEN_VARIABLE: &str = "NIGHTCORE_TOKEN";
/// Environment variable of a container: the name of the function that the process is started for,
/// for programs that need it before they serve. The engine tells it again in WELCOME.
pub const FUNCTION_VARIABLE: &str = "NIGHTCORE_FUNCTION";
/// Environment variable of a container whose output the launcher reads: the key by which its
/// runtime marks lines as being about a call.
pub const LOG_KEY_VARIABLE: &str = "NIGHTCORE_LOG_KEY";

/// How a container runs its calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Mode {
    /// A worker is a thread that runs one call at a time.
    Threads = 0,
    /// One channel, whose worker runs many calls at once.
    EventLoop = 1,
}

/// The kind of a channel: the transport of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelKind {
    /// Two named pipes.
    Fifo,
    /// Two rings in shared memory, with the named pipes as bells.
    Ring,
}

/// Where worker threads run that spin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Placement {
    /// A worker that spins again and again on the engine's core moves to another one.
    Apart = 0,
    /// Where the kernel puts them.
    Free = 1,
}

/// The versions of the protocol that a peer speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The newest.
    pub newest: u16,
    /// The oldest.
    pub oldest: u16,
}

impl Versions {
    /// The versions that this build speaks.
    pub const OURS: Versions = Versions { newest: VERSION, oldest: OLDEST_VERSION };
}

impl Mode {
    /// The mode with this number.
    pub fn from_number(number: u16) -> Option<Mode> {
        [Mode::Threads, Mode::EventLoop].into_iter().find(|mode| *mode as u16 == number)
    }
}

impl Placement {
    /// The placement with this number.
    pub fn from_number(number: u16) -> Option<Placement> {
        [Placement::Apart, Placement::Free]
            .into_iter()
            .find(|placement| *placement as u16 == number)
    }
}
