//! Handlers in an event loop: the runtime's event loop, driven by tokio.

mod call;
mod event_loop;
mod request;

pub use call::AsyncCall;
pub use request::AsyncRequest;

pub(crate) use event_loop::serve;
pub(crate) use request::Running;

use crate::reply::{IntoReply, Reply};
use nightcore_runtime::worker::{HandlerError, guarded};
use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;

/// What a handler has returned.
pub(crate) type Returned = Result<Reply, Box<dyn StdError + Send + Sync>>;

/// A handler with its result converted.
pub(crate) type Handler =
    Arc<dyn Fn(AsyncRequest) -> Pin<Box<dyn Future<Output = Returned>>> + Send + Sync>;

/// The handler that a process runs, and the names of all that its program has.
pub(crate) struct Loop {
    pub(crate) names: Vec<String>,
    pub(crate) handler: Handler,
}

pub(crate) fn handler<F, R>(handler: F) -> Handler
where
    F: AsyncFn(AsyncRequest) -> R + Send + Sync + 'static,
    R: IntoReply,
{
    let handler = Arc::new(handler);
    Arc::new(move |request| {
        // The future may borrow from the handler.
        let handler = handler.clone();
        Box::pin(async move { handler(request).await.into_reply() })
    })
}

/// Runs a handler; a panic becomes its error.
async fn run(handler: &Handler, request: AsyncRequest) -> Result<Returned, HandlerError> {
    let mut future = handler(request);
    poll_fn(|context| match guarded(|| Ok(future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => std::task::Poll::Ready(Err(panicked)),
    })
    .await
}
