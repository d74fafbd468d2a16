//! The container's session with its engine: the control socket, the handshake, the arena.

use super::arena::{Arena, Block, Shared};
use super::callee_end::CalleeEnd;
use super::fork::note_forks;
use super::gone::engine_gone;
use super::leases::Leases;
use super::lents::Lents;
use super::log;
use super::loop_timer::LoopTimer;
use super::memory::Memory;
use super::watch::Watches;
use crate::ipc::board::BoardReader;
use crate::ipc::region::{Region, units_for};
use crate::ipc::socket::{self, ReceivedControl};
use crate::protocol::control::{
    ControlBuffer, CreateWorker, FromEngine, Hello, Mode, RegionRequest, SOCKET_VARIABLE,
    TOKEN_VARIABLE, Versions, Welcome,
};
use crate::protocol::limits::{BLOCK_UNIT_BYTES, REGION_BYTES, TOKEN_BYTES};
use crate::protocol::{CALLER_SINCE_VERSION, Failure, FunctionId, RegionId, Status};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The reason why a process cannot serve. Its text is for the user who started the process.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process was not started by Nightcore.
    #[error(
        "this program is a Nightcore worker and was not started by Nightcore: list it in \
         nightcore.toml and run `nightcore up`, or start it by hand with \
         `nightcore attach FUNCTION -- PROGRAM`"
    )]
    NotStarted,
    /// The engine refused the process.
    #[error("{0}")]
    Refused(String),
    /// No handler was registered.
    #[error("no handler is registered: register one for each function before serving")]
    NoHandlers,
    /// The engine cannot be reached or went away during the handshake.
    #[error("cannot reach the engine at {path}: {error}")]
    Unreachable {
        /// The path of the control socket.
        path: PathBuf,
        /// The error of the system.
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

    /// The exit code for the program: 2 if it was started wrongly, 1 if the engine went away.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartError::EngineGone | StartError::Unreachable { .. } => 1,
            _ => 2,
        }
    }
}

static SERVING: AtomicBool = AtomicBool::new(false);

/// A worker that the engine asks for, and the ends of its channel.
#[derive(Debug)]
pub(super) struct NewWorker {
    pub(super) create: CreateWorker,
    pub(super) descriptors: Vec<OwnedFd>,
}

#[derive(Debug)]
pub(super) struct Session {
    control: OwnedFd,
    function: String,
    max_body_bytes: u64,
    exposes_errors: bool,
    /// The version of the protocol that both sides speak.
    version: u16,
    mode: Mode,
    pub(super) arena: Arena,
    pub(super) watches: Arc<Watches>,
    /// Workers of other functions that may be called directly.
    pub(super) leases: Leases,
    /// Direct channels whose calls workers of this container run.
    pub(super) lents: Lents,
    function_id: Option<FunctionId>,
    /// Shows which functions have queued calls. Without it no function is called directly.
    board: Option<BoardReader>,
    /// Wakes an event loop.
    loop_timer: OnceLock<Arc<LoopTimer>>,
    ended: AtomicBool,
    /// Set when the engine has announced the end, so that the end of the socket is expected.
    shut_down: AtomicBool,
    /// Set at the end of the socket. Nothing more comes then.
    closed: AtomicBool,
}

impl Session {
    /// Connects to the engine and presents the token. `names` are the handlers that this program
    /// has.
    ///
    /// # Errors
    ///
    /// If the process cannot serve.
    pub(super) fn start(names: &[&str], mode: Mode) -> Result<Session, StartError> {
        log::keep_key();
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
        note_forks();
        let control = socket::connect_to(path).map_err(unreachable)?;
        let hello = Hello {
            mode: Ok(mode),
            versions: Versions::OURS,
            token,
            library: concat!("libnightcore ", env!("CARGO_PKG_VERSION")).to_owned(),
            handlers: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        socket::send_control(control.as_fd(), &hello.write(), &[]).map_err(unreachable)?;
        let gone = || {
            unreachable(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"))
        };
        let answer = socket::receive_control(control.as_fd()).map_err(unreachable)?;
        let ReceivedControl { message, descriptors } = answer.ok_or_else(gone)?;
        match message {
            FromEngine::Welcome(welcome) => {
                Session::new(control, welcome, descriptors, mode).map_err(unreachable)
            }
            FromEngine::Refused(refused) => Err(StartError::Refused(refused.text)),
            _ => Err(unreachable(io::Error::new(io::ErrorKind::InvalidData, "unexpected answer"))),
        }
    }

    /// Creates the session that the engine has welcomed.
    pub(super) fn new(
        control: OwnedFd,
        welcome: Welcome,
        descriptors: Vec<OwnedFd>,
        mode: Mode,
    ) -> io::Result<Session> {
        let mut descriptors = descriptors.into_iter();
        let (Some(own), Some(engine)) = (descriptors.next(), descriptors.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the engine sent no arena"));
        };
        let board = descriptors.next().map(|fd| BoardReader::map(&fd)).transpose()?;
        let arena = Arena::new(&own, &engine)?;
        Ok(Session {
            control,
            max_body_bytes: welcome.max_body_bytes,
            exposes_errors: welcome.exposes_errors,
            version: welcome.version,
            mode,
            watches: Arc::new(Watches::new(&welcome.function)),
            leases: Leases::default(),
            lents: Lents::default(),
            function_id: welcome.function_id,
            board,
            function: welcome.function,
            arena,
            loop_timer: OnceLock::new(),
            ended: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        })
    }

    pub(super) fn function(&self) -> &str {
        &self.function
    }

    /// The id of the function, if the engine has told it.
    pub(super) fn function_id(&self) -> Option<FunctionId> {
        self.function_id
    }

    /// The board, if the engine has one.
    pub(super) fn board(&self) -> Option<&BoardReader> {
        self.board.as_ref()
    }

    /// Whether callers see the texts of unexpected errors.
    pub(super) fn exposes_errors(&self) -> bool {
        self.exposes_errors
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

    /// Whether the process can have a caller.
    pub(super) fn can_have_caller(&self) -> bool {
        self.version >= CALLER_SINCE_VERSION
    }

    pub(super) fn was_shut_down(&self) -> bool {
        self.shut_down.load(Ordering::Acquire)
    }

    /// Whether the engine is gone, or no longer listens. Until then memory can be had, even after
    /// the end was announced, so process calls go on.
    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Marks the session as over, and wakes the threads that wait for the engine's memory.
    pub(super) fn end(&self, shut_down: bool) {
        if shut_down {
            self.shut_down.store(true, Ordering::Release);
        } else {
            self.closed.store(true, Ordering::Release);
        }
        self.ended.store(true, Ordering::Release);
        self.arena.wake_all();
        self.leases.end_all(&engine_gone(), self.mode);
        self.lents.end_all();
        self.wake_loop();
    }

    /// Handles a message about memory or the end. Returns a worker that must be created, which is
    /// left to the caller.
    pub(super) fn handle(&self, received: ReceivedControl<FromEngine>) -> Option<NewWorker> {
        let ReceivedControl { message, descriptors } = received;
        match message {
            FromEngine::CreateWorker(create) => return Some(NewWorker { create, descriptors }),
            FromEngine::RegionGranted(granted) => self.arena.granted(granted, descriptors.first()),
            FromEngine::RegionAdded(new) => self.arena.added(new, descriptors.first()),
            FromEngine::RegionDropped(dropped) => self.arena.dropped(dropped.region),
            FromEngine::Shutdown => self.end(true),
            FromEngine::CallerCreated(created) => self.arena.caller_created(created, descriptors),
            FromEngine::Trim => {
                self.drop_idle_regions();
                self.arena.trim();
            }
            FromEngine::Leased(leased) => self.leases.add(leased, descriptors, self.mode),
            FromEngine::Lent(lent) => {
                self.lents.add(lent.lease, CalleeEnd::open(&lent, descriptors, self.mode).ok());
                self.wake_loop();
            }
            FromEngine::LeaseEnded(ended) => {
                self.leases.end(ended, self.mode);
                self.wake_loop();
            }
            // After the handshake these messages have no meaning.
            FromEngine::Welcome(_) | FromEngine::Refused(_) => {}
        }
        None
    }

    /// In an event loop: makes this timer wake the loop, which then handles what came by the
    /// control socket.
    pub(super) fn wake_by(&self, timer: Arc<LoopTimer>) {
        let _ = self.loop_timer.set(timer);
    }

    /// Another thread than the loop's may have read the control socket.
    fn wake_loop(&self) {
        if let Some(timer) = self.loop_timer.get() {
            timer.wake_now();
        }
    }

    /// Sends a control message.
    pub(super) fn send(&self, message: &ControlBuffer) -> io::Result<()> {
        socket::send_control(self.control(), message, &[])
    }

    /// Allocates a block of this many bytes. Asks the engine for a region if there is no room.
    ///
    /// # Errors
    ///
    /// If there is no room, and the engine grants no region.
    pub(super) fn allocate(&self, bytes: u64) -> Result<Block, Failure> {
        if let Some(block) = self.arena.allocate(bytes) {
            return Ok(block);
        }
        let granted = self.request_region(bytes.max(REGION_BYTES));
        let (id, region) = match granted {
            Err(_) if bytes < REGION_BYTES => self.request_region(bytes)?,
            granted => granted?,
        };
        self.drop_idle_regions();
        self.arena
            .add(id, region, bytes)
            .ok_or_else(|| Failure::new(Status::Internal, "the engine granted too small a region"))
    }

    /// Gives regions without blocks back to the engine.
    fn drop_idle_regions(&self) {
        for dropped in self.arena.drop_idle() {
            // If the engine is gone, it need not know.
            let _ = self.send(&dropped.write());
        }
    }

    fn request_region(&self, bytes: u64) -> Result<(RegionId, Arc<Region>), Failure> {
        let request = self.arena.new_request();
        let bytes = units_for(bytes) * BLOCK_UNIT_BYTES as u64;
        self.send(&RegionRequest { request, bytes }.write()).map_err(|_| engine_gone())?;
        self.wait_until(|shared| shared.take_granted(request)).unwrap_or_else(|| Err(engine_gone()))
    }

    /// Finds a region of the engine. Waits for it if its announcement is still on its way.
    pub(super) fn engine_region(&self, id: RegionId) -> Option<Arc<Region>> {
        self.wait_until(|shared| shared.engine.get(&id).cloned())
    }

    /// Waits for something that the launching thread brings. An event loop has no such thread, so
    /// there this reads the control socket itself.
    pub(super) fn wait_until<T>(
        &self,
        mut found: impl FnMut(&mut Shared) -> Option<T>,
    ) -> Option<T> {
        match self.mode {
            Mode::Threads => self.arena.wait_until(found, || self.is_closed()),
            Mode::EventLoop => loop {
                if let Some(found) = self.arena.poll(&mut found) {
                    return Some(found);
                }
                if self.is_closed() {
                    return None;
                }
                self.advance(true);
            },
        }
    }

    /// In an event loop: handles control messages. With `wait`, waits until there was at least one.
    /// Returns the workers that must be created.
    pub(super) fn advance(&self, wait: bool) -> Vec<NewWorker> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let _turn = self.arena.control_turn();
        let mut created = Vec::new();
        let mut timeout = if wait { PollTimeout::from(10u8) } else { PollTimeout::ZERO };
        loop {
            let mut fds = [PollFd::new(self.control(), PollFlags::POLLIN)];
            if !matches!(poll(&mut fds, timeout), Ok(1..)) {
                return created;
            }
            timeout = PollTimeout::ZERO;
            match socket::receive_control(self.control()) {
                Ok(Some(received)) => created.extend(self.handle(received)),
                Ok(None) | Err(_) => {
                    self.end(false);
                    return created;
                }
            }
        }
    }
}

impl Memory for Session {
    fn allocate(&self, bytes: u64) -> Result<Block, Failure> {
        Session::allocate(self, bytes)
    }
}

impl Drop for Session {
    /// Lets the process try to serve again. The engine decides whether it may, and gives a token to
    /// each process only once.
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

/// Ignores SIGPIPE: a write to a pipe whose reader died must be an error, not the end of the
/// process. A handler that the program itself has set is kept.
fn ignore_broken_pipes() {
    // SAFETY: both structs are plain data that sigaction fills or reads. SIG_IGN is a valid
    // disposition.
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
