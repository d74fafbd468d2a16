//! The calls that a handler on a worker thread has under way.

use crate::answer::Answer;
use crate::error::{Error, Result};
use crate::host::{CallEnd, Host, Received};
use nightcore_runtime::worker::CallOptions;
use std::cell::RefCell;
use std::fmt;
use std::time::{Duration, Instant};

/// The calls that a request has started.
#[derive(Default)]
pub(crate) struct Calls {
    last_tag: u64,
    /// Calls that ended while the handler waited for another one.
    ended: Vec<CallEnd>,
}

/// Waits until one of these calls ends. Returns `None` when the time has passed.
fn wait_for(
    (host, calls): (&dyn Host, &RefCell<Calls>),
    tags: &[u64],
    timeout: Option<Duration>,
) -> Option<CallEnd> {
    {
        let ended = &mut calls.borrow_mut().ended;
        if let Some(at) = ended.iter().position(|end| tags.contains(&end.tag)) {
            return Some(ended.remove(at));
        }
    }
    // A time beyond the range of the clock means that there is no limit.
    let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match host.next_answer(left) {
            Ok(Some(end)) if tags.contains(&end.tag) => return Some(end),
            Ok(Some(end)) => calls.borrow_mut().ended.push(end),
            Ok(None) if left.is_some_and(|left| left.is_zero()) => return None,
            Ok(None) => {}
            Err(error) => return tags.first().map(|tag| CallEnd { tag: *tag, result: Err(error) }),
        }
    }
}

/// A call under way, which [`crate::Request::start`] has started.
///
/// Dropping it cancels the call and all calls below it, unless it has ended. When a handler
/// returns, the calls that it still has under way are cancelled, too.
#[must_use = "dropping it cancels the call"]
pub struct PendingCall<'a> {
    host: &'a dyn Host,
    calls: &'a RefCell<Calls>,
    function: Box<str>,
    /// `None` when the end of the call is known.
    tag: Option<u64>,
}

impl<'a> PendingCall<'a> {
    pub(crate) fn start(
        (host, calls): (&'a dyn Host, &'a RefCell<Calls>),
        name: &str,
        body: &[u8],
        options: &CallOptions,
    ) -> Result<PendingCall<'a>> {
        let tag = {
            let calls = &mut calls.borrow_mut();
            calls.last_tag += 1;
            calls.last_tag
        };
        host.start_call(tag, name, body, options)?;
        Ok(PendingCall { host, calls, function: name.into(), tag: Some(tag) })
    }

    /// Returns the function that was called.
    #[must_use]
    pub fn function(&self) -> &str {
        &self.function
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// If the call fails.
    pub fn wait(mut self) -> Result<Answer> {
        self.end(None).unwrap_or_else(|| Err(Error::invalid_state(TAKEN)))
    }

    /// Waits at most this time for the answer. Returns `None` if the call is still under way. The
    /// call itself goes on: [`crate::CallOptions::timeout`] limits it.
    ///
    /// # Errors
    /// If the call fails. `INVALID_STATE` if the answer or the error was returned before.
    pub fn wait_timeout(&mut self, timeout: Duration) -> Option<Result<Answer>> {
        self.end(Some(timeout))
    }

    fn end(&mut self, timeout: Option<Duration>) -> Option<Result<Answer>> {
        let Some(tag) = self.tag else { return Some(Err(Error::invalid_state(TAKEN))) };
        let end = wait_for((self.host, self.calls), &[tag], timeout)?;
        Some(self.ended(end.result))
    }

    fn ended(&mut self, result: Result<Received>) -> Result<Answer> {
        self.tag = None;
        result.map(|received| received.of(&self.function))
    }
}

const TAKEN: &str = "the answer to this call was taken before";

impl Drop for PendingCall<'_> {
    fn drop(&mut self) {
        let Some(tag) = self.tag else { return };
        self.calls.borrow_mut().ended.retain(|end| end.tag != tag);
        self.host.give_up(tag);
    }
}

impl fmt::Debug for PendingCall<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingCall").field("function", &self.function).finish_non_exhaustive()
    }
}

/// An iterator over the ends of calls, in the order in which they end, see
/// [`crate::Request::as_completed`].
#[derive(Debug)]
#[must_use = "dropping it cancels the calls"]
pub struct AsCompleted<'a>(Vec<(usize, PendingCall<'a>)>);

impl<'a> AsCompleted<'a> {
    pub(crate) fn new(calls: impl IntoIterator<Item = PendingCall<'a>>) -> AsCompleted<'a> {
        AsCompleted(calls.into_iter().enumerate().collect())
    }
}

impl Iterator for AsCompleted<'_> {
    type Item = (usize, Result<Answer>);

    fn next(&mut self) -> Option<(usize, Result<Answer>)> {
        // A call whose answer was taken before has ended.
        let taken = self.0.iter().position(|(_, call)| call.tag.is_none());
        let (at, result) = match (taken, self.0.first()) {
            (_, None) => return None,
            (Some(at), _) => (at, Err(Error::invalid_state(TAKEN))),
            (None, Some((_, first))) => {
                let tags: Vec<u64> = self.0.iter().filter_map(|(_, call)| call.tag).collect();
                let end = wait_for((first.host, first.calls), &tags, None)?;
                (tags.iter().position(|tag| *tag == end.tag)?, end.result)
            }
        };
        let (index, mut call) = self.0.remove(at);
        Some((index, call.ended(result)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.len(), Some(self.0.len()))
    }
}
