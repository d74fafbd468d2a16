//! The word to finish what is under way and to take nothing new.

use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Said once, and heard by all who listen.
#[derive(Clone, Default)]
pub struct Stop(Rc<Said>);

#[derive(Default)]
struct Said {
    said: Cell<bool>,
    listeners: RefCell<Slab<Waker>>,
}

impl Stop {
    /// Says it.
    pub fn say(&self) {
        self.0.said.set(true);
        for (_, waker) in &*self.0.listeners.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Whether it was said; a look at a word of memory.
    pub(super) fn was_said(&self) -> bool {
        self.0.said.get()
    }

    /// Waits until it is said.
    pub(super) async fn said(&self) {
        let mut listening = None;
        poll_fn(|context| {
            listening.get_or_insert_with(|| self.listen(context));
            if self.was_said() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Has this task woken when it is said, for as long as what is returned lives.
    pub(super) fn listen(&self, context: &Context<'_>) -> Listener {
        Listener {
            stop: self.clone(),
            key: self.0.listeners.borrow_mut().insert(context.waker().clone()),
        }
    }
}

/// A task that listens.
pub(super) struct Listener {
    stop: Stop,
    key: usize,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.0.listeners.borrow_mut().remove(self.key);
    }
}
