//! The container's tie to its engine: the control socket, the handshake, the arena.

use super::arena::{Arena, Shared};
use super::watch::Watches;
use crate::ipc::region::Region;
use crate::ipc::socket::{self, Received};
use crate::protocol::control::{Control, ControlKind, Mode, SOCKET_VARIABLE, TOKEN_VARIABLE};
use crate::protocol::limits::TOKEN_BYTES;
use crate::protocol::{Failure, OLDEST_VERSION, Status, VERSION};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};

/// Why a process cannot serve. Its text is meant for the person who started it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process was not started by Nightcore.
    #[error(
        "this program is a Nightcore worker and was not started by Nightcore: list it in nightcore.toml and run \
         `nightcore up`, or start it by hand with `nightcore attach FUNCTION -- PROGRAM`"
    )]
    NotStarted,
    /// The engine said no.
    #[error("{0}")]
    Refused(String),
    /// No handler was registered.
    #[error("no handler is registered: register one for each function before serving")]
    NoHandlers,
    /// The engine cannot be reached or went away during the handshake.
    #[error("cannot reach the engine at {path}: {error}")]
    Unreachable {
        /// The control socket.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The engine went away while functions were served.
    #[error("the engine has gone")]
    EngineGone,
    /// The process serves already.
    #[error("this process serves already: one process hosts one function")]
    AlreadyServing,
}

impl StartError {
    /// The status that a C program sees.
    pub fn status(&self) -> Status {
        match self {
            StartError::NotStarted => Status::NotStarted,
            StartError::Refused(_) => Status::Refused,
            StartError::NoHandlers => Status::InvalidArgument,
            StartError::Unreachable { .. } => Status::Unavailable,
            StartError::EngineGone => Status::Ended,
            StartError::AlreadyServing => Status::InvalidState,
        }
    }

    /// The exit code that a program ends with: 2 if it was started wrongly, 1 if the engine went away.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::EngineGone | StartError::Unreachable { .. } => 1,
            _ => 2,
        }
    }
}

static FORKED: AtomicBool = AtomicBool::new(false);
static SERVING: AtomicBool = AtomicBool::new(false);

extern "C" fn note_fork() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Whether this process is a fork of one that serves; its handles belong to the parent.
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// The failure of every operation after a fork.
pub(super) fn forked() -> Failure {
    Failure::new(
        Status::Forked,
        "this process is a fork of a worker: its requests belong to the parent",
    )
}

/// The failure of a call whose engine is gone.
pub(super) fn engine_gone() -> Failure {
    Failure::new(Status::Unavailable, "the engine has gone")
}

#[derive(Debug)]
pub(super) struct Session {
    control: OwnedFd,
    function: String,
    max_body_bytes: u64,
    mode: Mode,
    pub(super) arena: Arena,
    pub(super) watches: Watches,
    ended: AtomicBool,
    /// Set when the engine announced the end, so that the end of the socket is a normal one.
    shut_down: AtomicBool,
}

impl Session {
    /// Connects to the engine and shows the token. `names`: the handlers that this program has.
    pub(super) fn start(names: &[&str], mode: Mode) -> Result<Session, StartError> {
        let path =
            std::env::var_os(SOCKET_VARIABLE).map(PathBuf::from).ok_or(StartError::NotStarted)?;
        let token = std::env::var(TOKEN_VARIABLE).ok().and_then(|hex| parse_token(&hex));
        let token = token.ok_or(StartError::NotStarted)?;
        if names.is_empty() {
            return Err(StartError::NoHandlers);
        }
        if SERVING.swap(true, Ordering::Relaxed) {
            return Err(StartError::AlreadyServing);
        }
        let session = Session::shake_hands(&path, token, names, mode);
        if session.is_err() {
            SERVING.store(false, Ordering::Relaxed);
        }
        session
    }

    fn shake_hands(
        path: &Path,
        token: [u8; TOKEN_BYTES],
        names: &[&str],
        mode: Mode,
    ) -> Result<Session, StartError> {
        let unreachable = |error| StartError::Unreachable { path: path.to_owned(), error };
        ignore_broken_pipes();
        static NOTES_FORKS: Once = Once::new();
        // SAFETY: the handler only stores to an atomic, which is safe in the child of a fork.
        NOTES_FORKS.call_once(|| unsafe {
            libc::pthread_atfork(None, None, Some(note_fork));
        });
        let control = socket::connect_to(path).map_err(unreachable)?;
        let hello = Control {
            mode: mode as u16,
            version: VERSION,
            oldest_version: OLDEST_VERSION,
            token,
            ..Control::new(ControlKind::Hello)
        };
        let text =
            [&[concat!("libnightcore ", env!("CARGO_PKG_VERSION"))], names].concat().join("\n");
        socket::send(control.as_fd(), hello, &text, &[]).map_err(unreachable)?;
        let gone = || {
            unreachable(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"))
        };
        let answer = socket::receive(control.as_fd()).map_err(unreachable)?.ok_or_else(gone)?;
        match answer.kind {
            ControlKind::Welcome => {
                Session::from_welcome(control, answer, mode).map_err(unreachable)
            }
            ControlKind::Refused => Err(StartError::Refused(answer.text)),
            _ => Err(unreachable(io::Error::new(io::ErrorKind::InvalidData, "unexpected answer"))),
        }
    }

    fn from_welcome(control: OwnedFd, welcome: Received, mode: Mode) -> io::Result<Session> {
        let [own, engine]: [OwnedFd; 2] = welcome
            .descriptors
            .try_into()
            .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "the engine sent no arena"))?;
        Ok(Session {
            control,
            function: welcome.text,
            max_body_bytes: welcome.control.size,
            mode,
            arena: Arena::new(&own, &engine)?,
            watches: Watches::default(),
            ended: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
        })
    }

    pub(super) fn function(&self) -> &str {
        &self.function
    }

    pub(super) fn max_body_bytes(&self) -> u64 {
        self.max_body_bytes
    }

    pub(super) fn control(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn was_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Acquire)
    }

    /// Marks the session as over and wakes who waits for the engine's memory.
    pub(super) fn end(&self, shut_down: bool) {
        if shut_down {
            self.shut_down.store(true, Ordering::Release);
        }
        self.ended.store(true, Ordering::Release);
        self.arena.wake_all();
    }

    /// Handles what concerns memory and the end; anything else is the caller's.
    pub(super) fn handle(&self, received: Received) -> Option<Received> {
        match received.kind {
            ControlKind::RegionGranted => self.arena.granted(&received),
            ControlKind::RegionAdded => self.arena.added(&received),
            ControlKind::RegionDropped => self.arena.dropped(received.control.region),
            ControlKind::Shutdown => self.end(true),
            ControlKind::Trim => self.arena.trim(self),
            _ => return Some(received),
        }
        None
    }

    /// A region of the engine's; waits for one whose announcement is still on its way.
    pub(super) fn engine_region(&self, id: u32) -> Option<Arc<Region>> {
        self.wait_until(|shared| shared.engine.get(&id).cloned())
    }

    /// Waits for what the launching thread brings; in an event loop, which has none, reads the control
    /// socket itself.
    pub(super) fn wait_until<T>(
        &self,
        mut found: impl FnMut(&mut Shared) -> Option<T>,
    ) -> Option<T> {
        match self.mode {
            Mode::Threads => self.arena.wait_until(found, || self.has_ended()),
            Mode::EventLoop => loop {
                if let Some(found) = self.arena.look(&mut found) {
                    return Some(found);
                }
                if self.has_ended() {
                    return None;
                }
                self.advance(true);
            },
        }
    }

    /// Event loop: handles control messages; if `wait`, until there was at least one.
    pub(super) fn advance(&self, wait: bool) -> Vec<Received> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let _turn = self.arena.control_turn();
        let mut others = Vec::new();
        let mut timeout = if wait { PollTimeout::from(10u8) } else { PollTimeout::ZERO };
        loop {
            let mut fds = [PollFd::new(self.control(), PollFlags::POLLIN)];
            if !matches!(poll(&mut fds, timeout), Ok(1..)) {
                return others;
            }
            timeout = PollTimeout::ZERO;
            match socket::receive(self.control()) {
                Ok(Some(received)) => others.extend(self.handle(received)),
                Ok(None) | Err(_) => {
                    self.end(false);
                    return others;
                }
            }
        }
    }
}

impl Drop for Session {
    /// Whether this process may serve once more is for the engine to say, which gives a token to each process once.
    fn drop(&mut self) {
        SERVING.store(false, Ordering::Relaxed);
    }
}

fn parse_token(hex: &str) -> Option<[u8; TOKEN_BYTES]> {
    let mut token = [0; TOKEN_BYTES];
    if hex.len() != TOKEN_BYTES * 2 || !hex.is_ascii() {
        return None;
    }
    for (i, byte) in token.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[i * 2..i * 2 + 2], 16).ok()?;
    }
    Some(token)
}

/// A write to a pipe whose reader died must be an error, not the end of the process. A handler that the program
/// itself has set is left alone.
fn ignore_broken_pipes() {
    // SAFETY: both structs are plain data that sigaction fills or reads; SIG_IGN is a valid disposition.
    unsafe {
        let mut current: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGPIPE, std::ptr::null(), &mut current) == 0
            && current.sa_sigaction == libc::SIG_DFL
        {
            libc::signal(libc::SIGPIPE, libc::SIG_IGN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_hex_of_the_right_length() {
        assert_eq!(
            parse_token("000102030405060708090a0b0c0d0e0f"),
            Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
        );
        assert_eq!(parse_token("00"), None);
        assert_eq!(parse_token(&"zz".repeat(16)), None);
        assert_eq!(parse_token(&"é".repeat(16)), None);
    }

    #[test]
    fn a_program_started_by_hand_is_told_how_to_start_it() {
        let error = Session::start(&["Foo"], Mode::Threads).unwrap_err();
        assert!(error.to_string().contains("nightcore up"), "{error}");
        assert_eq!(error.exit_code(), 2);
    }
}
