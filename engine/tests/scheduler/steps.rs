//! Random cases: the configuration of a world, and the steps that happen in it.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub(super) enum Step {
    External { function: usize, timeout_ms: Option<u64> },
    Invoke { pick: usize, function: usize, waits: bool },
    Wait(usize),
    Complete { pick: usize, fails: bool },
    Cancel(usize),
    CancelInvoke(usize),
    NotBegun(usize),
    Undeliverable,
    Reconfigure { function: usize, max: u32 },
    Kill(usize),
    Ready,
    AllReady,
    Fail,
    Leave { pick: usize, breaks: bool },
    Renew(usize),
    Advance(u64),
    CallDirectly(usize),
    GiveBack(usize),
    Idle(usize),
    Burst { pick: usize, function: usize },
    AnswerDirectly { pick: usize, all: bool, again: bool },
    GiveUp { pick: usize, late: bool },
    Flood { pick: usize, function: usize, rounds: usize },
    Drain(usize),
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => calls(),
        9 => harms(),
    ];
    proptest::collection::vec(step, 1..200)
}

/// Returns steps by which workers are lent. Most of them are calls, because a worker is lent only
/// if nothing breaks for a while.
pub(super) fn direct_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        40 => calls(),
        40 => direct_calls(),
        3 => harms(),
    ];
    proptest::collection::vec(step, 1..200)
}

pub(super) fn calls() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0usize..3, proptest::option::of(1u64..8000))
            .prop_map(|(function, timeout_ms)| Step::External { function, timeout_ms }),
        5 => (any::<usize>(), 0usize..3, any::<bool>())
            .prop_map(|(pick, function, waits)| Step::Invoke { pick, function, waits }),
        2 => any::<usize>().prop_map(Step::Wait),
        6 => (any::<usize>(), any::<bool>())
            .prop_map(|(pick, fails)| Step::Complete { pick, fails }),
        1 => any::<usize>().prop_map(Step::Cancel),
        1 => any::<usize>().prop_map(Step::CancelInvoke),
        3 => Just(Step::Ready),
        1 => Just(Step::AllReady),
        1 => Just(Step::Advance(MS / 10)),
    ]
}

pub(super) fn direct_calls() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => any::<usize>().prop_map(Step::CallDirectly),
        2 => any::<usize>().prop_map(Step::GiveBack),
        1 => any::<usize>().prop_map(Step::Idle),
        3 => (any::<usize>(), 0usize..3)
            .prop_map(|(pick, function)| Step::Burst { pick, function }),
        3 => (any::<usize>(), 0u8..4, any::<bool>())
            .prop_map(|(pick, all, again)| Step::AnswerDirectly { pick, all: all == 0, again }),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(pick, late)| Step::GiveUp { pick, late }),
        3 => (any::<usize>(), 0usize..3, 1usize..4)
            .prop_map(|(pick, function, rounds)| Step::Flood { pick, function, rounds }),
        3 => (1usize..60).prop_map(Step::Drain),
    ]
}

pub(super) fn harms() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => any::<usize>().prop_map(Step::NotBegun),
        1 => Just(Step::Undeliverable),
        1 => (0usize..3, 1u32..4)
            .prop_map(|(function, max)| Step::Reconfigure { function, max }),
        1 => any::<usize>().prop_map(Step::Kill),
        1 => Just(Step::Fail),
        1 => (0usize..3).prop_map(Step::Renew),
        1 => (any::<usize>(), any::<bool>())
            .prop_map(|(pick, breaks)| Step::Leave { pick, breaks }),
        2 => prop_oneof![Just(20 * MS), Just(1500 * MS), Just(7000 * MS)].prop_map(Step::Advance),
    ]
}

/// The configuration of a world, and the steps that happen in it.
#[derive(Clone, Debug)]
pub(super) struct Case {
    steps: Vec<Step>,
    max: [u32; 3],
    loops: [bool; 3],
    quarantine_after: [u32; 3],
    retries: [u32; 3],
    idempotent: bool,
    without_grace: bool,
    is_direct: bool,
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    prop_oneof![cases_without_leases(), cases_with_leases()]
}

pub(super) fn cases_without_leases() -> impl Strategy<Value = Case> {
    let functions = (
        [1u32..3, 1u32..3, 1u32..4],
        any::<[bool; 3]>(),
        [0u32..4, 0u32..3, 0u32..2],
        [0u32..3, 0u32..2, 0u32..4],
    );
    (steps(), functions, any::<[bool; 2]>()).prop_map(|(steps, functions, flags)| {
        let (max, loops, quarantine_after, retries) = functions;
        let [idempotent, without_grace] = flags;
        let is_direct = false;
        Case { steps, max, loops, quarantine_after, retries, idempotent, without_grace, is_direct }
    })
}

/// Workers of functions that run one call at a time, or have a quarantine or retries, are not lent.
pub(super) fn cases_with_leases() -> impl Strategy<Value = Case> {
    let functions = ([2u32..6, 2u32..6, 2u32..6], any::<[bool; 3]>());
    (direct_steps(), functions, any::<[bool; 2]>()).prop_map(|(steps, functions, flags)| {
        let (max, loops) = functions;
        let [idempotent, without_grace] = flags;
        let (quarantine_after, retries, is_direct) = ([0; 3], [0; 3], true);
        Case { steps, max, loops, quarantine_after, retries, idempotent, without_grace, is_direct }
    })
}

impl Case {
    pub(super) fn world(&self) -> World {
        let mode = |is_loop| if is_loop { Mode::EventLoop } else { Mode::Threads };
        let mut world = World::new_direct(self.max, self.loops.map(mode), self.is_direct);
        for (function, quarantine_after) in self.quarantine_after.into_iter().enumerate() {
            let spec = spec(NAMES[function], self.max[function]);
            let grace = if self.without_grace { Duration::ZERO } else { spec.grace };
            let spec = Spec {
                quarantine_after: NonZeroU32::new(quarantine_after),
                retries: self.retries[function],
                idempotent: self.idempotent,
                grace,
                ..spec
            };
            world.scheduler.set_spec(world.now, id(function), spec);
        }
        world
    }

    /// Takes all steps, and then lets all calls end.
    pub(super) fn live(self) -> Result<World, TestCaseError> {
        let mut world = self.world();
        let mut left = HashSet::new();
        for step in self.steps {
            left.extend(step.take(&mut world));
            world.check_counts();
        }
        world.finish();
        prop_assert!(world.clients.is_empty(), "no answer for {:?}", world.clients);
        let held: Vec<&Held> = world.channels.values().flat_map(|worker| &worker.held).collect();
        prop_assert!(held.is_empty(), "they wait for ever: {held:?}");
        prop_assert_eq!(world.scheduler.calls_under_way(), 0);
        for (function, generation) in world.containers.values() {
            let text = "an old container is left, or a new one serves not";
            prop_assert_eq!(&world.kept_up[*function], &[*generation], "{}", text);
        }
        for client in 1..=world.next_client {
            let has_ended = world.ended.contains_key(&client);
            prop_assert!(has_ended != left.contains(&client), "client {}", client);
        }
        let mut told = HashMap::new();
        let cancelled = left.iter().map(|_| Status::Cancelled);
        for status in world.ended.values().copied().chain(cancelled) {
            *told.entry(status).or_default() += 1;
        }
        prop_assert_eq!(world.counted(Origin::External), told);
        prop_assert_eq!(world.counted(Origin::Internal).values().sum::<u64>(), world.invoked);
        for id in world.scheduler.functions().collect::<Vec<_>>() {
            let status = world.scheduler.status(world.now, id);
            prop_assert_eq!((status.queued, status.running, status.waiting), (0, 0, 0));
        }
        Ok(world)
    }
}

impl Step {
    /// Takes the step. Returns the client that left, if one did.
    pub(super) fn take(self, world: &mut World) -> Option<u64> {
        match self {
            Step::External { function, timeout_ms } => {
                world.external_within(function, timeout_ms.map(Duration::from_millis));
            }
            Step::Invoke { pick, function, waits } => world.invoke(pick, function, waits),
            Step::Wait(pick) => world.wait(pick),
            Step::Complete { pick, fails } => world.complete(pick, fails),
            Step::Cancel(pick) => return world.cancel(pick),
            Step::CancelInvoke(pick) => world.cancel_invoke(pick),
            Step::NotBegun(pick) => world.not_begun(pick),
            Step::Undeliverable => world.undeliverable += 1,
            Step::Reconfigure { function, max } => world.reconfigure(function, max),
            Step::Kill(pick) => {
                let mut containers: Vec<ContainerKey> = world.containers.keys().copied().collect();
                containers.sort_unstable();
                let container = containers[pick % containers.len()];
                world.kill(container);
            }
            Step::Ready => world.ready(),
            Step::AllReady => world.all_ready(),
            Step::Fail => world.failing += 1,
            Step::Leave { pick, breaks } => world.leave(pick, breaks),
            Step::Renew(function) => world.renew(function),
            Step::Advance(by) => world.advance(by),
            Step::CallDirectly(pick) => world.call_directly(pick),
            Step::GiveBack(pick) => world.give_back(pick),
            Step::Idle(pick) => world.idle(pick),
            // These are so many calls that a worker is lent.
            Step::Burst { pick, function } => world.burst(pick, function),
            Step::AnswerDirectly { pick, all, again } => world.answer_directly(pick, all, again),
            Step::GiveUp { pick, late } => world.cancel_one(pick, late),
            Step::Flood { pick, function, rounds } => world.flood(pick, function, rounds),
            Step::Drain(most) => world.drain(most),
        }
        None
    }
}
