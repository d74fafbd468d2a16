//! Inputs that kill: those that were under way when containers of a function died, and those that are refused for it.
//!
//! Several calls may be under way in a container that dies, and nobody sees which of them was the reason. So a death counts for
//! each input that was under way, and an answer clears an input of all deaths. One that is a death away from being refused
//! runs alone in its container for a while, and only a death that it had to itself has it refused: an input that is often
//! there, and answered whenever it may, never is.

use super::action::Action;
use super::call::CallId;
use super::container::ContainerKey;
use super::function::FunctionId;
use super::input::{Fingerprint, Input};
use super::{ChannelKey, Dispatch};
use nightcore_runtime::protocol::{Failure, Status};
use std::collections::HashMap;

/// How long an input is refused. Long enough that one which is sent again and again costs next to no process, short enough
/// that one which was refused for what has passed is not refused for long.
pub const REFUSE_FOR_NS: u64 = 600_000_000_000;
/// How long a death counts, and how long an input that may be sent again is one death away from being refused anew.
pub const FORGET_AFTER_NS: u64 = 600_000_000_000;
/// How long an input waits for a container in which nothing runs, and how long it has that to itself: most inputs that kill do
/// so much sooner, and what waits for it waits no longer.
pub const ALONE_FOR_NS: u64 = 2_000_000_000;
/// The longest that it has a container to itself, when it has killed late again and again: the default of `timeout`.
pub const MAX_ALONE_FOR_NS: u64 = 30_000_000_000;
/// Most inputs of a function that are known: as many as an event loop has under way when it dies.
pub const MAX_SUSPECTS: usize = 1024;
/// A process that dies closes its channels before its end is seen, so much before at most.
const DIES_WITHIN_NS: u64 = 1_000_000_000;

/// An input that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Which.
    pub input: Fingerprint,
    /// At how many deaths it was under way.
    pub deaths: u32,
    /// How often it was refused.
    pub refused: u64,
    /// For how much longer it is, ns.
    pub left_ns: u64,
}

#[derive(Debug)]
struct Suspect {
    deaths: u32,
    /// Until when it is refused, ns; 0: it was not yet.
    refused_until: u64,
    refused: u64,
    forget_at: u64,
}

/// The inputs of a function that were under way at deaths, and not answered since.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    inputs: HashMap<Fingerprint, Suspect>,
}

impl Suspects {
    /// Forgets them all.
    pub(super) fn clear(&mut self) {
        self.inputs = HashMap::new();
    }

    /// A container has died in which these were under way. The one that is to be refused from now on, if one is.
    fn died(
        &mut self,
        now: u64,
        after: u32,
        under_way: &[Fingerprint],
    ) -> Option<(Fingerprint, u32)> {
        self.inputs.retain(|_, suspect| suspect.forget_at > now);
        for input in under_way {
            let new = Suspect { deaths: 0, refused_until: 0, refused: 0, forget_at: 0 };
            let suspect = self.inputs.entry(*input).or_insert(new);
            suspect.deaths = suspect.deaths.saturating_add(1);
            suspect.forget_at = suspect.forget_at.max(now.saturating_add(FORGET_AFTER_NS));
        }
        self.forget_most_harmless();
        let [only] = under_way else { return None };
        let suspect = self.inputs.get_mut(only).filter(|suspect| suspect.deaths >= after)?;
        suspect.refused_until = now.saturating_add(REFUSE_FOR_NS);
        suspect.forget_at = suspect.refused_until.saturating_add(FORGET_AFTER_NS);
        Some((*only, suspect.deaths))
    }

    fn forget_most_harmless(&mut self) {
        let beyond = self.inputs.len().saturating_sub(MAX_SUSPECTS);
        if beyond == 0 {
            return;
        }
        let rank =
            |(input, s): (&Fingerprint, &Suspect)| (s.refused_until, s.deaths, s.forget_at, *input);
        let mut ranks: Vec<_> = self.inputs.iter().map(rank).collect();
        ranks.sort_unstable();
        for (.., input) in &ranks[..beyond] {
            self.inputs.remove(input);
        }
    }

    /// It was answered: its process lives.
    pub(super) fn answered(&mut self, now: u64, input: Fingerprint) {
        if !self.inputs.is_empty()
            && self.inputs.get(&input).is_some_and(|s| s.refused_until <= now)
        {
            self.inputs.remove(&input);
        }
    }

    /// Counts a call of an input that is refused now: at how many deaths it was, and for how much longer it is refused, ns.
    fn refuse(&mut self, now: u64, input: Fingerprint) -> Option<(u32, u64)> {
        let suspect = self.inputs.get_mut(&input).filter(|suspect| suspect.refused_until > now)?;
        suspect.refused += 1;
        Some((suspect.deaths, suspect.refused_until - now))
    }

    /// How long this input is to run alone, ns; `None` if it may run beside others.
    fn alone_for(&self, now: u64, after: u32, input: Fingerprint) -> Option<u64> {
        let suspect = self.inputs.get(&input).filter(|suspect| suspect.forget_at > now)?;
        let last = after.saturating_sub(1).max(1);
        // More deaths than that, and not refused: it killed when it was not alone any more.
        let times = suspect.deaths.checked_sub(last)?.saturating_add(1);
        Some(ALONE_FOR_NS.saturating_mul(times.into()).min(MAX_ALONE_FOR_NS))
    }

    /// Those that are refused now; the one that was refused last comes first.
    pub(super) fn quarantined(&self, now: u64) -> Vec<Quarantined> {
        let refused = self.inputs.iter().filter(|(_, suspect)| suspect.refused_until > now);
        let mut refused: Vec<Quarantined> = refused
            .map(|(input, suspect)| Quarantined {
                input: *input,
                deaths: suspect.deaths,
                refused: suspect.refused,
                left_ns: suspect.refused_until - now,
            })
            .collect();
        refused.sort_unstable_by_key(|one| (std::cmp::Reverse(one.left_ns), one.input));
        refused
    }
}

/// What was under way in a container when the first of its channels was closed.
#[derive(Debug)]
pub(super) struct LastWords {
    closed_at: u64,
    under_way: Vec<Fingerprint>,
}

impl<P: Input, R> Dispatch<P, R> {
    /// What tells this input from others, if anybody asks.
    pub(super) fn fingerprint(&self, function: FunctionId, payload: &P) -> Option<Fingerprint> {
        (self.spec(function).quarantine_after > 0).then(|| payload.fingerprint())
    }

    /// Why this input is refused, if it is; that is counted.
    pub(super) fn refuse_quarantined(
        &mut self,
        now: u64,
        function: FunctionId,
        input: Fingerprint,
    ) -> Option<Failure> {
        let f = self.function_mut(function);
        let (deaths, left_ns) = f.suspects.refuse(now, input)?;
        f.counts.quarantine_refused += 1;
        let text = format!(
            "this input was under way at {deaths} deaths of processes of {}, and is refused for another {} s",
            f.spec.name,
            left_ns.div_ceil(1_000_000_000)
        );
        Some(Failure::new(Status::FunctionFailed, text))
    }

    /// Ends a queued call whose turn it is if its input is refused meanwhile. True: it has ended.
    pub(super) fn end_quarantined(
        &mut self,
        now: u64,
        function: FunctionId,
        id: CallId,
        input: Fingerprint,
    ) -> bool {
        let Some(failure) = self.refuse_quarantined(now, function, input) else { return false };
        self.abandon(now, id, failure);
        self.cancel_tree(now, id, Status::FunctionFailed);
        true
    }

    /// How long this call is to run alone in its container, ns; `None` if it may run beside others, or has waited long enough
    /// for a container in which nothing runs.
    pub(super) fn alone_for(
        &self,
        now: u64,
        function: FunctionId,
        id: CallId,
        input: Fingerprint,
    ) -> Option<u64> {
        let f = self.function(function);
        let alone_for = f.suspects.alone_for(now, f.spec.quarantine_after, input)?;
        let call = self.calls.get(id)?;
        (call.alone_by == 0 || now < call.alone_by).then_some(alone_for)
    }

    /// A call that is to run alone finds no worker. True: it waits until nothing runs in one of the containers, for some time.
    pub(super) fn wait_to_be_alone(&mut self, now: u64, function: FunctionId, id: CallId) -> bool {
        let containers =
            self.function(function).containers.iter().map(|key| &self.containers[*key]);
        let mut ready = containers.filter(|c| c.serves() && !c.channels.is_empty()).peekable();
        if ready.peek().is_none() || ready.any(|c| c.running == 0) {
            return false;
        }
        let Some(call) = self.calls.get_mut(id) else { return false };
        if call.alone_by == 0 {
            call.alone_by = now.saturating_add(ALONE_FOR_NS);
        }
        self.upkeep.look_again(function, call.alone_by);
        true
    }

    /// A worker's channel was closed. If its process is dying, so will the others be, and what is sent to them until that is seen
    /// had no part in it.
    pub(super) fn keep_last_words(&mut self, now: u64, key: ContainerKey, channel: ChannelKey) {
        let container = &self.containers[key];
        // A worker that was retired is none of its channels any more.
        let is_asked = self.spec(container.function).quarantine_after > 0
            && !container.ending
            && container.channels.contains(&channel);
        let is_kept =
            container.last_words.as_ref().is_some_and(|kept| now < kept.closed_at + DIES_WITHIN_NS);
        if is_asked && !is_kept {
            let under_way = self.inputs_under_way(key);
            self.containers[key].last_words = Some(LastWords { closed_at: now, under_way });
        }
    }

    /// The inputs of calls that were dispatched to this container, each once.
    fn inputs_under_way(&self, key: ContainerKey) -> Vec<Fingerprint> {
        let open =
            self.containers[key].channels.iter().flat_map(|channel| &self.channels[*channel].open);
        let mut inputs: Vec<Fingerprint> =
            open.filter_map(|id| self.calls.get(*id)?.input).collect();
        inputs.sort_unstable();
        inputs.dedup();
        inputs
    }

    /// A container has died, by itself: the death counts for what was under way.
    pub(super) fn blame(&mut self, now: u64, key: ContainerKey) {
        let container = &mut self.containers[key];
        let function = container.function;
        let f = &self.functions[function as usize - 1];
        let after = f.spec.quarantine_after;
        // One that was told to end, such as for a handler that was stuck, did not die of what it was given.
        if after == 0 || container.ending || container.attached || container.generation != f.serving
        {
            return;
        }
        let last_words =
            container.last_words.take().filter(|kept| now < kept.closed_at + DIES_WITHIN_NS);
        let under_way = match last_words {
            Some(kept) => kept.under_way,
            None => self.inputs_under_way(key),
        };
        if under_way.is_empty() {
            return;
        }
        let f = self.function_mut(function);
        if let Some((input, deaths)) = f.suspects.died(now, after, &under_way) {
            self.actions.push_back(Action::Quarantined { function, input, deaths });
        }
    }
}
