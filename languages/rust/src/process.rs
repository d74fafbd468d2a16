//! Calls that the process makes outside of any request.

use crate::answer::Answer;
use crate::error::{Error, Result};
use nightcore_runtime::worker::{CallOptions, caller};

/// Calls a function outside of any request, and waits for its answer: from a thread of the
/// program's own, or for work that goes on after an answer. The call has no request above it: its
/// deadline is the function's own timeout. Once the process serves it may call so until it ends.
///
/// ```no_run
/// # use nightcore::Request;
/// fn order(req: &Request) -> &'static str {
///     let receipt = req.body().to_vec();
///     std::thread::spawn(move || nightcore::call("SendMail", receipt));
///     "ordered"
/// }
/// ```
///
/// # Errors
/// If the call fails. `InvalidState`: this process does not serve yet.
pub fn call(name: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
    call_with(name, body, &CallOptions::default())
}

/// As [`call`], with a timeout or metadata.
///
/// # Errors
/// As [`call`].
pub fn call_with(name: &str, body: impl AsRef<[u8]>, options: &CallOptions) -> Result<Answer> {
    let called = caller::call(name, &[body.as_ref()], options);
    called.map(Answer::received).map_err(Error::from)
}
