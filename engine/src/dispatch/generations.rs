//! Functions come, change and go while calls are under way.
//!
//! What a function is started from may change: then containers of a new generation are started beside those that serve. New
//! calls and queued ones go to the new ones once all of them are ready, calls that were dispatched stay where they are, and each
//! old container ends with its last call. If the new ones never become ready, the old ones serve on.

use super::action::Action;
use super::container::ContainerKey;
use super::function::{Function, FunctionId, Generation, Spec};
use super::input::Input;
use super::{CallId, Dispatch};
use nightcore_runtime::protocol::{Failure, Status};

impl<P: Input, R> Dispatch<P, R> {
    /// Adds a function, or brings one back that was removed: workers know it by the same number for ever.
    pub fn add_function(&mut self, spec: Spec) -> FunctionId {
        if let Some(id) = self.by_name.get(&spec.name).copied() {
            let f = self.function_mut(id);
            f.removed = false;
            f.set_spec(spec);
            f.generation += 1;
            let generation = f.generation;
            self.serve(id, generation);
            return id;
        }
        let id = self.functions.len() as FunctionId + 1;
        self.by_name.insert(spec.name.clone(), id);
        self.functions.push(Function::new(spec));
        id
    }

    /// The newest generation of a function's containers.
    pub fn newest_generation(&self, function: FunctionId) -> Generation {
        self.function(function).generation
    }

    /// The generation of a function's containers that gets calls.
    pub fn serving_generation(&self, function: FunctionId) -> Generation {
        self.function(function).serving
    }

    /// What the configuration says about a function has changed.
    pub fn set_spec(&mut self, now: u64, function: FunctionId, spec: Spec) {
        self.function_mut(function).set_spec(spec);
        self.pump(now, function);
    }

    /// Why containers of the newest generation do not come to be, if they do not.
    pub fn failing(&self, function: FunctionId) -> Option<&str> {
        let f = self.function(function);
        f.failing.as_deref().or(f.unavailable.as_deref())
    }

    /// Containers of a new generation are about to be started. Where nothing is ready they serve from the start; one that was
    /// still coming is given up. [`Action::Serves`] says that older ones are over.
    pub fn begin_generation(&mut self, function: FunctionId) -> Generation {
        let f = self.function_mut(function);
        f.generation += 1;
        f.failing = None;
        let generation = f.generation;
        if !self.is_ready(function) {
            self.serve(function, generation);
            return generation;
        }
        for key in self.function(function).containers.clone() {
            if self.containers[key].warming {
                self.retire(key);
            }
        }
        generation
    }

    /// Containers of this generation do not come to be, for this reason. The function cannot be called unless an older one
    /// serves.
    pub fn generation_failing(
        &mut self,
        now: u64,
        function: FunctionId,
        generation: Generation,
        reason: &str,
    ) {
        let f = self.function_mut(function);
        if generation == f.generation {
            f.failing = Some(reason.to_owned());
        }
        if generation == f.serving {
            self.set_unavailable(now, function, reason);
        }
    }

    /// Removes a function: nobody can call it any more. What is queued or under way goes on.
    pub fn remove_function(&mut self, function: FunctionId) {
        self.function_mut(function).removed = true;
        self.upkeep.watch(function);
    }

    /// Lets a removed function's containers end when nothing is queued. True: some are left.
    pub(super) fn look_after_removed(&mut self, now: u64, function: FunctionId) -> bool {
        let f = self.function(function);
        let containers = f.containers.clone();
        if containers.is_empty() && f.queued > 0 {
            let queued: Vec<CallId> =
                f.outside.iter().chain(&f.nested).map(|(_, id)| *id).collect();
            let text = format!("{} was removed", f.spec.name);
            for id in queued {
                self.abandon(now, id, Failure::new(Status::NotFound, text.clone()));
                self.cancel_tree(now, id, Status::NotFound);
            }
        } else if f.queued == 0 {
            containers.iter().for_each(|key| self.retire(*key));
        }
        !containers.is_empty()
    }

    /// A container is ready, or one is gone: the newest generation may be to serve from now on. The queue is still to be looked at.
    pub(super) fn serve_newest_if_ready(&mut self, function: FunctionId) {
        let f = self.function(function);
        if f.serving == f.generation {
            return;
        }
        let containers = f.containers.iter().map(|key| &self.containers[*key]);
        let is_new = |c: &&super::Container| c.warming && c.generation == f.generation;
        let ready = containers.filter(is_new).filter(|c| !c.channels.is_empty()).count();
        if ready >= f.spec.processes as usize || (ready > 0 && !self.is_ready(function)) {
            self.serve(function, f.generation);
        }
    }

    /// This generation serves, and older ones only end what they have.
    fn serve(&mut self, function: FunctionId, generation: Generation) {
        let f = self.function_mut(function);
        f.serving = generation;
        f.unavailable = None;
        f.failing = None;
        // Other code may do well with what killed this one, and be faster.
        f.suspects.clear();
        f.drain.forget();
        for key in f.containers.clone() {
            let container = &mut self.containers[key];
            if container.generation == generation {
                container.warming = false;
                let mode = container.mode;
                self.function_mut(function).set_mode(mode);
            } else if !container.attached {
                self.retire(key);
            }
        }
        self.actions.push_back(Action::Serves { function, generation });
    }

    /// A container gets no new calls and ends with its last one.
    pub(super) fn retire(&mut self, key: ContainerKey) {
        self.containers[key].set_aside = true;
        self.end_if_done(key);
    }
}
