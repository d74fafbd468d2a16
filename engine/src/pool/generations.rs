//! The generations of a function's containers.
//!
//! When a function's configuration or code changes, containers of a new generation are started
//! beside those that serve. The new ones get the calls when all of them are ready. If they never
//! become ready, the old ones go on serving.

use crate::ids::Generation;

/// The newest generation, the one that serves, and the reason why the newest one fails to start.
#[derive(Debug)]
pub struct Generations {
    newest: Generation,
    serving: Generation,
    failing: Option<String>,
}

impl Default for Generations {
    fn default() -> Self {
        let first = Generation::FIRST;
        Generations { newest: first, serving: first, failing: None }
    }
}

impl Generations {
    /// The newest generation.
    #[inline]
    pub fn newest(&self) -> Generation {
        self.newest
    }

    /// The generation that gets calls.
    #[inline]
    pub fn serving(&self) -> Generation {
        self.serving
    }

    /// Whether the newest generation does not serve yet.
    #[inline]
    pub fn is_changing(&self) -> bool {
        self.serving != self.newest
    }

    /// The reason why containers of the newest generation fail to start, if they do.
    pub fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    /// Begins a new generation, which is about to be started.
    pub fn begin(&mut self) -> Generation {
        self.newest = self.newest.next();
        self.failing = None;
        self.newest
    }

    /// Makes this generation serve from now on.
    pub fn serve(&mut self, generation: Generation) {
        self.serving = generation;
        self.failing = None;
    }

    /// Notes that a container of this generation fails to start.
    pub fn fail(&mut self, generation: Generation, reason: &str) {
        if generation == self.newest {
            self.failing = Some(reason.to_owned());
        }
    }

    /// Notes that all containers of this generation have a ready worker.
    pub fn all_came(&mut self, generation: Generation) {
        if generation == self.newest {
            self.failing = None;
        }
    }
}
