//! Carries out the scheduler's actions: sends messages, and reports to the launcher.

use super::drive::copy;
use super::news::ContainerEvent;
use super::readiness::check;
use super::state::{Core, Reply};
use crate::calls::Outcome;
use crate::engine_log::log;
use crate::functions::admission::quarantine::REFUSE_FOR_NS;
use crate::ids::{ContainerKey, FunctionId};
use crate::scheduler::{Action, Event};
use crate::transport::{BlockCopy, Channel, Outgoing, Payload, Sending, send_inline};
use nightcore_runtime::protocol::to_worker::{AnswerComplete, Caller, Dispatch};
use nightcore_runtime::protocol::{Failure, InvokeNumber, WirePayload};
use std::num::NonZeroU64;
use std::rc::Rc;
use tokio::task::spawn_local;

impl Core {
    /// Carries out all actions of the scheduler, including those that follow from them.
    pub(super) fn run_actions(&mut self, now: u64) {
        while let Some(action) = self.actions.pop() {
            self.run_action(now, action);
        }
        let wake_at = [self.actions.wake_at(), self.next_lease_tick].into_iter().flatten().min();
        if let Some(wake_at) = wake_at {
            self.alarm.set(wake_at);
        }
    }

    fn run_action(&mut self, now: u64, action: Action<Payload, Reply>) {
        match action {
            Action::Dispatch { channel, call, root, depth, caller, deadline, payload } => {
                let Some(channel) = self.connections.channel(channel) else { return };
                let told = caller.filter(|caller| channel.is_new_caller(*caller));
                let name = told.map(|caller| self.scheduler.spec(caller).name.clone());
                let message = Dispatch {
                    call,
                    root,
                    depth,
                    caller: caller.map(|id| Caller { id, name: name.as_deref() }),
                    deadline: deadline.and_then(NonZeroU64::new),
                    sent_at: now,
                    payload: WirePayload::EMPTY,
                };
                let sent = self.send(&channel, Outgoing::Dispatch(message), payload);
                if let Err(failure) = sent {
                    self.note(now, Event::Undeliverable { call, failure });
                }
            }
            Action::Deliver { channel, tag, function, outcome } => {
                let Some(channel) = self.connections.channel(channel) else { return };
                self.deliver(now, &channel, (tag, function), outcome);
            }
            // The send fails if the client has left in the meantime.
            Action::Respond { reply, outcome } => drop(reply.send(outcome)),
            Action::Cancel { channel, call, reason } => {
                if let Some(channel) = self.connections.channel(channel) {
                    channel.cancel(call, reason);
                    self.cancel_direct(now, (channel.container(), call), reason);
                }
            }
            Action::Lend { channel, lease, caller, callee } => {
                self.lend(now, (channel, lease), caller, callee);
            }
            Action::Recall { lease } => self.recall(lease),
            Action::RecallOne { callee } => self.recall_one(now, callee),
            Action::LeaseOver { lease, failure } => self.lease_over(lease, failure),
            Action::Tell { function, notice } => {
                if let Some((board, _)) = &self.board {
                    board.set(function, notice);
                }
            }
            Action::Read { function } => {
                let reading = self.read_processors(function);
                self.note(now, Event::Read { function, reading });
                if self.scheduler.computes(function) {
                    self.poller.note_computing(now);
                }
            }
            Action::LendWaiting { function } => self.lend_waiting(now, function),
            Action::Resumed { channel, call } => {
                if let Some(channel) = self.connections.channel(channel) {
                    channel.resume(call);
                }
            }
            Action::Check { container } => {
                if let (Some(core), Some(launch)) = (self.this.upgrade(), self.launch(container)) {
                    spawn_local(check(core, container, launch));
                }
            }
            Action::CreateWorker { container } => self.create_worker(now, container),
            Action::Retire { channel } => {
                if let Some(channel) = self.connections.channel(channel) {
                    channel.retire();
                }
            }
            Action::Trim { container } => {
                if let Some(container) = self.connections.container_mut(container) {
                    container.trim();
                }
            }
            Action::Replace { container } => {
                if let Some(launch) = self.launch(container) {
                    self.tell(ContainerEvent::Replace { launch });
                }
            }
            Action::Leave { container } => {
                if let Some(container) = self.connections.container(container)
                    && let Some(launch) = container.identity.launch()
                {
                    container.shut_down();
                    self.tell(ContainerEvent::Leaves { launch });
                }
            }
            Action::Quarantined { function, input, deaths } => {
                let name = &self.scheduler.spec(function).name;
                let s = REFUSE_FOR_NS / 1_000_000_000;
                log(&format!(
                    "{name}: the input {input:016x} was under way at {deaths} deaths of its \
                     processes: it is refused for {s} s"
                ));
            }
            Action::Serves { function, generation } => {
                self.tell(ContainerEvent::Serves { function, generation });
            }
            Action::End { container } => {
                if let Some(launch) = self.launch(container) {
                    self.tell(ContainerEvent::End { launch });
                }
            }
        }
    }

    /// Sends the outcome of an internal call to the worker that made it.
    fn deliver(
        &mut self,
        now: u64,
        channel: &Rc<Channel>,
        (call, function): (InvokeNumber, Option<FunctionId>),
        outcome: Outcome<Payload>,
    ) {
        let failed = match outcome {
            Ok(payload) => {
                let empty = WirePayload::EMPTY;
                let answer = AnswerComplete { call, function, sent_at: now, payload: empty };
                self.send(channel, Outgoing::Answer(answer), payload).err()
            }
            Err(failure) => Some(failure),
        };
        if let Some(failure) = failed {
            channel.send_failure(call, function, &failure);
            self.poller.expect(channel);
        }
    }

    /// Sends a message with its payload: inside the message if it fits, else through the
    /// container's arena.
    ///
    /// # Errors
    ///
    /// If the arena has no room for the payload.
    fn send(
        &mut self,
        channel: &Rc<Channel>,
        message: Outgoing<'_>,
        payload: Payload,
    ) -> Result<(), Failure> {
        if !send_inline(channel, message, &payload) {
            match self.connections.send_by_arena(channel, message, payload) {
                Sending::Sent => {}
                Sending::Copying(block) => {
                    spawn_local(copy(self.this.clone(), *block));
                    return Ok(());
                }
                Sending::NoRoom(failure) => return Err(failure),
                Sending::Gone => return Ok(()),
            }
        }
        self.poller.expect(channel);
        Ok(())
    }

    /// Sends the message of a large payload, which has been copied.
    pub(super) fn copied(&mut self, block: BlockCopy) {
        let channel = block.send();
        self.poller.expect(&channel);
    }

    pub(super) fn launch(&self, key: ContainerKey) -> Option<u64> {
        self.connections.container(key)?.identity.launch()
    }

    /// Does the work that is due at this time.
    pub(super) fn advance(&mut self, now: u64) {
        self.note(now, Event::Tick);
        self.run_actions(now);
        self.maintain_leases(now);
    }
}
