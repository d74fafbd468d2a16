//! Handlers in an event loop: tokio drives the runtime's event loop.

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

/// The value that a handler returned, converted to a reply.
pub(crate) type Returned = Result<Reply, Box<dyn StdError + Send + Sync>>;

/// A handler whose result is converted to a reply.
pub(crate) type Handler =
    Arc<dyn Fn(AsyncRequest) -> Pin<Box<dyn Future<Output = Returned>>> + Send + Sync>;

/// The handler that this process runs, and the names of all functions that the program has.
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
        // The future may borrow from the handler, so the future owns a clone of the handler.
        let handler = handler.clone();
        Box::pin(async move { handler(request).await.into_reply() })
    })
}

/// Runs a handler. A panic fails the call.
async fn run(handler: &Handler, request: AsyncRequest) -> Result<Returned, HandlerError> {
    let mut future = handler(request);
    poll_fn(|context| match guarded(|| Ok(future.as_mut().poll(context))) {
        Ok(poll) => poll.map(Ok),
        Err(panicked) => std::task::Poll::Ready(Err(panicked)),
    })
    .await
}
