//! A request that no engine sent, for tests of handlers.

use crate::given::{Ended, Made};
use crate::outcome::outcome;
use nightcore_runtime::protocol::{CancelReason, Failure, Metadata, MetadataBuffer, Status, name};
use nightcore_runtime::worker::{CallOptions, HandlerError};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// The test's code that answers a call. It gets a request for it.
pub(crate) type Callee = Rc<dyn Fn(Fake) -> Result<Made, Failure>>;

/// The properties that a test gives to a request.
pub(crate) struct Asked {
    pub(crate) function: String,
    pub(crate) caller: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) metadata: MetadataBuffer,
    /// The time until the deadline. It does not run down.
    pub(crate) time_left: Option<Duration>,
    pub(crate) cancel_reason: Option<CancelReason>,
    /// The test double. If it is `None`, every call fails with NOT_FOUND.
    pub(crate) callee: Option<Callee>,
}

/// A request that no engine sent.
pub(crate) struct Fake {
    pub(crate) asked: Asked,
    /// Answers to calls that were started without waiting for them.
    ended: RefCell<VecDeque<Ended>>,
    /// How the handler ended the request.
    end: RefCell<Option<Result<Made, Failure>>>,
    /// The failure of the last operation that failed.
    last: RefCell<Option<Failure>>,
}

fn failed<T>(status: Status, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure::new(status, message))
}

fn check_name(function: &str) -> Result<(), Failure> {
    if name::is_valid(function) {
        return Ok(());
    }
    failed(Status::NotFound, format!("{function:?} is not a name of a function"))
}

impl Fake {
    pub(crate) fn new(asked: Asked) -> Fake {
        let (ended, end, last) = (RefCell::default(), RefCell::default(), RefCell::default());
        Fake { asked, ended, end, last }
    }

    /// Checks that the handler has not ended the request.
    fn check_open(&self) -> Result<(), Failure> {
        if self.end.borrow().is_some() {
            return failed(Status::InvalidState, "the request has been answered");
        }
        Ok(())
    }

    /// Answers a call with the test's own code.
    pub(crate) fn call(
        &self,
        function: &str,
        parts: &[&[u8]],
        options: &CallOptions,
    ) -> Result<Made, Failure> {
        self.check_open()?;
        check_name(function)?;
        let Asked { time_left, cancel_reason, callee, .. } = &self.asked;
        let answered = match (cancel_reason, callee) {
            (Some(reason), _) => failed(reason.status(), reason.status().title()),
            (None, None) => failed(Status::NotFound, format!("there is no function {function:?}")),
            (None, Some(callee)) => callee(Fake::new(Asked {
                function: function.into(),
                caller: Some(self.asked.function.clone()),
                body: parts.concat(),
                metadata: options.metadata.clone(),
                time_left: time_left.iter().copied().chain(options.timeout).min(),
                cancel_reason: None,
                callee: Some(callee.clone()),
            })),
        };
        answered.map_err(|failure| Failure { function: function.into(), ..failure })
    }

    /// Answers a call at once. [`Fake::next_answer`] returns the answer.
    pub(crate) fn start_call(
        &self,
        tag: u64,
        function: &str,
        parts: &[&[u8]],
        options: &CallOptions,
    ) -> Result<(), Failure> {
        self.check_open()?;
        // A call with a malformed name does not start, as in a real process, so it gets no answer.
        check_name(function)?;
        let result = self.call(function, parts, options).map(Into::into);
        self.ended.borrow_mut().push_back(Ended { tag, result });
        Ok(())
    }

    pub(crate) fn next_answer(&self) -> Result<Ended, Failure> {
        let next = self.ended.borrow_mut().pop_front();
        next.ok_or_else(|| Failure::new(Status::InvalidState, "no call is under way"))
    }

    pub(crate) fn reply(&self, body: Vec<u8>, metadata: Metadata<'_>) -> Result<(), Failure> {
        self.check_open()?;
        let mut pairs = MetadataBuffer::new();
        for (name, value) in metadata.iter() {
            pairs.push(name, value)?;
        }
        *self.end.borrow_mut() = Some(Ok(Made { body, metadata: pairs }));
        Ok(())
    }

    pub(crate) fn fail(&self, error: &HandlerError) -> Result<(), Failure> {
        self.check_open()?;
        *self.end.borrow_mut() = Some(Err(error.exposed()));
        Ok(())
    }

    pub(crate) fn note_failed(&self, failure: &Failure) {
        *self.last.borrow_mut() = Some(failure.clone());
    }

    /// Returns what the caller gets after the handler has returned `status`.
    pub(crate) fn returned(self, status: i32) -> Result<Made, Failure> {
        let returned = outcome(status, self.last.into_inner()).map(|()| Made::default());
        self.end.into_inner().unwrap_or(returned)
    }
}
