//! The engine's side of one container's connection: the control socket, the handshake, and the
//! channel of the container's worker.

use nightcore_runtime::ipc::board::Board;
use nightcore_runtime::ipc::channel::Pipe;
use nightcore_runtime::ipc::desk::Desk;
use nightcore_runtime::ipc::region;
use nightcore_runtime::ipc::ring::{self, RingFile, RingReader, RingWriter, Side};
use nightcore_runtime::ipc::socket::{self, ReceivedControl};
use nightcore_runtime::protocol::control::{
    ContainerNumber, CreateWorker, FromContainer, Placement, SOCKET_VARIABLE, TOKEN_VARIABLE,
    Welcome, WorkerSlot,
};
use nightcore_runtime::protocol::limits::BASE_UNITS;
use nightcore_runtime::protocol::{FunctionId, VERSION};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept, bind, listen,
    socket as new_socket,
};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use tempfile::TempDir;

/// The function of the container.
pub(crate) const HONEST: &str = "Honest";

/// Admits one container, and holds what it shares with the engine.
pub(crate) struct EngineSide {
    listener: OwnedFd,
    _directory: TempDir,
    pub(crate) board: (Board, OwnedFd),
    /// The container's region, and the engine's.
    pub(crate) regions: [OwnedFd; 2],
}

/// A worker's channel, and the descriptors that the container gets.
pub(crate) struct Worker {
    pub(crate) to: RingWriter,
    pub(crate) from: RingReader,
    pub(crate) desk: Desk,
    pub(crate) bell: OwnedFd,
    heard: OwnedFd,
}

impl Worker {
    pub(crate) fn create() -> (Worker, Vec<OwnedFd>) {
        let rings = ring::create_file_with_seats().expect("shared memory");
        let file = RingFile::map(&rings).expect("rings");
        let (to, from) = file.ends(Side::Engine);
        let desk = Desk::of(&file).expect("seats");
        let pipes = [(); 2].map(|()| Pipe::without_name().expect("a pipe"));
        let [to_worker, from_worker] = pipes;
        let worker = Worker { to, from, desk, bell: to_worker.writer, heard: from_worker.reader };
        (worker, vec![to_worker.reader, from_worker.writer, rings])
    }

    /// Returns whether the container has closed its ends.
    pub(crate) fn is_gone(&self) -> bool {
        let mut bytes = [0; 64];
        while let Ok(read) = nix::unistd::read(&self.heard, &mut bytes) {
            if read == 0 {
                return true;
            }
        }
        false
    }
}

impl EngineSide {
    /// Opens the control socket for this process.
    pub(crate) fn open() -> EngineSide {
        let directory = tempfile::Builder::new().prefix("ncd").tempdir().expect("a folder");
        let path = directory.path().join("control");
        let flags = SockFlag::SOCK_CLOEXEC;
        let listener = new_socket(AddressFamily::Unix, SockType::SeqPacket, flags, None);
        let listener = listener.expect("a socket");
        bind(listener.as_raw_fd(), &UnixAddr::new(&path).expect("a path")).expect("a free name");
        listen(&listener, Backlog::new(1).expect("small")).expect("a socket");
        // SAFETY: no thread of this process reads its environment now.
        unsafe {
            std::env::set_var(SOCKET_VARIABLE, &path);
            std::env::set_var(TOKEN_VARIABLE, "00".repeat(16));
        }
        let regions = [(); 2].map(|()| region::create_file(BASE_UNITS).expect("shared memory"));
        let board = Board::create().expect("a kernel that seals against future writes");
        EngineSide { listener, _directory: directory, board, regions }
    }

    /// Waits for the process to connect, and admits it as a container.
    pub(crate) fn admit(&self) -> OwnedFd {
        let control = accept(self.listener.as_raw_fd()).expect("a process connects");
        // SAFETY: the descriptor is new, and nothing else knows it.
        let control = unsafe { OwnedFd::from_raw_fd(control) };
        let hello = socket::receive_control::<FromContainer>(control.as_fd()).expect("a greeting");
        let ReceivedControl { message, .. } = hello.expect("a greeting");
        assert!(matches!(message, FromContainer::Hello(_)));
        let welcome = Welcome {
            version: VERSION,
            container: ContainerNumber(1),
            max_body_bytes: 1 << 20,
            function_id: FunctionId::new(1),
            exposes_errors: true,
            function: HONEST.to_owned(),
        };
        let [own, engine] = &self.regions;
        let descriptors = [own.as_fd(), engine.as_fd(), self.board.1.as_fd()];
        socket::send_control(control.as_fd(), &welcome.write(), &descriptors).expect("a socket");
        control
    }
}

/// Tells the container to create a worker.
pub(crate) fn create_worker(control: &OwnedFd, descriptors: &[OwnedFd]) {
    let slot = WorkerSlot::new(0).expect("the first");
    let create = CreateWorker { slot, placement: Placement::Free };
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    socket::send_control(control.as_fd(), &create.write(), &descriptors).expect("a socket");
}
