//! The parts of an engine that workers interact with, in this process: the control socket,
//! channels, the arena and the dispatcher. A second worker follows the rules, so that harm to
//! others is noticed.

use crate::raw::{self, ControlKind, Kind, RawControl, RawHeader, RawMessage, RawReceived};
use bytes::Bytes;
use nightcore_engine::core::{
    ContainerEvent, Core, CoreCalls, CoreHandle, admit_containers, keep_time, poll_rings,
};
use nightcore_engine::functions::Spec;
use nightcore_engine::gateway::{Answer, Calls, ReadBody};
use nightcore_engine::ids::{FunctionId, Generation};
use nightcore_engine::memory::Memory;
use nightcore_engine::process_tree::ProcessIdentity;
use nightcore_engine::transport::{Alarm, Identity, LaunchIdentity, Listener};
use nightcore_runtime::ipc::channel::{self, set_nonblocking};
use nightcore_runtime::ipc::inbox::Inbox;
use nightcore_runtime::ipc::region::Region;
use nightcore_runtime::ipc::socket;
use nightcore_runtime::protocol::control::{
    ChannelKind, Mode, Placement, SOCKET_VARIABLE, TOKEN_VARIABLE,
};
use nightcore_runtime::protocol::limits::{BASE_UNITS, TOKEN_BYTES};
use nightcore_runtime::protocol::{Failure, MetadataBuffer, OLDEST_VERSION, RegionId, VERSION};
use std::fs;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};

/// The function whose worker may break any rule.
pub(crate) const HOSTILE: &str = "Hostile";
/// The function whose worker answers with the body of its request.
pub(crate) const ECHO: &str = "Echo";
/// The function that has no worker.
pub(crate) const SILENT: &str = "Silent";
/// The answer of Echo to a body that came through the arena.
pub(crate) const LARGE: &[u8] = b"large";
/// The maximum size of a body.
pub(crate) const MAX_BODY: u64 = 1 << 20;
/// The number of turns in which the engine finishes all work that it was given.
const TURNS: usize = 8;
/// The memory limit for the calls of one run.
static MEMORY: LazyLock<Memory> = LazyLock::new(|| Memory::with_limit(1 << 30));
/// The maximum number of connections that have not sent HELLO.
const MAX_STRANGERS: usize = 256;
/// The time after which a call that has not ended counts as hanging.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) type Call = JoinHandle<Result<Answer, Failure>>;

pub(crate) struct Engine {
    pub(crate) core: CoreHandle,
    pub(crate) hostile: FunctionId,
    echo: FunctionId,
    directory: TempDir,
    worker: EchoWorker,
    _events: mpsc::UnboundedReceiver<ContainerEvent>,
}

/// The worker of Echo.
struct EchoWorker {
    _control: OwnedFd,
    reader: OwnedFd,
    writer: OwnedFd,
    inbox: Inbox,
    engine_region: Region,
}

fn runtime() -> Runtime {
    // The system is polled after every task, so messages sent in one turn are there in the next
    // one.
    Builder::new_current_thread().event_interval(1).enable_all().build().expect("a runtime")
}

/// Returns the number of open descriptors, except those of standard error: the engine opens it once
/// more when it first prints something, and keeps that descriptor.
fn descriptors() -> usize {
    let stderr = fs::read_link("/proc/self/fd/2").ok();
    let open = fs::read_dir("/proc/self/fd").expect("a process has descriptors");
    open.flatten().filter(|entry| fs::read_link(entry.path()).ok() != stderr).count()
}

/// Runs an engine whose hostile function has this channel, and checks that nothing is left of it.
pub(crate) fn run(channel: ChannelKind, body: impl AsyncFnOnce(&mut Engine)) {
    // The first runtime opens descriptors that the process keeps.
    static FIRST: LazyLock<()> = LazyLock::new(|| drop(runtime()));
    LazyLock::force(&FIRST);
    let before = descriptors();
    let (runtime, tasks) = (runtime(), LocalSet::new());
    tasks.block_on(&runtime, async {
        let mut engine = Engine::start(channel).await;
        body(&mut engine).await;
        engine.assert_serves().await;
    });
    drop((tasks, runtime));
    assert_eq!(descriptors(), before, "descriptors were left open");
}

/// An engine that lives as long as this process, which is the container of its hostile function.
pub(crate) struct Standing {
    // The engine is not dropped, because the library ends a process whose engine is gone.
    engine: ManuallyDrop<Engine>,
    tasks: ManuallyDrop<LocalSet>,
    runtime: ManuallyDrop<Runtime>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        // If this fails, an empty folder remains.
        let _ = fs::remove_dir_all(self.engine.directory.path());
    }
}

impl Standing {
    /// Starts the engine, then the server in this process.
    pub(crate) fn start(serve: impl FnOnce()) -> Standing {
        let (runtime, tasks) = (runtime(), LocalSet::new());
        let engine = tasks.block_on(&runtime, async {
            let mut engine = Engine::start(ChannelKind::Ring).await;
            engine.admits_this_process();
            serve();
            engine.wait_until("the worker is ready", Engine::is_served).await;
            engine
        });
        Standing {
            engine: ManuallyDrop::new(engine),
            tasks: ManuallyDrop::new(tasks),
            runtime: ManuallyDrop::new(runtime),
        }
    }

    pub(crate) fn run(&mut self, body: impl AsyncFnOnce(&mut Engine)) {
        let Standing { engine, tasks, runtime } = self;
        tasks.block_on(runtime, async {
            body(engine).await;
            engine.assert_serves().await;
        });
    }
}

fn spec(name: &str, channel: ChannelKind) -> Spec {
    Spec {
        direct: true,
        name: name.into(),
        processes: 1,
        min: 1,
        max: Some(4),
        timeout: Duration::from_secs(30),
        grace: Duration::from_secs(5),
        queue_calls: 64,
        queue_bytes: 16 << 20,
        max_depth: 8,
        external: true,
        channel,
        placement: Placement::Free,
        quarantine_after: None,
        retries: 0,
        idempotent: false,
        ready_path: None,
        exposes_errors: false,
    }
}

impl Engine {
    async fn start(channel: ChannelKind) -> Engine {
        let directory =
            tempfile::Builder::new().prefix("ncf").tempdir().expect("a temporary folder");
        let (events_in, events) = mpsc::unbounded_channel();
        let alarm = Alarm::new().expect("a timer");
        let core = Core::create(directory.path().to_owned(), MAX_BODY, events_in, alarm.clone());
        let hostile = core.borrow_mut().add_function(spec(HOSTILE, channel));
        let echo = core.borrow_mut().add_function(spec(ECHO, ChannelKind::Fifo));
        core.borrow_mut().add_function(spec(SILENT, ChannelKind::Fifo));
        let listener = Listener::bind(&directory.path().join("control"), MAX_STRANGERS);
        let listener = listener.expect("a control socket");
        spawn_local(admit_containers(listener, core.clone()));
        spawn_local(keep_time(alarm, core.clone()));
        spawn_local(poll_rings(core.clone()));
        let socket = directory.path().join("control");
        let token = issue(&core, echo, ECHO);
        let worker = EchoWorker::start(socket, token).await;
        Engine { core, hostile, echo, directory, worker, _events: events }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    /// Returns a token for one process of the hostile function.
    pub(crate) fn token(&self) -> [u8; TOKEN_BYTES] {
        issue(&self.core, self.hostile, HOSTILE)
    }

    /// Gives this process the environment of a container of the hostile function.
    pub(crate) fn admits_this_process(&self) {
        let token: String = self.token().iter().map(|byte| format!("{byte:02x}")).collect();
        // SAFETY: no thread of this process reads its environment now: those of an earlier worker
        // have ended.
        unsafe {
            std::env::set_var(SOCKET_VARIABLE, self.socket());
            std::env::set_var(TOKEN_VARIABLE, token);
        }
    }

    /// Returns whether the hostile function has a worker.
    pub(crate) fn is_served(&mut self) -> bool {
        self.core.borrow().scheduler().is_ready(self.hostile)
    }

    /// Returns a connection to the control socket on which nothing was sent.
    pub(crate) fn connect(&self) -> OwnedFd {
        connect(&self.socket())
    }

    /// Lets the engine finish the work that it was given.
    pub(crate) async fn turn(&mut self) {
        for _ in 0..TURNS {
            yield_now().await;
        }
        self.worker.answer();
    }

    /// Makes a client's call of the hostile function.
    pub(crate) fn call(&self, body: Vec<u8>) -> Call {
        self.call_of(self.hostile, body)
    }

    fn call_of(&self, function: FunctionId, body: Vec<u8>) -> Call {
        let calls = CoreCalls { core: self.core.clone(), memory: *MEMORY };
        let body = ReadBody { bytes: Bytes::from(body), held: MEMORY.hold_nothing() };
        let mut metadata = MetadataBuffer::new();
        metadata.push(":method", b"POST").expect("it is short");
        spawn_local(async move { calls.call(function, None, metadata, body).await.outcome })
    }

    /// Waits until these calls, and all calls below them, have ended. The hostile function must no
    /// longer have a worker.
    pub(crate) async fn assert_ends(&mut self, calls: Vec<Call>) {
        let serving = self.core.borrow().scheduler().serving_generation(self.hostile);
        let reason = "nobody serves it any more";
        // If the engine noticed the end of a process only later, calls would remain in the queue.
        self.wait_until("all calls of the hostile function have ended", |engine| {
            engine.core.borrow_mut().generation_failing(engine.hostile, serving, reason, true);
            calls.iter().all(JoinHandle::is_finished)
        })
        .await;
        self.assert_all_end(calls, |_| true).await;
    }

    /// Waits until these calls, and all calls below them, have ended with an expected answer or
    /// error.
    pub(crate) async fn assert_all_end(
        &mut self,
        calls: Vec<Call>,
        is_answer: impl Fn(&[u8]) -> bool,
    ) {
        let under_way = |engine: &Engine| engine.core.borrow().scheduler().calls_under_way();
        self.wait_until("all calls have ended", |engine| {
            calls.iter().all(JoinHandle::is_finished) && under_way(engine) == 0
        })
        .await;
        for call in calls {
            match call.await.expect("a call does not panic") {
                Ok(answer) => assert!(is_answer(&answer.body), "{} other bytes", answer.body.len()),
                Err(failure) => assert!(failure.status.ends_a_call(), "{failure}"),
            }
        }
    }

    pub(crate) async fn wait_until(&mut self, what: &str, is_so: impl Fn(&mut Engine) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            assert!(began.elapsed() < ENDS_WITHIN, "waited in vain until {what}");
            self.turn().await;
        }
    }

    /// Asserts that a call of another function gets the right answer.
    async fn assert_serves(&mut self) {
        let call = self.call_of(self.echo, b"right".to_vec());
        self.wait_until("another function's call has ended", |_| call.is_finished()).await;
        let answer = call.await.expect("a call does not panic").expect("an answer");
        assert_eq!(answer.body, &b"right"[..]);
    }
}

fn issue(core: &CoreHandle, function: FunctionId, name: &str) -> [u8; TOKEN_BYTES] {
    let identity = Identity {
        launched: Some(LaunchIdentity { launch: 1, generation: Generation::FIRST }),
        function,
        name: name.into(),
        program: "./program".into(),
    };
    let own = ProcessIdentity::of(std::process::id() as i32).expect("this process");
    let hex = core.borrow_mut().tokens.issue(identity, Some(own)).expect("random bytes");
    let mut token = [0; TOKEN_BYTES];
    for (at, byte) in token.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex");
    }
    token
}

fn connect(socket: &std::path::Path) -> OwnedFd {
    let connection = socket::connect_to(socket).expect("the engine listens");
    set_nonblocking(&connection).expect("a flag");
    connection
}

/// Returns a valid HELLO.
pub(crate) fn hello(token: [u8; TOKEN_BYTES], version: u16, mode: Mode) -> RawControl {
    RawControl {
        token,
        version,
        oldest_version: OLDEST_VERSION,
        mode: mode as u16,
        ..RawControl::new(ControlKind::Hello)
    }
}

/// Receives the next control message. Panics if none arrives.
pub(crate) async fn receive(connection: &OwnedFd) -> RawReceived {
    let began = Instant::now();
    loop {
        if let Ok(received) = raw::receive(connection.as_fd()) {
            return received.expect("the engine keeps the connection");
        }
        assert!(began.elapsed() < ENDS_WITHIN, "the engine does not answer");
        yield_now().await;
    }
}

impl EchoWorker {
    async fn start(socket: PathBuf, token: [u8; TOKEN_BYTES]) -> EchoWorker {
        let control = connect(&socket);
        let hello = hello(token, VERSION, Mode::Threads);
        raw::send(control.as_fd(), hello, &format!("library\n{ECHO}"), &[])
            .expect("the engine listens");
        let welcome = receive(&control).await;
        let engine_region = Region::map(&welcome.descriptors[1], BASE_UNITS).expect("a region");
        let create = receive(&control).await;
        let [reader, writer] = <[OwnedFd; 2]>::try_from(create.descriptors).expect("two pipes");
        let ready = RawMessage::new(RawHeader::new(Kind::Ready, 0), b"", &[]);
        channel::send(writer.as_fd(), ready.as_bytes()).expect("an empty pipe has room");
        EchoWorker { _control: control, reader, writer, inbox: Inbox::default(), engine_region }
    }

    /// Answers every call that has arrived with its body, or with [`LARGE`] if the body came
    /// through the arena.
    fn answer(&mut self) {
        if self.inbox.fill(self.reader.as_fd()).is_err() {
            return;
        }
        while let Some(message) = self.inbox.take().expect("the engine keeps the rules") {
            let message = raw::read(message.as_bytes());
            if message.kind != Kind::Dispatch {
                continue;
            }
            let header = message.header;
            if header.region == RegionId::ENGINE_BASE.number() {
                self.engine_region.give_back(header.block);
            }
            let body = message.inline.get(header.metadata_len as usize..).unwrap_or(LARGE);
            let header = RawHeader {
                body_len: body.len() as u64,
                ..RawHeader::new(Kind::Complete, header.call)
            };
            let answer = RawMessage::new(header, b"", &[body]);
            channel::send(self.writer.as_fd(), answer.as_bytes()).expect("the engine reads");
        }
    }
}
