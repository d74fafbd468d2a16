//! The state of the core.

use super::call_ids::CallIds;
use super::news::ContainerEvent;
use super::processes::Processes;
use crate::calls::{Outcome, Share};
use crate::ids::CallNumber;
use crate::processors::Processors;
use crate::scheduler::{Actions, Event};
use crate::transport::{Alarm, Connections, ContainerStatus, Lending, Payload, Poller, Tokens};
use nightcore_runtime::ipc::board::Board;
use nightcore_runtime::protocol::Broken;
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use tokio::sync::{mpsc, oneshot};

/// The gateway's handle for an answer.
pub(super) type Reply = oneshot::Sender<Outcome<Payload>>;
/// The scheduler of this engine's calls.
pub(super) type EngineScheduler = crate::scheduler::Scheduler<Payload, Reply>;
/// The core, shared by the tasks of the I/O thread. It is never borrowed across an `await`.
pub type CoreHandle = Rc<RefCell<Core>>;

/// The scheduler and the transport of an engine.
pub struct Core {
    pub(super) scheduler: EngineScheduler,
    /// Actions of the scheduler that have not been carried out yet.
    pub(super) actions: Actions<Payload, Reply>,
    /// The tokens that admit containers.
    pub tokens: Tokens,
    pub(super) connections: Connections,
    pub(super) call_ids: CallIds,
    pub(super) poller: Poller,
    pub(super) processors: Processors,
    pub(super) processes: Processes,
    pub(super) alarm: Rc<Alarm>,
    /// The board, which shows which functions have queued calls, and its file for containers.
    /// `None` if the kernel cannot seal that file.
    pub(super) board: Option<(Board, OwnedFd)>,
    /// The lent workers, by lease.
    pub(super) lendings: HashMap<CallNumber, Lending>,
    /// When the leases are checked next, ns; `None` without leases.
    pub(super) next_lease_tick: Option<u64>,
    events: mpsc::UnboundedSender<ContainerEvent>,
    /// A pointer to this core, for the tasks that wait for events of the channels it makes.
    pub(super) this: Weak<RefCell<Core>>,
}

impl Core {
    /// Creates a core without functions. It makes its pipes in `directory`, allows bodies of at
    /// most `max_body_bytes`, and sends the launcher's news to `events`.
    pub fn create(
        directory: PathBuf,
        max_body_bytes: u64,
        events: mpsc::UnboundedSender<ContainerEvent>,
        alarm: Rc<Alarm>,
    ) -> CoreHandle {
        Rc::new_cyclic(|this| {
            RefCell::new(Core {
                scheduler: EngineScheduler::on_cores(Processors::usable()),
                actions: Actions::default(),
                tokens: Tokens::default(),
                connections: Connections::new(directory, max_body_bytes),
                call_ids: CallIds::default(),
                poller: Poller::default(),
                processors: Processors::default(),
                processes: Processes::default(),
                alarm,
                board: Board::create().ok(),
                lendings: HashMap::new(),
                next_lease_tick: None,
                events,
                this: this.clone(),
            })
        })
    }

    /// Passes an event to the scheduler.
    ///
    /// # Errors
    ///
    /// If the event is the message of a worker that broke a rule.
    #[inline(always)] // As `Scheduler::handle` says.
    pub(super) fn handle(&mut self, now: u64, event: Event<'_, Payload>) -> Result<(), Broken> {
        self.scheduler.handle(now, event, &mut self.actions)
    }

    /// Passes an event to the scheduler that is not the message of a worker.
    pub(super) fn note(&mut self, now: u64, event: Event<'_, Payload>) {
        let broken = self.handle(now, event);
        debug_assert!(broken.is_ok(), "only a worker's message can break a rule: {broken:?}");
    }

    /// How many payloads went by the arena since the engine started.
    pub fn arena_payloads(&self) -> u64 {
        self.connections.arena_payloads()
    }

    /// Describes the connected containers.
    pub fn containers(&mut self) -> Vec<ContainerStatus> {
        self.connections.status()
    }

    /// Sends an event to the launcher.
    pub(super) fn tell(&self, event: ContainerEvent) {
        // The launcher's side of the channel exists as long as the engine.
        let _ = self.events.send(event);
    }
}

impl Share for Payload {
    fn share(&mut self) -> Payload {
        self.shared()
    }
}
