//! The generations of a function's containers.
//!
//! When the configuration or the code of a function changes, containers of a new generation are
//! started beside those that serve. Calls go to the new ones when all of them are ready; if they
//! never become ready, the old ones serve on.

use crate::ids::Generation;

/// Which generation is the newest, which one serves, and why the newest one does not come to be.
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

    /// Why containers of the newest generation do not come to be, if they do not.
    pub fn failing(&self) -> Option<&str> {
        self.failing.as_deref()
    }

    /// A new generation is about to be started.
    pub fn begin(&mut self) -> Generation {
        self.newest = self.newest.next();
        self.failing = None;
        self.newest
    }

    /// This generation serves from now on.
    pub fn serve(&mut self, generation: Generation) {
        self.serving = generation;
        self.failing = None;
    }

    /// A container of this generation does not come to be.
    pub fn fail(&mut self, generation: Generation, reason: &str) {
        if generation == self.newest {
            self.failing = Some(reason.to_owned());
        }
    }

    /// All containers of this generation have a worker that is ready.
    pub fn all_came(&mut self, generation: Generation) {
        if generation == self.newest {
            self.failing = None;
        }
    }
}
