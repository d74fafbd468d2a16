//! A scripted engine: it starts one worker process and sends exactly the messages that a test asks
//! for. It tests the worker runtime, and the code built on it, without an engine.

#[path = "../../../tests/wire/raw.rs"]
pub mod raw;

use nightcore_runtime::clock::now_ns;
use nightcore_runtime::ipc::channel::{self, Pipe};
use nightcore_runtime::ipc::inbox::{Filled, Inbox};
use nightcore_runtime::ipc::region::{
    BlockAllocator, Region, create_file, metadata_offset, payload_bytes, units_for,
};
use nightcore_runtime::ipc::ring::{self, RingReader, RingWriter, Sent, Side};
use nightcore_runtime::protocol::control::{ChannelKind, Mode, SOCKET_VARIABLE, TOKEN_VARIABLE};
use nightcore_runtime::protocol::limits::{BASE_UNITS, MAX_INLINE_BYTES};
use nightcore_runtime::protocol::{
    CallNumber, CancelReason, CancelWord, Cause, Failure, Metadata, MetadataBuffer, Status,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, listen,
};
use raw::{ControlKind, Kind, RawControl, RawHeader, RawMessage, RawReceived};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The time limit of every wait. A test that waits longer fails.
const PATIENCE: Duration = Duration::from_secs(20);
/// The largest body that the scripted engine allows.
pub const MAX_BODY: u64 = 32 * 1024 * 1024;
/// The value of `mode` in WELCOME that lets callers see the texts of unexpected errors.
const EXPOSES_ERRORS: u16 = 1;
/// The slot of the only worker.
const SLOT: u32 = 3;

/// The engine's end of one worker process with one channel.
pub struct Peer {
    child: Child,
    control: Option<OwnedFd>,
    writer: OwnedFd,
    reader: OwnedFd,
    inbox: Inbox,
    /// The rings that carry messages, if the channel has rings. The pipes are then bells.
    rings: Option<(RingWriter, RingReader)>,
    /// The engine's base region.
    own: Region,
    blocks: BlockAllocator,
    /// The regions whose blocks the worker sends, by id.
    theirs: HashMap<u32, Region>,
    /// The worker's hello message.
    pub hello: RawReceived,
    _dir: tempfile::TempDir,
}

/// A message from the worker with its payload.
#[derive(Debug)]
pub struct Said {
    /// The kind of the message.
    pub kind: Kind,
    /// Its header.
    pub header: RawHeader,
    /// The name that it contains.
    pub name: String,
    /// The metadata of its payload.
    pub metadata: Vec<(String, Vec<u8>)>,
    /// The body of its payload.
    pub body: Vec<u8>,
    raw_metadata: Vec<u8>,
}

impl Said {
    /// Returns the body as text.
    pub fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("text")
    }

    /// Returns the failure that it reports.
    pub fn failure(&self) -> Failure {
        assert_eq!(self.kind, Kind::Failed, "{self:?}");
        let status =
            Status::failure_from_wire(self.header.status).expect("a status that ends a call");
        Failure::decode(status, "", &self.raw_metadata, &self.body)
    }
}

fn wait_readable(fd: BorrowedFd<'_>) {
    let timeout = PollTimeout::try_from(PATIENCE.as_millis() as i32).expect("fits");
    let ready = poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout).expect("poll");
    assert!(ready > 0, "the worker said nothing for {PATIENCE:?}");
}

/// Listens, starts the worker, and accepts its connection.
fn admit(mut command: Command) -> (Child, OwnedFd, RawReceived, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("control");
    let listener = nix::sys::socket::socket(
        AddressFamily::Unix,
        SockType::SeqPacket,
        SockFlag::SOCK_CLOEXEC,
        None,
    )
    .expect("socket");
    bind(listener.as_raw_fd(), &UnixAddr::new(&path).expect("path")).expect("bind");
    listen(&listener, Backlog::new(1).expect("1")).expect("listen");
    command.env(SOCKET_VARIABLE, &path).env(TOKEN_VARIABLE, "0f".repeat(16));
    let child =
        command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the worker starts");
    wait_readable(listener.as_fd());
    let accepted = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC).expect("accept");
    // SAFETY: accept has just made the descriptor for this process.
    let control = unsafe { OwnedFd::from_raw_fd(accepted) };
    wait_readable(control.as_fd());
    let hello = raw::receive(control.as_fd()).expect("received").expect("not closed");
    assert_eq!(hello.kind, ControlKind::Hello);
    assert_eq!(hello.control.token, [0x0f; 16]);
    (child, control, hello, dir)
}

/// Refuses a worker with this text. Returns its exit code and its standard error.
#[allow(dead_code)] // Not every test refuses.
pub fn refuse(command: Command, text: &str) -> (i32, String) {
    let (child, control, _, _dir) = admit(command);
    let refused =
        RawControl { status: Status::Refused.number(), ..RawControl::new(ControlKind::Refused) };
    raw::send(control.as_fd(), refused, text, &[]).expect("sent");
    let output = child.wait_with_output().expect("it ends");
    (output.status.code().expect("no signal"), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[allow(dead_code)] // Not every test needs all.
impl Peer {
    /// Starts `command` as a container of `function` and waits until its worker is ready. Its
    /// channel is a ring.
    pub fn start(command: Command, function: &str) -> Peer {
        Peer::start_over(ChannelKind::Ring, command, function)
    }

    /// Does the same as [`Peer::start`], with this kind of channel. An engine before version 2 of
    /// the protocol has named pipes only.
    pub fn start_over(kind: ChannelKind, command: Command, function: &str) -> Peer {
        let (child, control, hello, dir) = admit(command);
        let theirs = create_file(BASE_UNITS).expect("a region");
        let own = create_file(BASE_UNITS).expect("a region");
        let version = if kind == ChannelKind::Ring { 2 } else { 1 };
        let welcome = RawControl {
            mode: EXPOSES_ERRORS,
            version,
            id: 1,
            size: MAX_BODY,
            ..RawControl::new(ControlKind::Welcome)
        };
        raw::send(control.as_fd(), welcome, function, &[theirs.as_fd(), own.as_fd()])
            .expect("sent");
        let to = Pipe::create(&dir.path().join("to")).expect("a pipe");
        let from = Pipe::create(&dir.path().join("from")).expect("a pipe");
        let create = RawControl {
            id: u64::from(SLOT),
            size: 1,
            ..RawControl::new(ControlKind::CreateWorker)
        };
        let file = (kind == ChannelKind::Ring).then(|| ring::create_file().expect("a ring"));
        let rings = file.as_ref().map(|file| ring::open(file, Side::Engine).expect("mapped"));
        let ends = [to.reader.as_fd(), from.writer.as_fd()];
        let ends: Vec<_> = ends.into_iter().chain(file.as_ref().map(AsFd::as_fd)).collect();
        raw::send(control.as_fd(), create, "", &ends).expect("sent");
        let mut peer = Peer {
            child,
            control: Some(control),
            writer: to.writer,
            reader: from.reader,
            inbox: Inbox::default(),
            rings,
            own: Region::map(&own, BASE_UNITS).expect("mapped"),
            blocks: BlockAllocator::new(BASE_UNITS),
            theirs: HashMap::from([(1, Region::map(&theirs, BASE_UNITS).expect("mapped"))]),
            hello,
            _dir: dir,
        };
        // From here on only the worker holds the other ends, so its end closes them.
        drop((to.reader, from.writer));
        let ready = peer.receive();
        assert_eq!(ready.kind, Kind::Ready);
        peer
    }

    fn control(&self) -> BorrowedFd<'_> {
        self.control.as_ref().expect("not hung up").as_fd()
    }

    /// Returns the mode in which the worker runs its calls.
    pub fn mode(&self) -> u16 {
        self.hello.control.mode
    }

    /// Waits for the worker's next message and returns it.
    pub fn receive(&mut self) -> Said {
        loop {
            let message = match &mut self.rings {
                Some((_, ring)) => ring.take(),
                None => self.inbox.take(),
            };
            if let Some(message) = message.expect("the rules are kept") {
                let message = raw::read(message.as_bytes());
                let (kind, header) = (message.kind, message.header);
                let name = String::from_utf8(message.name.to_vec()).expect("a name");
                let (metadata, body) = if header.region == 0 {
                    let (metadata, body) = message.inline.split_at(header.metadata_len as usize);
                    (metadata.to_vec(), body.to_vec())
                } else {
                    self.read_block(&header)
                };
                if self.rings.as_mut().is_some_and(|(_, ring)| ring.give_back()) {
                    self.ring_bell();
                }
                let pairs = Metadata::parse(&metadata).expect("well-formed");
                let pairs =
                    pairs.iter().map(|(name, value)| (name.to_owned(), value.to_vec())).collect();
                return Said { kind, header, name, metadata: pairs, body, raw_metadata: metadata };
            }
            self.wait_for_message();
        }
    }

    fn wait_for_message(&mut self) {
        let Some((_, ring)) = &self.rings else {
            wait_readable(self.reader.as_fd());
            let filled = self.inbox.fill(self.reader.as_fd()).expect("read");
            assert!(matches!(filled, Filled::Bytes { .. }), "the worker closed its channel");
            return;
        };
        if ring.begin_wait() {
            wait_readable(self.reader.as_fd());
            let heard = nix::unistd::read(&self.reader, &mut [0; 64]).expect("read");
            assert!(heard > 0 || ring.has_message(), "the worker closed its channel");
        }
        ring.end_wait();
    }

    /// Wakes the worker. If the pipe is full, the worker wakes anyway.
    fn ring_bell(&self) {
        let _ = channel::send(self.writer.as_fd(), &[0]);
    }

    /// Sends bytes to the worker. Waits until there is room for them.
    fn write(&mut self, message: &[u8]) {
        let Some((ring, _)) = &mut self.rings else {
            return loop {
                match channel::send(self.writer.as_fd(), message) {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                    sent => break sent.expect("the worker is there"),
                }
            };
        };
        let mut sent = ring.send(message);
        while sent == Sent::Full {
            if ring.begin_wait() {
                wait_readable(self.reader.as_fd());
                let heard = nix::unistd::read(&self.reader, &mut [0; 64]).expect("read");
                assert!(heard > 0, "the worker closed its channel");
            }
            ring.end_wait();
            sent = ring.send(message);
        }
        if sent == Sent::Ring {
            self.ring_bell();
        }
    }

    /// Asserts that the worker has sent nothing.
    pub fn assert_silent(&self) {
        if let Some((_, ring)) = &self.rings {
            assert!(!ring.has_message());
        }
        let ready =
            poll(&mut [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO);
        assert_eq!(ready, Ok(0));
    }

    fn read_block(&self, header: &RawHeader) -> (Vec<u8>, Vec<u8>) {
        let region = self.theirs.get(&header.region).expect("a region of the container's");
        let bytes = payload_bytes(header.metadata_len as usize, header.body_len);
        assert!(region.contains(header.block, bytes));
        let start = region.pointer(header.block, bytes);
        let copy = |offset: u64, len: usize| {
            // SAFETY: `pointer` checked the range, which the worker no longer writes to.
            unsafe { std::slice::from_raw_parts(start.add(offset as usize), len).to_vec() }
        };
        let body = copy(0, header.body_len as usize);
        let metadata = copy(metadata_offset(header.body_len), header.metadata_len as usize);
        region.give_back(header.block);
        (metadata, body)
    }

    /// Sends a message with this payload, inline if it fits.
    pub fn send(
        &mut self,
        mut header: RawHeader,
        name: &str,
        metadata: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut encoded = MetadataBuffer::new();
        for (name, value) in metadata {
            encoded.push(name, value.as_bytes()).expect("metadata fits");
        }
        let encoded = encoded.as_bytes();
        header.metadata_len = encoded.len() as u32;
        header.body_len = body.len() as u64;
        header.sent_at = now_ns();
        let inline = name.len() + encoded.len() + body.len() <= MAX_INLINE_BYTES;
        let parts: &[&[u8]] = if inline { &[encoded, body] } else { &[] };
        if !inline {
            let bytes = payload_bytes(encoded.len(), header.body_len);
            let block = self.blocks.allocate(&self.own, bytes).expect("room");
            let start = self.own.pointer(block, bytes);
            // SAFETY: the block was just taken and is `bytes` long, which covers body and metadata.
            unsafe {
                std::ptr::copy_nonoverlapping(body.as_ptr(), start, body.len());
                let to = start.add(metadata_offset(header.body_len) as usize);
                std::ptr::copy_nonoverlapping(encoded.as_ptr(), to, encoded.len());
            }
            (header.region, header.block) = (2, block);
        }
        let message = RawMessage::new(header, name.as_bytes(), parts);
        self.write(message.as_bytes());
    }

    /// Tells the worker to run an external call.
    pub fn dispatch(&mut self, call: u64, body: &[u8]) {
        self.send(RawHeader::new(Kind::Dispatch, call), "", &[], body);
    }

    /// Answers an internal call of the worker. `function` is the id by which the worker may name
    /// the callee from now on.
    pub fn complete(&mut self, call: u64, function: u32, body: &[u8]) {
        self.send(RawHeader { function, ..RawHeader::new(Kind::Complete, call) }, "", &[], body);
    }

    /// Fails an internal call of the worker. The failure contains `cause`, if there is one.
    pub fn fail(&mut self, call: u64, status: Status, message: &str, cause: Option<Cause>) {
        let failure =
            Failure { cause: cause.into_iter().collect(), ..Failure::new(status, message) };
        let (metadata, text) = failure.encode();
        let header = RawHeader {
            status: status.number(),
            metadata_len: metadata.as_bytes().len() as u32,
            body_len: text.len() as u64,
            sent_at: now_ns(),
            ..RawHeader::new(Kind::Failed, call)
        };
        let message = RawMessage::new(header, b"", &[metadata.as_bytes(), text.as_bytes()]);
        self.write(message.as_bytes());
    }

    /// Dispatches a call and returns its answer, which must be the next message.
    pub fn call(&mut self, call: u64, body: &[u8]) -> Said {
        self.dispatch(call, body);
        let said = self.receive();
        assert!(matches!(said.kind, Kind::Complete | Kind::Failed), "{said:?}");
        assert_eq!(said.header.call, call);
        assert!(said.header.parent > 0 && said.header.deadline >= said.header.parent, "{said:?}");
        said
    }

    /// Marks a call of the worker, which runs on a thread, as cancelled.
    pub fn cancel(&self, call: u64, reason: CancelReason) {
        let call = CallNumber::new(call).expect("a call");
        let word = CancelWord { call, reason }.pack();
        self.own.cancel_word(SLOT).store(word, Ordering::Relaxed);
    }

    /// Returns whether all blocks that the engine sent were given back.
    pub fn all_given_back(&mut self) -> bool {
        self.blocks.is_idle(&self.own)
    }

    /// Waits for a request for a region and grants it under this id.
    pub fn grant_region(&mut self, id: u32) {
        wait_readable(self.control());
        let request = raw::receive(self.control()).expect("received").expect("not closed");
        assert_eq!(request.kind, ControlKind::RegionRequest);
        let units = units_for(request.control.size) as u32;
        let file = create_file(units).expect("a region");
        let granted = RawControl {
            id: request.control.id,
            region: id,
            size: u64::from(units),
            ..RawControl::new(ControlKind::RegionGranted)
        };
        raw::send(self.control(), granted, "", &[file.as_fd()]).expect("sent");
        self.theirs.insert(id, Region::map(&file, units).expect("mapped"));
    }

    /// Waits for a request for a region and refuses it.
    pub fn refuse_region(&mut self, text: &str) {
        wait_readable(self.control());
        let request = raw::receive(self.control()).expect("received").expect("not closed");
        assert_eq!(request.kind, ControlKind::RegionRequest);
        let refused = RawControl {
            id: request.control.id,
            status: Status::Overloaded.number(),
            ..RawControl::new(ControlKind::RegionGranted)
        };
        raw::send(self.control(), refused, text, &[]).expect("sent");
    }

    /// Shuts the worker down, as an engine does that has no more calls for it.
    pub fn shut_down(mut self) -> (ExitStatus, String) {
        if self.mode() == Mode::Threads as u16 {
            let retire = RawMessage::new(RawHeader::new(Kind::Retire, 0), b"", &[]);
            self.write(retire.as_bytes());
        }
        raw::send(self.control(), RawControl::new(ControlKind::Shutdown), "", &[]).expect("sent");
        self.wait()
    }

    /// Closes all descriptors at once, as when the engine is killed.
    pub fn vanish(self) -> (ExitStatus, String) {
        let Peer { child, control, writer, reader, .. } = self;
        drop((control, writer, reader));
        finish(child)
    }

    /// Closes only the control socket.
    pub fn hang_up(&mut self) {
        self.control = None;
    }

    /// Waits for the process to end. Returns its exit status and its standard error.
    pub fn wait(self) -> (ExitStatus, String) {
        let Peer { child, control: _control, writer: _writer, reader: _reader, .. } = self;
        finish(child)
    }
}

fn finish(mut child: Child) -> (ExitStatus, String) {
    let until = Instant::now() + PATIENCE;
    let pidfd = pidfd(&child);
    let left = until.saturating_duration_since(Instant::now()).as_millis() as i32;
    let timeout = PollTimeout::try_from(left).expect("fits");
    let ended = poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], timeout).expect("poll");
    if ended == 0 {
        let _ = child.kill();
        panic!("the worker did not end within {PATIENCE:?}");
    }
    let output = child.wait_with_output().expect("it has ended");
    (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn pidfd(child: &Child) -> OwnedFd {
    // SAFETY: pidfd_open takes plain numbers and makes a descriptor for this process.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, child.id(), 0);
        assert!(fd >= 0, "pidfd_open");
        OwnedFd::from_raw_fd(fd as i32)
    }
}
