//! The simulated world: its containers and workers, and the invariants that must hold in it.

use super::*;

impl World {
    pub(super) fn new(max: [u32; 3], modes: [Mode; 3]) -> World {
        World::new_direct(max, modes, false)
    }

    /// Creates a world. `is_direct` says whether workers can be lent.
    pub(super) fn new_direct(max: [u32; 3], modes: [Mode; 3], is_direct: bool) -> World {
        let modes = modes.map(Some);
        let scheduler = Driven::on_cores(NonZeroU32::new(2));
        let mut world = World { scheduler, now: MS, max, modes, is_direct, ..World::default() };
        for (name, max) in NAMES.iter().zip(max) {
            world.scheduler.add_function(spec(name, max));
        }
        for function in 0..3 {
            world.kept_up[function].push(Generation::FIRST);
            world.connect(function, Generation::FIRST);
        }
        world.all_ready();
        world
    }

    pub(super) fn mode(&self, function: usize) -> Mode {
        self.modes[function].unwrap_or(Mode::Threads)
    }

    pub(super) fn connect(&mut self, function: usize, generation: Generation) {
        let mode = self.mode(function);
        let (now, id) = (self.now, id(function));
        let key = self.scheduler.container_connected(now, id, Some(generation), mode);
        self.containers.insert(key, (function, generation));
        if self.is_direct {
            self.scheduler.allow_direct(key);
        }
        self.settle();
    }

    /// Starts a new generation of the function.
    pub(super) fn renew(&mut self, function: usize) {
        let id = id(function);
        let generation = self.scheduler.begin_generation(self.now, id);
        let serving = self.scheduler.serving_generation(id);
        self.kept_up[function].retain(|kept| *kept == serving);
        self.kept_up[function].push(generation);
        self.settle();
        self.connect(function, generation);
    }

    /// Lets a container that was asked to leave do so.
    pub(super) fn left(&mut self, container: ContainerKey) {
        let held = self.channels.values().filter(|worker| worker.container == container);
        assert!(
            held.flat_map(|worker| &worker.held).next().is_none(),
            "it was asked to leave a call"
        );
        self.kill(container);
    }

    /// Makes the longest-requested worker ready, or reports that it cannot be created.
    pub(super) fn ready(&mut self) {
        let Some(container) = self.asked.pop_front() else { return };
        if self.failing > 0 {
            self.failing -= 1;
            self.scheduler.worker_failed(self.now, container);
        } else {
            let channel = self.scheduler.worker_ready(self.now, container);
            let worker = Worker {
                container,
                mode: self.mode(self.containers[&container].0),
                held: Vec::new(),
            };
            assert!(
                self.channels.insert(channel, worker).is_none(),
                "a worker's key was given to another"
            );
        }
        self.settle();
    }

    pub(super) fn all_ready(&mut self) {
        while !self.asked.is_empty() {
            self.ready();
        }
    }

    /// Lets a worker leave: one that was told to, or one that breaks.
    pub(super) fn leave(&mut self, pick: usize, breaks: bool) {
        let leaves = |channel: &&ChannelKey| {
            // An event loop that leaves takes its process with it.
            breaks != self.retired.contains(*channel)
                && self.channels[*channel].mode == Mode::Threads
        };
        let mut channels: Vec<ChannelKey> = self.channels.keys().filter(leaves).copied().collect();
        channels.sort_unstable();
        let Some(channel) = channels.get(pick % channels.len().max(1)).copied() else { return };
        self.channels.remove(&channel);
        self.retired.remove(&channel);
        let failure = Failure::new(Status::ContainerDied, "the worker left");
        self.scheduler.worker_gone(self.now, channel, &failure);
        self.settle();
    }

    /// Carries out all actions, and checks each.
    pub(super) fn settle(&mut self) {
        let (mut ended, mut leaving, mut replaced) = (Vec::new(), Vec::new(), Vec::new());
        while let Some(action) = self.scheduler.next_action() {
            match action {
                Action::Dispatch { call, .. } if self.undeliverable > 0 => {
                    self.undeliverable -= 1;
                    self.scheduler.undeliverable(self.now, call);
                }
                Action::Dispatch { channel, call, root, .. } => {
                    assert!(!self.retired.contains(&channel), "a retired worker got a call");
                    let worker =
                        self.channels.get_mut(&channel).expect("a call for a worker that is gone");
                    assert!(
                        worker.held.is_empty() || worker.mode == Mode::EventLoop,
                        "a thread got a second call"
                    );
                    let (function, generation) = self.containers[&worker.container];
                    let serving = self.scheduler.serving_generation(id(function));
                    assert_eq!(generation, serving, "a call for a generation that does not serve");
                    worker.held.push(Held::new(call, root, None));
                }
                Action::Deliver { channel, tag, .. } => {
                    // The worker may be gone: of two workers of a container that died, one had
                    // called the other.
                    let Some(worker) = self.channels.get_mut(&channel) else { continue };
                    let mode = worker.mode;
                    let held =
                        worker.held.iter_mut().find(|held| held.outstanding.contains(&tag.0));
                    let held = held.expect("an answer to nothing");
                    held.outstanding.remove(&tag.0);
                    held.answers += 1;
                    if !held.refused.remove(&tag.0) {
                        held.heard(mode);
                    }
                    // A handler that has ended does not get the answer.
                    let goes_on = held.has_handler() && held.has_all_answers();
                    let call = held.call;
                    if mode == Mode::EventLoop && goes_on {
                        self.end_wait(channel, call);
                    }
                }
                Action::Respond { reply, outcome } => {
                    self.clients.remove(&reply);
                    let status = outcome.map_or_else(|failure| failure.status, |_| Status::Ok);
                    assert!(self.ended.insert(reply, status).is_none(), "a client got two answers");
                }
                Action::CreateWorker { container } => {
                    self.asked.push_back(container);
                    assert!(self.asked.len() < 10_000, "workers are asked for without end");
                }
                Action::Retire { channel } => {
                    assert!(self.channels[&channel].held.is_empty(), "a busy worker was retired");
                    self.retired.insert(channel);
                }
                Action::Cancel { channel, call, .. } => self.cancel_direct(channel, call),
                Action::Replace { container } => {
                    assert!(self.replaced.insert(container), "it was replaced already");
                    replaced.push(self.containers[&container]);
                }
                Action::Trim { .. } | Action::Quarantined { .. } => {}
                Action::Check { .. } => panic!("no function has a readiness check"),
                Action::Tell { function, notice } => self.board[place(function)] = notice,
                Action::Lend { channel, lease, caller, callee } => {
                    self.lent(channel, lease, caller, place(callee));
                }
                Action::Recall { lease } => self.recall(lease),
                Action::RecallOne { callee } => self.recall_one(place(callee)),
                Action::LeaseOver { lease, .. } => self.lease_over(lease),
                Action::LendWaiting { function } => self.lend_waiting(place(function)),
                Action::Read { function } => {
                    // The function's handlers have used one core all the time.
                    let reading = Some(Reading { used_ns: self.now, crowd: 1.0 });
                    let read = self.scheduler.event(self.now, Event::Read { function, reading });
                    read.expect("only a worker's message can break a rule");
                }
                Action::Resumed { channel, call } => self.resumed(channel, call),
                Action::End { container } => ended.push(container),
                Action::Leave { container } => leaving.push(container),
                Action::Serves { function, generation } => {
                    let kept_up = &mut self.kept_up[place(function)];
                    kept_up.retain(|kept| *kept >= generation);
                    assert!(kept_up.contains(&generation), "nothing is started of what serves");
                }
            }
            self.check();
        }
        for (function, generation) in replaced {
            if self.kept_up[function].contains(&generation) {
                self.connect(function, generation);
            }
        }
        for container in ended {
            self.kill(container);
        }
        for container in leaving {
            self.left(container);
        }
    }

    pub(super) fn function_of(&self, worker: &Worker) -> Option<usize> {
        self.containers.get(&worker.container).map(|(function, _)| *function)
    }

    /// Checks that no function runs more calls than its `max`. A call counts as running unless it
    /// is blocked.
    pub(super) fn check(&self) {
        for (function, (name, max)) in NAMES.iter().zip(self.max).enumerate() {
            let workers = self.channels.values().filter(|w| self.function_of(w) == Some(function));
            let held: Vec<&Held> = workers.flat_map(|w| &w.held).collect();
            let running = held.iter().filter(|held| held.computes()).count() as u32;
            assert!(running <= max, "{running} run of {name}");
            // A lease holds a slot even while it is idle.
            let slots = held.iter().filter(|held| !held.blocked).count() as u32;
            assert!(slots <= max, "{slots} slots of {name} are held");
            let goes_on =
                |held: &&&Held| held.has_handler() && held.has_all_answers() && held.wants == 0;
            let unseen = held.iter().filter(goes_on).find(|held| held.blocked);
            assert!(unseen.is_none(), "it computes without a slot: {unseen:?}");
        }
    }

    /// Checks that the scheduler knows which calls the workers hold, and which of these wait.
    pub(super) fn check_counts(&mut self) {
        for (function, name) in NAMES.iter().enumerate() {
            let workers = self.channels.values().filter(|w| self.function_of(w) == Some(function));
            let held = workers.flat_map(|w| &w.held).filter(|held| held.lease.is_none());
            let held: Vec<&Held> = held.collect();
            let blocked = held.iter().filter(|held| held.blocked).count() as u32;
            let status = self.scheduler.status(self.now, id(function));
            assert_eq!(
                status.running + status.waiting,
                held.len() as u32,
                "open calls of {}",
                NAMES[function]
            );
            assert_eq!(status.waiting, blocked, "waiting calls of {name}");
        }
        // The workers' calls include leases.
        for held in self.channels.values().flat_map(|worker| &worker.held) {
            assert_eq!(self.scheduler.waits_for_calls(held.call), held.blocked, "{held:?}");
        }
    }

    /// Returns how many calls of this origin ended with each status, by the scheduler's counts.
    pub(super) fn counted(&mut self, origin: Origin) -> HashMap<Status, u64> {
        let mut counted = HashMap::new();
        for id in self.scheduler.functions() {
            let ended = self.scheduler.status(self.now, id).counts.ended[origin as usize];
            for (number, count) in ended.into_iter().enumerate().filter(|(_, count)| *count > 0) {
                *counted
                    .entry(Status::from_number(number as u32).expect("a status"))
                    .or_default() += count;
            }
        }
        counted
    }

    /// Returns the calls whose handlers compute, by worker and place.
    pub(super) fn busy(&self) -> Vec<(ChannelKey, usize)> {
        self.calls(|_, held| held.computes())
    }

    /// Returns the calls whose handlers may act. In an event loop a handler may also act while it
    /// waits.
    pub(super) fn acting(&self) -> Vec<(ChannelKey, usize)> {
        let is_loop = |worker: &Worker| worker.mode == Mode::EventLoop;
        self.calls(|worker, held| held.computes() || is_loop(worker) && held.has_handler())
    }

    pub(super) fn calls(&self, which: impl Fn(&Worker, &Held) -> bool) -> Vec<(ChannelKey, usize)> {
        let mut found = Vec::new();
        for (channel, worker) in &self.channels {
            let places = worker.held.iter().enumerate().filter(|(_, held)| which(worker, held));
            found.extend(places.map(|(place, _)| (*channel, place)));
        }
        found.sort_unstable();
        found
    }

    pub(super) fn pick(&mut self, pick: usize) -> Option<(ChannelKey, Mode, &mut Held)> {
        let acting = self.acting();
        let (channel, place) = *acting.get(pick % acting.len().max(1))?;
        let worker = self.channels.get_mut(&channel)?;
        Some((channel, worker.mode, worker.held.get_mut(place)?))
    }

    pub(super) fn reached(&mut self, mode: Mode) -> &mut Reached {
        match mode {
            Mode::Threads => &mut self.threads,
            Mode::EventLoop => &mut self.loops,
        }
    }

    pub(super) fn mode_of(&self, channel: ChannelKey) -> Mode {
        self.channels.get(&channel).map_or(Mode::Threads, |worker| worker.mode)
    }

    /// Configures the function to run as many calls at once as before, one more or one less.
    pub(super) fn reconfigure(&mut self, function: usize, max: u32) {
        let before = self.scheduler.spec(id(function)).clone();
        let spec = Spec { max: Some(max), ..before };
        // Calls that run already go on.
        self.max[function] = self.max[function].max(max);
        self.scheduler.set_spec(self.now, id(function), spec);
        self.settle();
    }

    pub(super) fn kill(&mut self, container: ContainerKey) {
        let Some((function, generation)) = self.containers.remove(&container) else { return };
        self.channels.retain(|_, worker| worker.container != container);
        self.retired.retain(|channel| self.channels.contains_key(channel));
        self.asked.retain(|of| *of != container);
        let failure = Failure::new(Status::ContainerDied, "killed");
        self.scheduler.container_gone(self.now, container, &failure);
        for lease in self.leases(|lent| lent.caller == container && lent.runs.is_some()) {
            let (at, lent) = self.lease(lease).expect("it was found");
            lent.recalled = true;
            if !std::mem::replace(&mut lent.cancelled, true) {
                self.told(Event::LeaseCancelled { lease });
                self.cancel_direct(at, lease);
            }
        }
        self.settle();
        if !self.replaced.remove(&container) && self.kept_up[function].contains(&generation) {
            self.connect(function, generation);
        }
    }

    /// Closes the channel of the only call that runs, and returns its container, which may die as
    /// well.
    pub(super) fn close_channel_of_the_one_that_runs(&mut self) -> ContainerKey {
        let [(channel, _)] = self.busy()[..] else { panic!("{:?} run", self.busy()) };
        let container = self.channels.remove(&channel).expect("it is there").container;
        let failure = Failure::new(Status::ContainerDied, "it died");
        self.scheduler.worker_gone(self.now, channel, &failure);
        self.settle();
        container
    }

    pub(super) fn advance(&mut self, by: u64) {
        self.now += by;
        self.scheduler.advance(self.now);
        self.settle();
        for client in self.clients.keys() {
            assert!(self.due[client] > self.now, "client {client} has no answer at its deadline");
        }
    }

    /// Lets handlers return as soon as they can. Every call must then end without reaching a
    /// deadline.
    pub(super) fn finish(&mut self) {
        self.failing = 0;
        self.undeliverable = 0;
        for _ in 0..20_000 {
            self.all_ready();
            match self.busy().first() {
                Some(at) => self.complete_at(*at, false),
                None if !self.leases(|lent| lent.runs.is_none()).is_empty() => {
                    self.idle(0);
                    self.give_back(0);
                }
                None => {
                    // Together these five steps are longer than any pause, and shorter than any
                    // deadline.
                    let goes_on = (0..5).any(|_| {
                        self.advance(250 * MS);
                        !self.busy().is_empty() || !self.asked.is_empty()
                    });
                    if !goes_on {
                        return;
                    }
                }
            }
        }
        panic!("calls hang: {:?}", self.clients);
    }
}
