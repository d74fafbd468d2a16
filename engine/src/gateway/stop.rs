//! The signal for a graceful shutdown: listeners finish what is under way and accept nothing new.

use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A shutdown signal. It is broadcast once; every listener sees it.
#[derive(Clone, Default)]
pub struct Stop(Rc<StopSignal>);

#[derive(Default)]
struct StopSignal {
    signalled: Cell<bool>,
    listeners: RefCell<Slab<Waker>>,
}

impl Stop {
    /// Signals the shutdown.
    pub fn signal(&self) {
        self.0.signalled.set(true);
        for (_, waker) in &*self.0.listeners.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Returns whether the shutdown was signalled. This costs one load.
    pub(super) fn is_signalled(&self) -> bool {
        self.0.signalled.get()
    }

    /// Waits until the shutdown is signalled.
    pub(super) async fn signalled(&self) {
        let mut listening = None;
        poll_fn(|context| {
            listening.get_or_insert_with(|| self.listen(context));
            if self.is_signalled() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    /// Wakes the current task on shutdown, until the returned value is dropped.
    pub(super) fn listen(&self, context: &Context<'_>) -> StopListener {
        StopListener {
            stop: self.clone(),
            key: self.0.listeners.borrow_mut().insert(context.waker().clone()),
        }
    }
}

/// A registered listener.
pub(super) struct StopListener {
    stop: Stop,
    key: usize,
}

impl Drop for StopListener {
    fn drop(&mut self) {
        self.stop.0.listeners.borrow_mut().remove(self.key);
    }
}
