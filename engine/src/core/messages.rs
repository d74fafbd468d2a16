//! Turns the messages of workers into events of the scheduler.

use super::news::ContainerEvent;
use super::state::Core;
use crate::functions::Ran;
use crate::ids::{ChannelKey, FunctionId};
use crate::scheduler::{Below, CallAlone, Event, InternalCall};
use crate::transport::{Channel, ChannelState, Reader};
use nightcore_runtime::clock::now_ns;
use nightcore_runtime::protocol::control::Mode;
use nightcore_runtime::protocol::to_engine::{self, Callee, HandlerTimes, ToEngine};
use nightcore_runtime::protocol::{Broken, Message};
use std::num::NonZeroU64;
use std::rc::Rc;

impl Core {
    /// Handles all complete messages that were read from a pipe.
    pub(super) fn take_from_pipe(&mut self, reader: &mut Reader) -> Result<(), Broken> {
        let now = now_ns();
        self.poller.note_other_work();
        let taken = reader.take(|channel, message| self.message(now, channel, message));
        self.run_actions(now);
        taken
    }

    /// Handles the bell of a ring.
    pub(super) fn rung(&mut self, channel: &Rc<Channel>) -> Result<(), Broken> {
        self.poller.note_other_work();
        let now = now_ns();
        channel.rung(now);
        let taken = self.take_from_ring(now, channel);
        self.run_actions(now);
        taken?;
        self.poller.await_bell(channel);
        Ok(())
    }

    /// Handles the messages in a channel's ring, up to a bound. Returns how many there were.
    pub(super) fn take_from_ring(
        &mut self,
        now: u64,
        channel: &Rc<Channel>,
    ) -> Result<usize, Broken> {
        channel.take_from_ring(|message| self.message(now, channel, message))
    }

    /// Handles the messages in the rings, after polling has found some.
    pub(super) fn take_from_rings(&mut self) {
        let now = now_ns();
        let mut at = 0;
        while let Some(channel) = self.poller.with_message(&mut at) {
            let taken = self.take_from_ring(now, &channel);
            // A thread has sent its expected message; in an event loop other calls may go on.
            channel.found(|| match channel.state() {
                ChannelState::Ready(key) => {
                    channel.mode() == Mode::EventLoop && self.scheduler.has_calls(key)
                }
                ChannelState::Starting | ChannelState::Closed => false,
            });
            if let Err(broken) = taken {
                self.channel_broken(&channel, broken);
            }
        }
        self.run_actions(now);
    }

    fn message(
        &mut self,
        now: u64,
        channel: &Rc<Channel>,
        message: &Message<'_>,
    ) -> Result<(), Broken> {
        let message = ToEngine::read(message)?;
        let key = match (channel.state(), &message) {
            (ChannelState::Ready(key), _) => key,
            (ChannelState::Starting, ToEngine::Ready(_)) => {
                match channel.is_caller() {
                    true => self.caller_ready(now, channel),
                    false => self.worker_ready(now, channel),
                }
                return Ok(());
            }
            (ChannelState::Starting | ChannelState::Closed, _) => return Err(message.unexpected()),
        };
        match message {
            ToEngine::Invoke(invoke) => self.invoked(now, (channel, key), invoke, None),
            ToEngine::CallComplete(complete) => {
                let outcome = Ok(self.connections.receive(channel, complete.payload)?);
                let (call, ran) = (complete.call, ran(complete.times));
                self.handle(now, Event::Completed { channel: key, call, ran, outcome })
            }
            ToEngine::CallFailed(failed) => {
                let function = self.connections.function_name(channel.container());
                let outcome = Err(failed.failure.decode(&function));
                let (call, ran) = (failed.call, ran(failed.times));
                self.handle(now, Event::Completed { channel: key, call, ran, outcome })
            }
            ToEngine::Wait(wait) => {
                let (call, seen) = (wait.call, wait.answers);
                self.handle(now, Event::Waits { channel: key, call, seen })
            }
            ToEngine::CancelInvoke(cancel) => {
                self.handle(now, Event::InvokeCancelled { channel: key, tag: cancel.call })
            }
            ToEngine::InvokeBelow(below) => self.invoked_below(now, (channel, key), below),
            ToEngine::Resume(resume) => {
                self.handle(now, Event::WantsSlot { channel: key, call: resume.call })
            }
            ToEngine::CancelLease(cancel) => {
                self.cancel_lease(now, channel, cancel.lease);
                Ok(())
            }
            ToEngine::InvokeAlone(invoke) if channel.is_caller() => {
                self.called_alone(now, (channel, key), invoke)
            }
            ToEngine::InvokeAlone(_) | ToEngine::Ready(_) => Err(message.unexpected()),
        }
    }

    /// Handles a process call: a call that a process makes outside of any request.
    fn called_alone(
        &mut self,
        now: u64,
        (channel, key): (&Channel, ChannelKey),
        invoke: to_engine::InvokeAlone<'_>,
    ) -> Result<(), Broken> {
        let payload = self.connections.receive(channel, invoke.payload)?;
        let (callee, name) = self.resolve(invoke.callee);
        let input = callee.and_then(|callee| self.fingerprint(callee, &payload));
        let (tag, bytes) = (invoke.call, payload.len());
        let deadline = invoke.deadline.map(NonZeroU64::get);
        let (channel, root) = (key, self.call_ids.next());
        let call = CallAlone { channel, tag, root, callee, name, deadline, payload, bytes, input };
        self.handle(now, Event::CalledAlone(call))
    }

    /// Finds the function that a message calls. Returns its id, if it exists, and its name, if the
    /// message gave one.
    #[inline]
    fn resolve<'n>(&self, callee: Callee<'n>) -> (Option<FunctionId>, &'n str) {
        let (function, name) = match callee {
            Callee::Id(function) => (Some(function), ""),
            Callee::Name(name) => (None, name),
        };
        (self.scheduler.resolve(function, name), name)
    }

    /// Handles a call that the handler of a direct call makes.
    fn invoked_below(
        &mut self,
        now: u64,
        from: (&Channel, ChannelKey),
        invoke: to_engine::InvokeBelow<'_>,
    ) -> Result<(), Broken> {
        let to_engine::InvokeBelow { call, lease, root, depth, callee, waits, deadline, payload } =
            invoke;
        let (parent, deadline) = (lease, Some(deadline));
        let as_call =
            to_engine::Invoke { call, parent, callee, waits, deadline, sent_at: now, payload };
        self.invoked(now, from, as_call, Some(Below { root, depth }))
    }

    /// Handles a call that a worker makes: finds the callee and fingerprints the input, then asks
    /// the scheduler.
    #[inline]
    fn invoked(
        &mut self,
        now: u64,
        (channel, key): (&Channel, ChannelKey),
        invoke: to_engine::Invoke<'_>,
        below: Option<Below>,
    ) -> Result<(), Broken> {
        let payload = self.connections.receive(channel, invoke.payload)?;
        let (callee, name) = self.resolve(invoke.callee);
        let input = callee.and_then(|callee| self.fingerprint(callee, &payload));
        let bytes = payload.len();
        self.handle(
            now,
            Event::Invoked(InternalCall {
                channel: key,
                parent: invoke.parent,
                tag: invoke.call,
                callee,
                name,
                waits: invoke.waits,
                deadline: invoke.deadline.map(NonZeroU64::get),
                payload,
                bytes,
                input,
                below,
            }),
        )
    }

    fn caller_ready(&mut self, now: u64, channel: &Rc<Channel>) {
        let key = self.scheduler.caller_ready(now, channel.container(), &mut self.actions);
        self.connections.set_ready(channel, key);
    }

    fn worker_ready(&mut self, now: u64, channel: &Rc<Channel>) {
        let container = channel.container();
        let key = self.scheduler.worker_ready(now, container, &mut self.actions);
        self.connections.set_ready(channel, key);
        if self.scheduler.is_checked(container) {
            return;
        }
        if let Some(container) = self.connections.container_mut(container)
            && container.note_ready()
            && let Some(launch) = container.identity.launch()
        {
            self.tell(ContainerEvent::Ready { launch });
        }
    }
}

/// Converts the times at which the handler ran, as the worker reports them.
fn ran(times: HandlerTimes) -> Ran {
    Ran { began_at: times.began_at, ended_at: times.ended_at }
}
