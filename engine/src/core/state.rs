//! What the core owns.

use super::call_ids::CallIds;
use super::news::ContainerEvent;
use super::processes::Processes;
use crate::calls::{Outcome, Share};
use crate::ids::CallNumber;
use crate::processors::Processors;
use crate::scheduler::{Actions, Event};
use crate::transport::{Alarm, Connections, ContainerStatus, Lending, Looking, Payload, Tokens};
use nightcore_runtime::ipc::board::Board;
use nightcore_runtime::protocol::Broken;
use std::cell::RefCell;
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use tokio::sync::{mpsc, oneshot};

/// How the gateway takes an answer.
pub(super) type Reply = oneshot::Sender<Outcome<Payload>>;
/// The scheduler of the calls of this engine.
pub(super) type Scheduler = crate::scheduler::Scheduler<Payload, Reply>;
/// The core, as tasks of the I/O thread share it. Never held across an await.
pub type CoreHandle = Rc<RefCell<Core>>;

/// Scheduler and transport of an engine.
pub struct Core {
    pub(super) scheduler: Scheduler,
    /// What the scheduler wants done and is not done yet.
    pub(super) actions: Actions<Payload, Reply>,
    /// The tokens that admit containers.
    pub tokens: Tokens,
    pub(super) connections: Connections,
    pub(super) call_ids: CallIds,
    pub(super) looking: Looking,
    pub(super) processors: Processors,
    pub(super) processes: Processes,
    pub(super) alarm: Rc<Alarm>,
    /// Says which functions have calls that wait for their turn, and the file of it for
    /// containers; none where the kernel cannot seal it.
    pub(super) board: Option<(Board, OwnedFd)>,
    /// Workers that are lent, by lease.
    pub(super) lendings: HashMap<CallNumber, Lending>,
    /// When they are looked after next, ns; none without leases.
    pub(super) next_lease_tick: Option<u64>,
    events: mpsc::UnboundedSender<ContainerEvent>,
    /// Itself, for the tasks that wait for what comes from the channels it makes.
    pub(super) this: Weak<RefCell<Core>>,
}

impl Core {
    /// A core without functions. Its pipes are made in `directory`; bodies have at most
    /// `max_body_bytes`; what the launcher must know is sent to `events`.
    pub fn create(
        directory: PathBuf,
        max_body_bytes: u64,
        events: mpsc::UnboundedSender<ContainerEvent>,
        alarm: Rc<Alarm>,
    ) -> CoreHandle {
        Rc::new_cyclic(|this| {
            RefCell::new(Core {
                scheduler: Scheduler::on_cores(Processors::usable()),
                actions: Actions::default(),
                tokens: Tokens::default(),
                connections: Connections::new(directory, max_body_bytes),
                call_ids: CallIds::default(),
                looking: Looking::default(),
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

    /// Tells the scheduler what has happened.
    ///
    /// # Errors
    /// If it is the message of a worker that broke a rule.
    #[inline(always)] // As `Scheduler::handle` says.
    pub(super) fn handle(&mut self, now: u64, event: Event<'_, Payload>) -> Result<(), Broken> {
        self.scheduler.handle(now, event, &mut self.actions)
    }

    /// Tells the scheduler what has happened, where that is no message of a worker.
    pub(super) fn note(&mut self, now: u64, event: Event<'_, Payload>) {
        let broken = self.handle(now, event);
        debug_assert!(broken.is_ok(), "only a worker's message can break a rule: {broken:?}");
    }

    /// Payloads that went by the arena since the engine started.
    pub fn arena_payloads(&self) -> u64 {
        self.connections.arena_payloads()
    }

    /// The connected containers.
    pub fn containers(&mut self) -> Vec<ContainerStatus> {
        self.connections.status()
    }

    /// Tells the launcher.
    pub(super) fn tell(&self, event: ContainerEvent) {
        // The launcher's side ends only with the engine.
        let _ = self.events.send(event);
    }
}

impl Share for Payload {
    fn share(&mut self) -> Payload {
        self.shared()
    }
}
