//! The part of an engine that workers meet, in this process: the control socket, channels, the arena, the dispatcher; and a
//! worker that keeps the rules, so that it can be seen whether others are harmed.

use bytes::Bytes;
use nightcore_engine::dispatch::{FunctionId, Spec};
use nightcore_engine::gateway::{Answer, Calls};
use nightcore_engine::link::{
    Alarm, ContainerEvent, Hub, HubCalls, HubHandle, Identity, Listener, keep_time, look_at_rings,
};
use nightcore_runtime::ipc::channel::{self, set_nonblocking};
use nightcore_runtime::ipc::inbox::Inbox;
use nightcore_runtime::ipc::region::Region;
use nightcore_runtime::ipc::socket::{self, Received};
use nightcore_runtime::protocol::control::{
    ChannelKind, Control, ControlKind, ENGINE_BASE_REGION, Mode, Placement, SOCKET_VARIABLE,
    TOKEN_VARIABLE,
};
use nightcore_runtime::protocol::limits::{BASE_UNITS, TOKEN_BYTES};
use nightcore_runtime::protocol::{
    Failure, Header, Kind, MessageBuffer, MetadataBuffer, OLDEST_VERSION, VERSION,
};
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

/// The function whose worker does as it likes.
pub(crate) const HOSTILE: &str = "Hostile";
/// The function whose worker gives back what it gets.
pub(crate) const ECHO: &str = "Echo";
/// The function that has no worker.
pub(crate) const SILENT: &str = "Silent";
/// What Echo gives back instead of what came by the arena.
pub(crate) const LARGE: &[u8] = b"large";
/// The limit for bodies.
pub(crate) const MAX_BODY: u64 = 1 << 20;
/// Turns in which the engine has done whatever it was given.
const TURNS: usize = 8;
/// A call that has not ended by then hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(10);

pub(crate) type Call = JoinHandle<Result<Answer, Failure>>;

pub(crate) struct Engine {
    pub(crate) hub: HubHandle,
    pub(crate) hostile: FunctionId,
    echo: FunctionId,
    directory: TempDir,
    worker: Worker,
    _events: mpsc::UnboundedReceiver<ContainerEvent>,
}

/// The worker of Echo.
struct Worker {
    _control: OwnedFd,
    reader: OwnedFd,
    writer: OwnedFd,
    inbox: Inbox,
    engine_region: Region,
}

fn runtime() -> Runtime {
    // The system is asked after every task: what was sent is there in the next turn.
    Builder::new_current_thread().event_interval(1).enable_all().build().expect("a runtime")
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("a process has descriptors").count()
}

/// Runs an engine whose hostile function has this channel, and sees to it that nothing is left of it.
pub(crate) fn run(channel: ChannelKind, body: impl AsyncFnOnce(&mut Engine)) {
    // The first runtime opens what the process keeps.
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

/// An engine that stands as long as this process, which is the container of its hostile function.
pub(crate) struct Standing {
    // Not dropped: the library ends a process whose engine has gone.
    engine: ManuallyDrop<Engine>,
    tasks: ManuallyDrop<LocalSet>,
    runtime: ManuallyDrop<Runtime>,
}

impl Drop for Standing {
    fn drop(&mut self) {
        // If it fails an empty folder stays.
        let _ = fs::remove_dir_all(self.engine.directory.path());
    }
}

impl Standing {
    /// Starts the engine, then what serves in this process.
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
        quarantine_after: 0,
        retries: 0,
        idempotent: false,
    }
}

impl Engine {
    async fn start(channel: ChannelKind) -> Engine {
        let directory =
            tempfile::Builder::new().prefix("ncf").tempdir().expect("a temporary folder");
        let (events_in, events) = mpsc::unbounded_channel();
        let alarm = Alarm::new().expect("a timer");
        let hub = Hub::create(directory.path().to_owned(), MAX_BODY, events_in, alarm.clone());
        let hostile = hub.borrow_mut().dispatch.add_function(spec(HOSTILE, channel));
        let echo = hub.borrow_mut().dispatch.add_function(spec(ECHO, ChannelKind::Fifo));
        hub.borrow_mut().dispatch.add_function(spec(SILENT, ChannelKind::Fifo));
        let listener = Listener::bind(&directory.path().join("control")).expect("a control socket");
        spawn_local(listener.run(hub.clone()));
        spawn_local(keep_time(alarm, hub.clone()));
        spawn_local(look_at_rings(hub.clone()));
        let socket = directory.path().join("control");
        let token = issue(&hub, echo, ECHO);
        let worker = Worker::start(socket, token).await;
        Engine { hub, hostile, echo, directory, worker, _events: events }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("control")
    }

    /// A token for one process of the hostile function.
    pub(crate) fn token(&self) -> [u8; TOKEN_BYTES] {
        issue(&self.hub, self.hostile, HOSTILE)
    }

    /// Gives this process what a container of the hostile function is started with.
    pub(crate) fn admits_this_process(&self) {
        let token: String = self.token().iter().map(|byte| format!("{byte:02x}")).collect();
        // SAFETY: no thread of this process looks at its environment now: those of an earlier worker have ended.
        unsafe {
            std::env::set_var(SOCKET_VARIABLE, self.socket());
            std::env::set_var(TOKEN_VARIABLE, token);
        }
    }

    /// Whether the hostile function has a worker.
    pub(crate) fn is_served(&mut self) -> bool {
        self.hub.borrow().dispatch.is_ready(self.hostile)
    }

    /// A connection to the control socket, on which nothing was said.
    pub(crate) fn connect(&self) -> OwnedFd {
        connect(&self.socket())
    }

    /// Lets the engine do what it was given.
    pub(crate) async fn turn(&mut self) {
        for _ in 0..TURNS {
            yield_now().await;
        }
        self.worker.answer();
    }

    /// A client's call of the hostile function.
    pub(crate) fn call(&self, body: Vec<u8>) -> Call {
        self.call_of(self.hostile, body)
    }

    fn call_of(&self, function: FunctionId, body: Vec<u8>) -> Call {
        let calls = HubCalls(self.hub.clone());
        let mut metadata = MetadataBuffer::new();
        metadata.push(":method", b"POST").expect("it is short");
        spawn_local(
            async move { calls.call(function, None, metadata, Bytes::from(body)).await.outcome },
        )
    }

    /// Waits until these calls, and all that they led to, have ended; nobody serves the hostile function any more.
    pub(crate) async fn assert_ends(&mut self, calls: Vec<Call>) {
        self.hub.borrow_mut().change(|dispatch, now| {
            dispatch.set_unavailable(now, self.hostile, "nobody serves it any more");
        });
        self.assert_all_end(calls, |_| true).await;
    }

    /// Waits until these calls, and all that they led to, have ended: with such answers, or errors.
    pub(crate) async fn assert_all_end(
        &mut self,
        calls: Vec<Call>,
        is_answer: impl Fn(&[u8]) -> bool,
    ) {
        let under_way = |engine: &Engine| engine.hub.borrow().dispatch.calls_under_way();
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

    /// Another function's call is answered, and rightly.
    async fn assert_serves(&mut self) {
        let call = self.call_of(self.echo, b"right".to_vec());
        self.wait_until("another function's call has ended", |_| call.is_finished()).await;
        let answer = call.await.expect("a call does not panic").expect("an answer");
        assert_eq!(answer.body, &b"right"[..]);
    }
}

fn issue(hub: &HubHandle, function: FunctionId, name: &str) -> [u8; TOKEN_BYTES] {
    let identity = Identity {
        launch: Some(1),
        function,
        generation: 1,
        name: name.into(),
        program: "./program".into(),
    };
    let hex = hub.borrow_mut().tokens.issue(identity).expect("random bytes");
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

/// A greeting that is in order.
pub(crate) fn hello(token: [u8; TOKEN_BYTES], version: u16, mode: Mode) -> Control {
    Control {
        token,
        version,
        oldest_version: OLDEST_VERSION,
        mode: mode as u16,
        ..Control::new(ControlKind::Hello)
    }
}

/// The next control message, which must come.
pub(crate) async fn receive(connection: &OwnedFd) -> Received {
    let began = Instant::now();
    loop {
        if let Ok(received) = socket::receive(connection.as_fd()) {
            return received.expect("the engine keeps the connection");
        }
        assert!(began.elapsed() < ENDS_WITHIN, "the engine does not answer");
        yield_now().await;
    }
}

impl Worker {
    async fn start(socket: PathBuf, token: [u8; TOKEN_BYTES]) -> Worker {
        let control = connect(&socket);
        let hello = hello(token, VERSION, Mode::Threads);
        socket::send(control.as_fd(), hello, &format!("library\n{ECHO}"), &[])
            .expect("the engine listens");
        let welcome = receive(&control).await;
        let engine_region = Region::map(&welcome.descriptors[1], BASE_UNITS).expect("a region");
        let create = receive(&control).await;
        let [reader, writer] = <[OwnedFd; 2]>::try_from(create.descriptors).expect("two pipes");
        let ready = MessageBuffer::new(Header::new(Kind::Ready, 0), b"", &[]);
        channel::send(writer.as_fd(), ready.as_bytes()).expect("an empty pipe has room");
        Worker { _control: control, reader, writer, inbox: Inbox::default(), engine_region }
    }

    /// Gives back the body of every call that is there; one by the arena by its length.
    fn answer(&mut self) {
        if self.inbox.fill(self.reader.as_fd()).is_err() {
            return;
        }
        while let Some(message) = self.inbox.take().expect("the engine keeps the rules") {
            if message.kind != Kind::Dispatch {
                continue;
            }
            let header = message.header;
            if header.region == ENGINE_BASE_REGION {
                self.engine_region.give_back(header.block);
            }
            let body = message.inline.get(header.metadata_len as usize..).unwrap_or(LARGE);
            let header =
                Header { body_len: body.len() as u64, ..Header::new(Kind::Complete, header.call) };
            let answer = MessageBuffer::new(header, b"", &[body]);
            channel::send(self.writer.as_fd(), answer.as_bytes()).expect("the engine reads");
        }
    }
}
