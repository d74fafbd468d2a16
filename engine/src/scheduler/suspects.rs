//! Inputs that crash processes: refuses calls with such inputs, runs suspects alone, and counts the
//! deaths.

use super::Scheduler;
use super::action::Action;
use super::run::Head;
use super::turn::Turn;
use crate::calls::Share;
use crate::functions::admission::quarantine::ALONE_FOR_NS;
use crate::ids::{ContainerKey, Fingerprint};
use crate::pool::Phase;

impl<P: Share, R> Scheduler<P, R> {
    /// Ends a queued call whose turn has come, if its input has been refused meanwhile. Returns
    /// true if so.
    pub(super) fn end_quarantined(&mut self, turn: &mut Turn<'_, P, R>, head: Head) -> bool {
        let Some(input) = head.input else { return false };
        let checked = self.functions[head.function].check_quarantine(turn.now, input);
        let Err(refusal) = checked else { return false };
        self.end_queued(turn, head.call, refusal.into());
        true
    }

    /// How long, in ns, a call is to run alone in its container. `None` if it may run beside
    /// others, or has waited long enough for a container in which no call runs.
    pub(super) fn alone_for(&self, now: u64, head: Head) -> Option<u64> {
        let f = &self.functions[head.function];
        let alone_for = f.quarantine.alone_for(now, f.spec().quarantine_after?, head.input?)?;
        let alone_by = self.calls.get(head.call)?.alone_by();
        alone_by.is_none_or(|by| now < by).then_some(alone_for)
    }

    /// Handles a call that is to run alone and finds no worker. Returns true if it waits until one
    /// of the containers runs no call, for a limited time.
    pub(super) fn wait_to_be_alone(&mut self, now: u64, head: Head) -> bool {
        let containers = self.pool.containers(head.function);
        let mut ready = containers
            .filter(|(_, c)| c.serves() && !c.workers.ready().is_empty())
            .map(|(_, c)| c.load().running())
            .peekable();
        if ready.peek().is_none() || ready.any(|running| running == 0) {
            return false;
        }
        let call = self.calls.get_mut(head.call);
        let until = call.and_then(|call| call.wait_to_be_alone(now.saturating_add(ALONE_FOR_NS)));
        let Some(until) = until else { return false };
        self.upkeep.recheck_at(head.function, until);
        true
    }

    /// Remembers the inputs under way in a container, one of whose channels was closed. If its
    /// process is dying, its other channels will close, too. Calls that are sent to it until that
    /// is noticed have no part in its death.
    pub(super) fn keep_last_words(&mut self, now: u64, key: ContainerKey) {
        let container = &self.pool[key];
        let has_quarantine = self.functions[container.function()].spec().quarantine_after.is_some();
        if has_quarantine && container.needs_last_words(now) {
            let under_way = self.inputs_under_way(key);
            self.pool[key].keep_last_words(now, under_way);
        }
    }

    /// The inputs of the calls that were dispatched to a container, each once.
    fn inputs_under_way(&self, key: ContainerKey) -> Vec<Fingerprint> {
        let open = self.pool.open_in(key).flat_map(|open| open.ids());
        let mut inputs: Vec<_> = open.filter_map(|id| self.calls.get(*id)?.input()).collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }

    /// Counts the death of a container that died by itself for the inputs that were under way.
    pub(super) fn blame(&mut self, turn: &mut Turn<'_, P, R>, key: ContainerKey) {
        let container = &self.pool[key];
        let (function, membership) = (container.function(), container.membership());
        let serving = self.pool.members(function).generations().serving();
        let Some(after) = self.functions[function].spec().quarantine_after else { return };
        // A container that was told to exit, for example for a stuck handler, did not die of its
        // input.
        let was_told = container.phase() == Phase::Ending;
        if was_told || membership.is_attached() || membership.generation() != serving {
            return;
        }
        let last_words = self.pool[key].take_last_words(turn.now);
        let under_way = last_words.unwrap_or_else(|| self.inputs_under_way(key));
        if under_way.is_empty() {
            return;
        }
        let quarantine = &mut self.functions[function].quarantine;
        if let Some((input, deaths)) = quarantine.died(turn.now, after, &under_way) {
            turn.push(Action::Quarantined { function, input, deaths });
        }
    }
}
