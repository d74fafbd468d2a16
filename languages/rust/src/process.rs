//! Calls that the process makes outside of any request.

use crate::answer::Answer;
use crate::error::Result;
use crate::options::CallOptions;
use nightcore_runtime::worker::caller;

/// Calls a function outside of any request, and waits for its answer. This is for threads that the
/// program has created, and for work that goes on after a reply. No request is above the call, so
/// its deadline is the called function's own timeout. Such calls are possible once the process
/// serves, until it ends.
///
/// The call blocks its thread; asynchronous code uses `call_async`, with the feature `tokio`.
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
/// If the call fails. `INVALID_STATE` if this process does not serve yet.
pub fn call(name: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
    call_with(name, body, &CallOptions::default())
}

/// Does what [`call`] does, with a timeout or metadata.
///
/// # Errors
/// The errors of [`call`]. `INVALID_ARGUMENT` or `PAYLOAD_TOO_LARGE` if the options are not valid.
pub fn call_with(name: &str, body: impl AsRef<[u8]>, options: &CallOptions) -> Result<Answer> {
    let called = caller::call(name, &[body.as_ref()], options.checked()?);
    Ok(Answer::received(name, called?))
}

/// Does what [`call`] does, for asynchronous code. Dropping the future cancels the call.
///
/// # Errors
/// The errors of [`call`].
#[cfg(feature = "tokio")]
pub async fn call_async(name: &str, body: impl AsRef<[u8]>) -> Result<Answer> {
    call_async_with(name, body, &CallOptions::default()).await
}

/// Does what [`call_with`] does, for asynchronous code. Dropping the future cancels the call.
///
/// # Errors
/// The errors of [`call_with`].
#[cfg(feature = "tokio")]
pub async fn call_async_with(
    name: &str,
    body: impl AsRef<[u8]>,
    options: &CallOptions,
) -> Result<Answer> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let done = Box::new(move |result| {
        // Sending fails if the future was dropped, which has cancelled the call.
        let _ = sender.send(result);
    });
    let started = caller::start(name, &[body.as_ref()], options.checked()?, done)?;
    let guard = CancelOnDrop(started);
    let result = receiver.await;
    // Cancelling a call that has ended does nothing.
    drop(guard);
    let gone = |_| crate::Error::invalid_state("the call was given up");
    Ok(Answer::received(name, result.map_err(gone)??))
}

/// Cancels a call when its future is dropped.
#[cfg(feature = "tokio")]
struct CancelOnDrop(caller::StartedCall);

#[cfg(feature = "tokio")]
impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        caller::cancel(self.0);
    }
}
