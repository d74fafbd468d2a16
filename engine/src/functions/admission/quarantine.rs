//! The quarantine of a function: the inputs that were under way when its containers died, and those
//! that are refused for it.
//!
//! Several calls may be under way in a container that dies, and nothing tells which of them was the
//! cause. So a death counts for each input that was under way, and an answer clears an input of all
//! deaths. An input that is one death away from being refused runs alone in its container for a
//! while. It is refused only after a death at which it was the only input. So a frequent input that
//! is answered whenever it may be is never refused.

use super::refusal::Refusal;
use crate::ids::Fingerprint;
use std::collections::HashMap;
use std::num::NonZeroU32;

/// How long an input is refused, ns. It is so long that an input which is sent again and again
/// costs almost no process. It is so short that an input which crashed for a passing reason soon
/// has a chance.
pub const REFUSE_FOR_NS: u64 = 600_000_000_000;
/// How long a death counts, ns. Also how long an input that is no longer refused stays one death
/// away from being refused again.
pub const FORGET_AFTER_NS: u64 = 600_000_000_000;
/// How long, in ns, an input waits for a container in which no call runs, and for how long it then
/// has that container to itself. Most inputs that crash a process do so much sooner, and calls
/// behind it wait no longer.
pub const ALONE_FOR_NS: u64 = 2_000_000_000;
/// The longest time, in ns, for which an input has a container to itself if it has crashed late
/// again and again. It is the default of `timeout`.
pub const MAX_ALONE_FOR_NS: u64 = 30_000_000_000;
/// Most inputs that are remembered for a function: as many as an event loop has under way when it
/// dies.
pub const MAX_SUSPECTS: usize = 1024;

/// An input that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The input.
    pub input: Fingerprint,
    /// How many deaths it was under way at.
    pub deaths: u32,
    /// How many times it was refused.
    pub refused: u64,
    /// For how much longer it is refused, ns.
    pub left_ns: u64,
}

#[derive(Debug)]
struct Suspect {
    deaths: u32,
    /// The time, in ns, until which it is refused, if it ever was.
    refused_until: Option<u64>,
    refused: u64,
    forget_at: u64,
}

impl Suspect {
    /// The time, in ns, until which it is refused, if it is refused now.
    fn refused_until(&self, now: u64) -> Option<u64> {
        self.refused_until.filter(|until| *until > now)
    }
}

/// The inputs of a function that were under way at deaths and have not been answered since.
#[derive(Debug, Default)]
pub struct Quarantine {
    inputs: HashMap<Fingerprint, Suspect>,
}

impl Quarantine {
    /// Admits a call unless its input is refused, and counts a refusal. `name` is the function's
    /// name.
    pub fn check(&mut self, now: u64, input: Fingerprint, name: &str) -> Result<(), Refusal> {
        let refused = self.inputs.get_mut(&input);
        let refused = refused.and_then(|suspect| Some((suspect.refused_until(now)?, suspect)));
        let Some((until, suspect)) = refused else { return Ok(()) };
        suspect.refused += 1;
        let (deaths, left_ns) = (suspect.deaths, until - now);
        Err(Refusal::Quarantined { name: name.to_owned(), deaths, left_ns })
    }

    /// Forgets all inputs.
    pub fn clear(&mut self) {
        self.inputs = HashMap::new();
    }

    /// Notes that a container has died in which these inputs were under way. If an input is refused
    /// from now on, returns it and the number of its deaths.
    pub fn died(
        &mut self,
        now: u64,
        after: NonZeroU32,
        under_way: &[Fingerprint],
    ) -> Option<(Fingerprint, u32)> {
        self.inputs.retain(|_, suspect| suspect.forget_at > now);
        for input in under_way {
            let new = Suspect { deaths: 0, refused_until: None, refused: 0, forget_at: 0 };
            let suspect = self.inputs.entry(*input).or_insert(new);
            suspect.deaths = suspect.deaths.saturating_add(1);
            suspect.forget_at = suspect.forget_at.max(now.saturating_add(FORGET_AFTER_NS));
        }
        self.forget_most_harmless();
        let [only] = under_way else { return None };
        let suspect = self.inputs.get_mut(only).filter(|suspect| suspect.deaths >= after.get())?;
        let until = now.saturating_add(REFUSE_FOR_NS);
        suspect.refused_until = Some(until);
        suspect.forget_at = until.saturating_add(FORGET_AFTER_NS);
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

    /// Notes that an input was answered, so that its process lives.
    pub fn answered(&mut self, now: u64, input: Fingerprint) {
        if !self.inputs.is_empty()
            && self.inputs.get(&input).is_some_and(|s| s.refused_until(now).is_none())
        {
            self.inputs.remove(&input);
        }
    }

    /// How long, in ns, this input is to run alone. `None` if it may run beside others.
    pub fn alone_for(&self, now: u64, after: NonZeroU32, input: Fingerprint) -> Option<u64> {
        let suspect = self.inputs.get(&input).filter(|suspect| suspect.forget_at > now)?;
        let last = after.get().saturating_sub(1).max(1);
        // An input that has more deaths and is not refused crashed its process when it was no
        // longer alone.
        let times = suspect.deaths.checked_sub(last)?.saturating_add(1);
        Some(ALONE_FOR_NS.saturating_mul(times.into()).min(MAX_ALONE_FOR_NS))
    }

    /// The inputs that are refused now, the most recently refused first.
    pub fn quarantined(&self, now: u64) -> Vec<Quarantined> {
        let refused = |(input, suspect): (&Fingerprint, &Suspect)| {
            let left_ns = suspect.refused_until(now)? - now;
            let Suspect { deaths, refused, .. } = *suspect;
            Some(Quarantined { input: *input, deaths, refused, left_ns })
        };
        let mut all: Vec<Quarantined> = self.inputs.iter().filter_map(refused).collect();
        all.sort_unstable_by_key(|one| (std::cmp::Reverse(one.left_ns), one.input));
        all
    }
}
