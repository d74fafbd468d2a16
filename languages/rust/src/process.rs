//! Calls that the process makes outside of any request.

use crate::answer::Answer;
use crate::error::Result;
use crate::options::CallOptions;
use nightcore_runtime::worker::caller;

/// Calls a function outside of any request, and waits for its answer: from a thread of the
/// program's own, or for work that goes on after a reply. The call has no request above it: its
/// deadline is the function's own timeout. Once the process serves it may call so until it ends.
///
/// It blocks its thread; asynchronous code uses `call_async`, with the feature `tokio`.
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
/// If the call fails. `INVALID_STATE`: this process does not serve yet.
pub fn call(name: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
    call_with(name, body, &CallOptions::default())
}

/// As [`call`], with a timeout or metadata.
///
/// # Errors
/// As [`call`]. `INVALID_ARGUMENT` or `PAYLOAD_TOO_LARGE` if the options are wrong.
pub fn call_with(name: &str, body: impl AsRef<[u8]>, options: &CallOptions) -> Result<Answer> {
    let called = caller::call(name, &[body.as_ref()], options.checked()?);
    Ok(Answer::received(name, called?))
}

/// As [`call`], for asynchronous code. Dropping the future cancels the call.
///
/// # Errors
/// As [`call`].
#[cfg(feature = "tokio")]
pub async fn call_async(name: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
    call_async_with(name, body, &CallOptions::default()).await
}

/// As [`call_with`], for asynchronous code. Dropping the future cancels the call.
///
/// # Errors
/// As [`call_with`].
#[cfg(feature = "tokio")]
pub async fn call_async_with(
    name: &str,
    body: impl AsRef<[u8]>,
    options: &CallOptions,
) -> Result<Answer> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let done = Box::new(move |result| {
        // A call that was given up has nobody to tell.
        let _ = sender.send(result);
    });
    let started = caller::start(name, &[body.as_ref()], options.checked()?, done)?;
    let guard = CancelOnDrop(started);
    let result = receiver.await;
    // A call that has ended is left alone.
    drop(guard);
    let gone = |_| crate::Error::invalid_state("the call was given up");
    Ok(Answer::received(name, result.map_err(gone)??))
}

/// A call that ends with its future.
#[cfg(feature = "tokio")]
struct CancelOnDrop(caller::StartedCall);

#[cfg(feature = "tokio")]
impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        caller::cancel(self.0);
    }
}
