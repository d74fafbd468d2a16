//! Creates channels, and handles their end.

use super::drive::read;
use super::news::ContainerEvent;
use super::state::Core;
use crate::engine_log::log;
use crate::ids::ContainerKey;
use crate::scheduler::{Event, ProcessFate};
use crate::transport::{Channel, ChannelState, CloseReason};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::limits::RING_LINES;
use nightcore_runtime::protocol::{Broken, Failure, Status};
use std::rc::Rc;
use tokio::task::spawn_local;

impl Core {
    /// Asks a container for one more worker.
    pub(super) fn create_worker(&mut self, now: u64, key: ContainerKey) {
        let Some(container) = self.connections.container(key) else { return };
        let placement = self.scheduler.spec(container.identity.function).placement;
        match self.connections.create_worker(key, placement) {
            Some(Ok(reader)) => {
                if let Some(this) = self.this.upgrade() {
                    spawn_local(read(this, reader));
                }
            }
            Some(Err(error)) => {
                let name = self.connections.function_name(key);
                log(&format!("{name}: cannot create a worker: {error}"));
                self.note(now, Event::WorkerFailed { container: key });
            }
            None => {}
        }
    }

    /// Handles the end of a channel.
    pub(super) fn channel_ended(&mut self, channel: &Rc<Channel>, ending: CloseReason) {
        match ending {
            CloseReason::Closed => {
                self.end_channel(channel, "has ended");
            }
            CloseReason::Broken(broken) => self.channel_broken(channel, broken),
        }
    }

    /// Handles a worker that broke a rule: its process is no longer a container.
    pub(super) fn channel_broken(&mut self, channel: &Rc<Channel>, broken: Broken) {
        let failure = self.end_channel(channel, &format!("broke the protocol: {broken}"));
        let name = &failure.function;
        log(&format!("{name}: a worker broke the protocol, its process is ended: {broken}"));
        self.lose(channel.container(), &failure, ProcessFate::Lives);
    }

    /// Ends a channel. `became` says what happened to its worker. Returns the failure with which
    /// its calls end.
    fn end_channel(&mut self, channel: &Rc<Channel>, became: &str) -> Failure {
        let name = self.connections.function_name(channel.container());
        let text = format!("the worker of {name} that ran it {became}");
        let failure = Failure { function: name, ..Failure::new(Status::ContainerDied, text) };
        self.take_last_words(channel);
        self.close_channel(channel, &failure);
        failure
    }

    /// Handles the messages that a worker put into its ring before it ended. A pipe is read to its
    /// end, so nothing is left in it.
    fn take_last_words(&mut self, channel: &Rc<Channel>) {
        let now = now_ns();
        // At most one full ring is read, as the process may live and write on. If a rule is broken
        // there, the rest no longer matters.
        let mut left = RING_LINES as usize;
        while let Ok(taken @ 1..) = self.take_from_ring(now, channel) {
            left = left.saturating_sub(taken);
            if left == 0 {
                break;
            }
        }
    }

    /// Closes a channel of a container that stays connected. The channel's calls end with this
    /// failure.
    pub(super) fn close_channel(&mut self, channel: &Rc<Channel>, failure: &Failure) {
        let now = now_ns();
        self.poller.forget(channel);
        match self.connections.close_alone(channel) {
            ChannelState::Ready(key) => {
                self.note_not_begun(now, channel);
                self.note(now, Event::WorkerGone { channel: key, failure });
            }
            ChannelState::Starting if channel.is_caller() => {}
            ChannelState::Starting => {
                self.note(now, Event::WorkerFailed { container: channel.container() });
            }
            ChannelState::Closed => {}
        }
        self.run_actions(now);
    }

    /// Forgets a container. Its calls end with this failure, and the launcher is asked to end what
    /// is left of it.
    pub(super) fn lose(&mut self, key: ContainerKey, failure: &Failure, process: ProcessFate) {
        let now = now_ns();
        let Some(container) = self.connections.container(key) else { return };
        let channels = container.channels().chain(container.caller());
        let channels: Vec<Rc<Channel>> = channels.cloned().collect();
        for channel in &channels {
            self.take_last_words(channel);
        }
        let Some(container) = self.connections.remove(key) else { return };
        for channel in &channels {
            self.poller.forget(channel);
            self.note_not_begun(now, channel);
            self.connections.close(channel);
        }
        self.forget_caller(now, key);
        let process = match process {
            ProcessFate::Lives => self.processes.fate_of_leaving(container.identity.launch()),
            ended => ended,
        };
        self.note(now, Event::ContainerGone { container: key, failure, process });
        if let Some(launch) = container.identity.launch() {
            if self.scheduler.is_dying(key) {
                self.processes.add(launch, key);
            }
            let failed = self.scheduler.take_failed_calls();
            self.tell(ContainerEvent::Gone { launch, failed });
        }
        self.run_actions(now);
    }

    /// Notes that calls which were not even sent to a worker have certainly not begun.
    fn note_not_begun(&mut self, now: u64, channel: &Channel) {
        for call in channel.not_sent() {
            self.note(now, Event::NotBegun { call });
        }
    }
}
