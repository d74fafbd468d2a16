//! Runs an engine: builds its modules, connects them, and shuts them down in order.

use crate::available::available_memory;
use crate::buffer::{give_kept_back, keep_at_most};
use crate::config::{self, Config, MIN_HELD_BYTES, Purpose};
use crate::core::{Core, CoreCalls, CoreHandle, admit_containers, keep_time, poll_rings};
use crate::descriptors::Shares;
use crate::directory::{self, Directory, make_private};
use crate::engine_log::log;
use crate::engine_sockets::{EngineSockets, keep as keep_sockets};
use crate::gateway::{
    DescriptorReserve, Gateway, Health, MAX_HEADER_BYTES, RequestLimits, Service, Stop,
    keep_timeouts,
};
use crate::ids::FunctionId;
use crate::launcher::{ProcessManager, outlive_file_size_limit, raise_open_files};
use crate::memory::Memory;
use crate::notify::notify;
use crate::observe::admin::{AdminPages, EngineInfo};
use crate::observe::status::Observed;
use crate::observe::status_server::StatusServer;
use crate::place::{admin_socket, as_written};
use crate::reload::ConfiguredFunctions;
use crate::transport::{Alarm, Listener};
use crate::watch::Watch;
use anyhow::{Context, Result, anyhow};
use nightcore_runtime::ipc::slice::{SHORTEST_SLICE_NS, ask_for_short_slice};
use nightcore_runtime::protocol::control::ChannelKind;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

/// The pause between two checks whether all functions are ready, or whether all calls have ended.
const READY_PAUSE: Duration = Duration::from_millis(5);
/// The time that calls under way have beyond the longest timeout when the engine stops.
const DRAIN_SLACK: Duration = Duration::from_secs(1);

/// Requests and answers may hold `1 / MEMORY_ONE_OF` of the memory that is available to the engine.
/// Shared memory and bodies on their way through HTTP may take as much again; the rest is for
/// functions.
const MEMORY_ONE_OF: u64 = 4;
/// Buffers that are kept for reuse may take `1 / KEPT_ONE_OF` of that.
const KEPT_ONE_OF: u64 = 8;
/// The memory in bytes that is assumed to be available if the system does not report it.
const UNKNOWN_MEMORY: u64 = 1 << 30;

/// The options of `nightcore up`.
pub struct Options<'a> {
    /// The configuration.
    pub config: Config,
    /// The engine's directory.
    pub directory: &'a Path,
    /// Whether the user has named the directory. If not, its name is derived from the configuration
    /// file.
    pub is_named: bool,
    /// The file that receives a line when all functions are ready.
    pub ready: Option<File>,
    /// The purpose of the engine. For development, the files of all functions and of the
    /// configuration are watched.
    pub purpose: Purpose,
    /// Returns memory that the allocator keeps to the system.
    pub give_back: fn(),
}

/// Reports the functions that cannot be called.
#[derive(Clone)]
struct CoreHealth(CoreHandle);

impl Health for CoreHealth {
    fn not_ready(&self) -> Vec<String> {
        let mut core = self.0.borrow_mut();
        let now = nightcore_runtime::clock::now_ns();
        let ids: Vec<FunctionId> =
            core.scheduler().functions().filter(|id| !core.scheduler().is_ready(*id)).collect();
        let reason = |id| {
            let status = core.function_status(now, id);
            let spec = core.scheduler().spec(id);
            let reason = status.unavailable.map(|reason| spec.told_reason(&reason));
            format!("{}: {}", status.name, reason.unwrap_or_else(|| "starting".into()))
        };
        ids.into_iter().map(reason).collect()
    }
}

/// Runs an engine until SIGTERM or SIGINT. After a second signal it does not wait for calls under
/// way, and after a third one not for processes. SIGHUP reloads the configuration.
pub async fn run(options: Options<'_>) -> Result<()> {
    let Options { config, directory, is_named, ready, purpose, give_back } = options;
    let reserve = Rc::new(DescriptorReserve::open());
    outlive_file_size_limit().context("cannot ignore SIGXFSZ")?;
    let open_files = raise_open_files().context("cannot raise the limit of open files")?;
    let shares = Shares::of_this_process().context("cannot ask for the limit of open files")?;
    let mut signals = Signals::new().context("cannot handle signals")?;
    let tcp = bind("gateway", config.gateway.listen)?;
    let address = format!("http://{}", tcp.local_addr()?);
    let status_server = bind_status_server(&config)?;
    let info = EngineInfo {
        pid: std::process::id(),
        config: as_written(&config.path)?.into_os_string(),
        is_named,
    };
    if !is_named && let Some(base) = directory.parent() {
        make_private(base)?;
    }
    let sockets = Rc::new(RefCell::new(EngineSockets::new(Directory::lock(directory)?)));

    let (events_in, mut events) = mpsc::unbounded_channel();
    let max_body_bytes = config.gateway.max_body_bytes;
    let memory = Memory::with_limit(memory_limit(&config.gateway));
    // The heads of requests that are still arriving may hold as much memory again.
    let clients = memory.usage().limit / MAX_HEADER_BYTES as u64;
    let clients = usize::try_from(clients).unwrap_or(usize::MAX);
    let alarm = Alarm::new().context("cannot make a timer")?;
    let core = Core::create(directory.to_owned(), max_body_bytes, events_in, alarm.clone());
    if config.functions.iter().any(|function| function.keys.channel == ChannelKind::Ring) {
        ask_for_short_slice(SHORTEST_SLICE_NS);
    }
    let (build_ended, mut builds_ended) = mpsc::unbounded_channel();
    let mut processes =
        ProcessManager::start(core.clone(), directory, open_files, sockets.clone(), build_ended)?;
    let (sources_read, mut all_sources_read) = mpsc::unbounded_channel();
    let mut functions =
        ConfiguredFunctions::start(core.clone(), &mut processes, config, purpose, sources_read);
    let (reloads, mut asked) = mpsc::unbounded_channel();

    let observed = Rc::new(Observed {
        core: core.clone(),
        memory,
        histories: processes.status(),
        address: address.clone(),
        metrics: status_server.as_ref().map(|(_, address)| format!("{address}/metrics")),
        started_at: SystemTime::now(),
    });
    let control_socket = directory::control_socket(directory);
    let admin = Rc::new(AdminPages {
        observed: observed.clone(),
        info,
        config: functions.shared_config(),
        control_socket: control_socket.to_string_lossy().into_owned(),
        max_body_bytes,
        reloads,
        reserve,
        older_children: processes.older_children(),
    });
    sockets.borrow_mut().open(control_socket, {
        let core = core.clone();
        move |path| {
            Ok(spawn_local(admit_containers(Listener::bind(path, shares.strangers)?, core.clone())))
        }
    })?;
    sockets.borrow_mut().open(admin_socket(directory), move |path| {
        let listener = UnixListener::bind(path)?;
        Ok(spawn_local(admin.clone().serve(listener, shares.room_for_admin())))
    })?;
    let kept = sockets.clone();
    spawn_local(async {
        if let Err(error) = keep_sockets(kept).await {
            log(&format!("sockets that are removed are not made again: {error}"));
        }
    });
    if let Some((listener, _)) = status_server {
        let server = StatusServer { observed: observed.clone(), health: CoreHealth(core.clone()) };
        spawn_local(server.serve(listener, shares.room_for_admin()));
    }
    spawn_local(keep_time(alarm, core.clone()));
    spawn_local(poll_rings(core.clone()));
    let stop = Stop::default();
    let gateway = Rc::new(Gateway::with_room(shares.room_for_clients(clients), memory));
    let service = Service {
        calls: CoreCalls { core: core.clone(), memory },
        health: CoreHealth(core.clone()),
        limits: RequestLimits { max_body_bytes },
        routes: functions.routes(),
    };
    let frontend = gateway.clone();
    let heard = stop.clone();
    spawn_local(async move { frontend.serve(tcp, Rc::new(service), heard).await });
    spawn_local(async {
        if let Err(error) = keep_timeouts().await {
            log(&format!("clients that fall silent are not ended: {error}"));
        }
    });
    keep_at_most(memory.usage().limit / KEPT_ONE_OF);
    spawn_local(memory.give_back_after_peaks(move || {
        give_kept_back();
        give_back();
    }));
    log(&format!("listening on {address}"));
    if let Some(metrics) = &observed.metrics {
        log(&format!("metrics at {metrics}"));
    }
    spawn_local(announce(core.clone(), address, ready));

    let watch_all = purpose == Purpose::Develop;
    let mut watch = Watch::default();
    watch.set(functions.config(), watch_all);
    loop {
        let request = tokio::select! {
            () = processes.run(&mut events) => continue,
            heard = signals.next() => match heard {
                SignalAction::Stop => break,
                SignalAction::Reload => None,
            },
            Some(request) = asked.recv() => Some(request),
            Some(ended) = builds_ended.recv() => {
                functions.build_ended(&mut processes, ended);
                continue;
            }
            Some(sources_read) = all_sources_read.recv() => {
                functions.sources_read(&mut processes, sources_read);
                continue;
            }
            changed = watch.changed() => {
                watch.put_off(functions.restart_changed(&mut processes, changed.functions));
                if !changed.config {
                    continue;
                }
                None
            }
        };
        let forced = request.as_ref().map(|request| request.forced.clone()).unwrap_or_default();
        let changes = functions.reload(&mut processes, &forced).await;
        match &changes {
            Ok(changes) => {
                changes.warnings.iter().for_each(|warning| log(warning));
                log(&format!("reloaded: {changes}"));
            }
            Err(error) => log(&format!("not reloaded, all goes on as it was: {error}")),
        }
        watch.set(functions.config(), watch_all);
        if let Some(request) = request {
            // The client that asked may have disconnected.
            let _ = request.answer.send(changes);
        }
    }
    log(&format!(
        "stopping: no new connections, {} calls under way",
        core.borrow().scheduler().calls_under_way()
    ));
    notify("STOPPING=1");
    stop.signal();
    processes.end_builds();
    let longest = functions.longest_timeout() + DRAIN_SLACK;
    tokio::select! {
        () = processes.run(&mut events) => {}
        () = drained(&core, &gateway) => {}
        () = tokio::time::sleep(longest) => {}
        () = signals.stop() => {}
    }
    processes.stop(events, signals.stop()).await;
    sockets.borrow().remove()
}

/// Listens on an address from a section of the configuration.
fn bind(section: &str, address: SocketAddr) -> Result<TcpListener> {
    Gateway::bind(address).map_err(|error| {
        let failed = format!("cannot listen on {address}, as [{section}] says");
        match error.kind() {
            io::ErrorKind::AddrInUse => anyhow!(
                "{failed}: the port is in use by another program, perhaps an engine that still \
                 runs; end that program, or name another port"
            ),
            _ => anyhow::Error::new(error).context(failed),
        }
    })
}

/// Returns the memory that requests and answers may hold together, in bytes.
fn memory_limit(gateway: &config::GatewayConfig) -> u64 {
    let derived = || {
        let available = available_memory().unwrap_or(UNKNOWN_MEMORY);
        (available / MEMORY_ONE_OF).max(MIN_HELD_BYTES)
    };
    gateway.memory_bytes.unwrap_or_else(derived)
}

/// Returns the listener of the address that `[admin]` names, and its URL.
fn bind_status_server(config: &Config) -> Result<Option<(TcpListener, String)>> {
    let Some(admin) = &config.admin else { return Ok(None) };
    let listener = bind("admin", admin.listen)?;
    let address = format!("http://{}", listener.local_addr()?);
    Ok(Some((listener, address)))
}

/// Waits until no call is under way and no connection is open.
async fn drained(core: &CoreHandle, gateway: &Gateway) {
    gateway.closed().await;
    while core.borrow().scheduler().calls_under_way() > 0 {
        tokio::time::sleep(READY_PAUSE).await;
    }
}

/// Announces when every function is ready or has failed for good.
async fn announce(core: CoreHandle, address: String, ready: Option<File>) {
    // The engine accepts calls from now on. They wait for functions that are not ready yet.
    notify(&format!("READY=1\nSTATUS=listening on {address}"));
    let (count, failed) = loop {
        let (mut count, mut waiting) = (0, 0);
        let mut failed = Vec::new();
        {
            let mut core = core.borrow_mut();
            let now = nightcore_runtime::clock::now_ns();
            for id in core.scheduler().functions() {
                count += 1;
                if !core.scheduler().is_ready(id) {
                    match core.function_status(now, id).unavailable {
                        Some(_) => failed.push(core.scheduler().spec(id).name.clone()),
                        None => waiting += 1,
                    }
                }
            }
        }
        if waiting == 0 {
            break (count, failed);
        }
        tokio::time::sleep(READY_PAUSE).await;
    };
    let line = if failed.is_empty() {
        format!("ready: {address}, {count} functions")
    } else {
        format!(
            "ready: {address}, {} of {count} functions; failed: {}",
            count - failed.len(),
            failed.join(", ")
        )
    };
    log(&line);
    notify(&format!("STATUS={line}"));
    if let Some(ready) = ready {
        write_when_writable(&ready, format!("{line}\n").as_bytes()).await;
    }
}

/// Writes to a descriptor whose reader may have left, or may not read for a while.
async fn write_when_writable(file: &File, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let mut fds = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
        if poll(&mut fds, PollTimeout::ZERO) == Ok(0) {
            tokio::time::sleep(READY_PAUSE).await;
            continue;
        }
        // A pipe that is writable accepts this many bytes without blocking.
        match nix::unistd::write(file, &bytes[..bytes.len().min(libc::PIPE_BUF)]) {
            Ok(written) => bytes = &bytes[written..],
            Err(_) => return,
        }
    }
}

/// The signals that an engine handles.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

/// The effect of a signal.
enum SignalAction {
    Stop,
    Reload,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> SignalAction {
        // For an engine in a terminal, SIGHUP means that the terminal was closed.
        let hung_up =
            if std::io::stderr().is_terminal() { SignalAction::Stop } else { SignalAction::Reload };
        tokio::select! {
            _ = self.terminate.recv() => SignalAction::Stop,
            _ = self.interrupt.recv() => SignalAction::Stop,
            _ = self.hang_up.recv() => hung_up,
        }
    }

    async fn stop(&mut self) {
        while !matches!(self.next().await, SignalAction::Stop) {}
    }
}
