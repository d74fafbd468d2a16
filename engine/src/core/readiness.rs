//! The readiness check of functions that have one: a container is probed until it shows that it is
//! ready. The function's `start_timeout` limits this time.

use super::news::ContainerEvent;
use super::state::{Core, CoreHandle};
use crate::calls::Outcome;
use crate::ids::ContainerKey;
use crate::scheduler::{Arrival, Event};
use crate::transport::{Payload, collect};
use bytes::Bytes;
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::{Failure, Metadata, MetadataBuffer, Status};
use std::time::Duration;
use tokio::sync::oneshot;

/// The pause between two probes. It is a tenth of what a user notices, and costs a process that
/// waits for its database almost nothing.
const PAUSE: Duration = Duration::from_millis(20);
/// An answer with a status below this one shows that a container is ready. Orchestrators use the
/// same rule.
const FIRST_BAD_STATUS: u16 = 400;

/// Probes a container until it is ready, or cannot be probed any more. In the latter case its next
/// worker starts a new check.
pub(super) async fn check(core: CoreHandle, container: ContainerKey, launch: u64) {
    loop {
        let Some(answer) = core.borrow_mut().probe(container, launch) else { return };
        let Ok(outcome) = answer.await else { return };
        // If the process dies during a probe, that is reported separately, so it must not replace
        // the reason that an earlier answer gave.
        if outcome.as_ref().is_err_and(|failure| failure.status == Status::ContainerDied) {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        let Err(why) = shows_ready(outcome).await else {
            core.borrow_mut().start_checked(container, launch);
            return;
        };
        core.borrow().tell(ContainerEvent::NotReady { launch, why });
        tokio::time::sleep(PAUSE).await;
    }
}

/// Checks that the answer to a probe shows that the container is ready.
///
/// # Errors
///
/// The reason why it does not.
async fn shows_ready(outcome: Outcome<Payload>) -> Result<(), String> {
    let payload = outcome.map_err(|failure| format!("{}: {}", failure.status, failure.message))?;
    let collected = collect(payload).await;
    let (metadata, _) = collected.map_err(|error| format!("its answer was lost: {error}"))?;
    let metadata = Metadata::parse(&metadata).map_err(|error| error.to_string())?;
    let status = metadata.iter().find(|(name, _)| *name == ":status");
    let status = status.and_then(|(_, value)| std::str::from_utf8(value).ok()?.parse().ok());
    match status.unwrap_or(200) {
        ..FIRST_BAD_STATUS => Ok(()),
        bad => Err(format!("it answered with {bad}")),
    }
}

impl Core {
    /// Sends a probe to a container.
    fn probe(
        &mut self,
        container: ContainerKey,
        launch: u64,
    ) -> Option<oneshot::Receiver<Outcome<Payload>>> {
        let identity = self.connections.container(container).map(|at| &at.identity)?;
        if identity.launch() != Some(launch) {
            return None;
        }
        let function = identity.function;
        let spec = self.scheduler.spec(function);
        let metadata = request(&spec.name, spec.ready_path.as_deref()?).ok()?;
        let payload = Payload::Http { metadata, body: Bytes::new() };
        let bytes = payload.len();
        let (reply, answer) = oneshot::channel();
        let (root, timeout, input) = (self.call_ids.next(), None, None);
        let probe = Arrival { function, root, timeout, payload, bytes, input, reply };
        let now = now_ns();
        self.poller.note_other_work();
        let is_sent = self.scheduler.probe(now, container, probe, &mut self.actions);
        self.run_actions(now);
        is_sent.then_some(answer)
    }

    /// Notes that a container has passed its check.
    fn start_checked(&mut self, container: ContainerKey, launch: u64) {
        if self.launch(container) != Some(launch) {
            return;
        }
        let now = now_ns();
        self.note(now, Event::Passed { container });
        self.tell(ContainerEvent::Ready { launch });
        self.run_actions(now);
    }
}

/// The metadata of a probe, which are those of a client's GET.
fn request(function: &str, path: &str) -> Result<MetadataBuffer, Failure> {
    let mut metadata = MetadataBuffer::new();
    let prefix = format!("/function/{function}");
    let pairs = [
        (":method", "GET"),
        (":prefix", prefix.as_str()),
        (":path", path),
        ("host", "localhost"),
        ("user-agent", "nightcore"),
    ];
    for (name, value) in pairs {
        let pushed = metadata.push(name, value.as_bytes());
        pushed.map_err(|error| Failure::new(Status::Internal, error.to_string()))?;
    }
    Ok(metadata)
}
