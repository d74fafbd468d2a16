//! The tasks that wait for the transport's events and pass them to the core.

use super::rate_limiter::RateLimiter;
use super::state::{Core, CoreHandle};
use crate::ids::ContainerKey;
use crate::transport::{
    Alarm, BlockCopy, CloseReason, ControlSocket, Disconnect, FromProcess, Greeting, Listener,
    PollResult, Process, Reader, ReaderEvent, Stranger,
};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::limits::TOKEN_BYTES;
use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::rc::{Rc, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::task::spawn_local;

/// The longest time from the start of a process to the launcher's report of it.
const REPORTED_WITHIN: Duration = Duration::from_secs(5);

/// Admits containers until the runtime ends.
pub async fn admit_containers(listener: Listener, core: CoreHandle) {
    while let Some(stranger) = listener.accept().await {
        spawn_local(admit(core.clone(), stranger));
        tokio::task::yield_now().await;
    }
}

/// Wakes the core for deadlines and limits until the runtime ends.
pub async fn keep_time(alarm: Rc<Alarm>, core: CoreHandle) {
    while alarm.rung().await.is_ok() {
        core.borrow_mut().advance(now_ns());
    }
}

/// Spins on the rings whenever a message is expected, until the runtime ends.
pub async fn poll_rings(core: CoreHandle) {
    let some = core.borrow().poller.waker();
    loop {
        some.notified().await;
        let mut other_work = 0;
        poll_fn(|context| {
            let mut core = core.borrow_mut();
            match core.poller.poll() {
                PollResult::Over => return Poll::Ready(()),
                PollResult::Found => core.take_from_rings(),
                PollResult::Nothing => {
                    let before = std::mem::replace(&mut other_work, core.poller.other_work());
                    if before == other_work {
                        core.poller.yield_core();
                    }
                }
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Admits a connection that greets as a container, and serves it until it is no longer one.
async fn admit(core: CoreHandle, stranger: Stranger) {
    let Some(greeting) = stranger.greeting().await else { return };
    wait_for_start(&core, &greeting.hello.token).await;
    let Some(key) = core.borrow_mut().greeted(&greeting) else { return };
    let Greeting { control, peer, counted, .. } = greeting;
    drop(counted);
    let pidfd = peer.pidfd;
    let loss = listen(&core, key, &control, pidfd).await;
    // Before it died, the process may have written messages that are ready in its pipes. They are
    // read first.
    for _ in 0..2 {
        tokio::task::yield_now().await;
    }
    core.borrow_mut().container_lost(key, &control, loss);
}

/// Waits until the launcher has reported which process it started for a token. A process that has
/// just been started can be faster than that report.
async fn wait_for_start(core: &CoreHandle, token: &[u8; TOKEN_BYTES]) {
    let starts = core.borrow().tokens.starts();
    let reported = async {
        loop {
            let next = starts.notified();
            if !core.borrow().tokens.awaits_start(token) {
                return;
            }
            next.await;
        }
    };
    // The token is refused then.
    let _ = tokio::time::timeout(REPORTED_WITHIN, reported).await;
}

/// Handles a container's control messages until it is no longer a container.
async fn listen(
    core: &CoreHandle,
    key: ContainerKey,
    control: &Rc<ControlSocket>,
    pidfd: OwnedFd,
) -> Disconnect {
    let process = match Process::watch(control.clone(), pidfd) {
        Ok(process) => process,
        Err(loss) => return loss,
    };
    let mut rate_limiter = RateLimiter::new();
    loop {
        match process.next().await {
            FromProcess::Message(message) => {
                let handled = core.borrow_mut().control_message(key, control, message);
                if let Err(text) = handled {
                    return Disconnect::Broken(text);
                }
                rate_limiter.after_message().await;
            }
            FromProcess::Lost(loss) => return loss,
        }
    }
}

/// Handles the events of a channel until it ends.
pub(super) async fn read(core: CoreHandle, mut reader: Reader) {
    let ending = loop {
        let Some(heard) = reader.next().await else { return };
        let handled = match heard {
            ReaderEvent::Bytes => core.borrow_mut().take_from_pipe(&mut reader),
            ReaderEvent::Bell => core.borrow_mut().rung(reader.channel()),
            ReaderEvent::End(ending) => break ending,
        };
        if let Err(broken) = handled {
            break CloseReason::Broken(broken);
        }
    };
    core.borrow_mut().channel_ended(reader.channel(), ending);
}

/// Copies a large payload, and sends its message.
pub(super) async fn copy(core: Weak<RefCell<Core>>, block: BlockCopy) {
    block.run().await;
    if let Some(core) = core.upgrade() {
        core.borrow_mut().copied(block);
    }
}
