//! Accepts connections and speaks HTTP/1.1 and HTTP/2 (with prior knowledge) on them.

use super::calls::Calls;
use super::refused::Refused;
use super::service::{Health, Service};
use super::stop::Stop;
use super::timeouts::HeadTimer;
use super::turns::Turns;
use hyper::rt::{Executor, Timer};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::cell::Cell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::spawn_local;

/// Time a client has to send a request's headers, the first ones too.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time after which a client that takes nothing of what it is sent is gone.
const TAKE_TIMEOUT: Duration = Duration::from_secs(60);
/// How often an HTTP/2 client that says nothing is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Bytes of HTTP/1 headers read at most; somewhat more than the metadata of a call may have.
const MAX_HEADER_BYTES: usize = 64 * 1024;
/// Calls at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 1024;
/// Connections that are accepted in one turn; each one takes some 25 µs. Clients that connect all at
/// once would otherwise hold up the calls of others for milliseconds.
const ACCEPTS_IN_TURN: u32 = 4;
/// Pause after an accept that failed for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Runs a connection's tasks on the I/O thread.
#[derive(Clone, Copy)]
struct LocalExecutor;

impl<F> Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        spawn_local(future);
    }
}

/// How many connections are open, and a word when the last one closes.
#[derive(Clone, Default)]
pub struct Connections(Rc<(Cell<usize>, Notify)>);

impl Connections {
    fn enter(&self) -> Connection {
        self.0.0.set(self.0.0.get() + 1);
        Connection(self.clone())
    }

    /// Waits until none is open.
    pub async fn closed(&self) {
        while self.0.0.get() > 0 {
            self.0.1.notified().await;
        }
    }
}

struct Connection(Connections);

impl Drop for Connection {
    fn drop(&mut self) {
        let (count, closed) = &*self.0.0;
        count.set(count.get() - 1);
        if count.get() == 0 {
            closed.notify_waiters();
            closed.notify_one();
        }
    }
}

/// The open doors of a gateway.
#[derive(Default)]
pub struct Gateway {
    connections: Connections,
}

impl Gateway {
    /// Binds an address; the error names it.
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let listener = crate::tcp::listen(address)?;
        crate::tcp::end_who_takes_nothing(&listener, TAKE_TIMEOUT)?;
        Ok(listener)
    }

    /// Serves clients until it is told to stop.
    pub async fn serve_tcp<C, H>(
        &self,
        listener: TcpListener,
        service: Rc<Service<C, H>>,
        stop: Stop,
    ) where
        C: Calls + 'static,
        H: Health + 'static,
    {
        for accept in (1..=ACCEPTS_IN_TURN).cycle() {
            let mut listening = None;
            let accepted = poll_fn(|context| {
                listening.get_or_insert_with(|| stop.listen(context));
                if stop.was_said() {
                    Poll::Ready(None)
                } else {
                    listener.poll_accept(context).map(Some)
                }
            });
            let Some(accepted) = accepted.await else { return };
            match accepted {
                Ok((stream, _)) => {
                    // An answer in two small writes would otherwise wait for the client's delayed
                    // acknowledgement.
                    let _ = stream.set_nodelay(true);
                    spawn_local(self.serve_connection(stream, service.clone(), stop.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            }
            if accept == ACCEPTS_IN_TURN {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits until every connection is closed.
    pub async fn closed(&self) {
        self.connections.closed().await;
    }

    /// Serves one client until its connection ends; counted as open from now on.
    pub fn serve_connection<S, C, H>(
        &self,
        stream: S,
        service: Rc<Service<C, H>>,
        stop: Stop,
    ) -> impl Future<Output = ()> + use<S, C, H>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
        C: Calls + 'static,
        H: Health + 'static,
    {
        let open = self.connections.enter();
        async move {
            let _open = open;
            let mut builder = Builder::new(LocalExecutor);
            builder
                .http1()
                .timer(HeadTimer)
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(MAX_HEADER_BYTES);
            let mut http2 = builder.http2();
            http2.timer(TokioTimer::new()).max_concurrent_streams(MAX_STREAMS);
            http2.keep_alive_interval(PING_INTERVAL);
            // Until the first request has come nobody else looks at the time: the version is not
            // known yet.
            let mut silent = Some(HeadTimer.sleep(HEADER_TIMEOUT));
            let has_asked = Rc::new(Cell::new(false));
            let asked = has_asked.clone();
            let refused = Rc::new(Refused::default());
            let answer = service_fn(move |request| {
                asked.set(true);
                let (service, refused) = (service.clone(), refused.clone());
                async move { Ok::<_, Infallible>(service.answer(request, &refused).await) }
            });
            let mut connection =
                pin!(builder.serve_connection(TokioIo::new(Turns::new(stream)), answer));
            let mut listening = None;
            let mut finishing = false;
            // What goes wrong on a connection concerns its client only, who sees it.
            let _ = poll_fn(|context| {
                listening.get_or_insert_with(|| stop.listen(context));
                if stop.was_said() && !finishing {
                    finishing = true;
                    connection.as_mut().graceful_shutdown();
                }
                let ended = connection.as_mut().poll(context);
                if has_asked.get() {
                    silent = None;
                }
                let is_late =
                    silent.as_mut().is_some_and(|silent| silent.as_mut().poll(context).is_ready());
                if is_late { Poll::Ready(Ok(())) } else { ended }
            })
            .await;
        }
    }
}
