//! Accepts connections and speaks HTTP/1.1 and HTTP/2 (with prior knowledge) on them.

use super::client::{Client, Version};
use super::connections::{Connections, Room};
use super::exchange::{self, Site};
use super::patience::{HEADER_TIMEOUT, Patience};
use super::pieces::{Progress, TAKE_TIMEOUT, Taken};
use super::request::{MAX_HEADER_BYTES, MAX_HEADER_LINES};
use super::socket::Socket;
use super::stop::Stop;
use super::stream::{ClientStream, Wire};
use super::timeouts::HeadTimer;
use crate::memory::Memory;
use crate::tcp::is_shortage;
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::spawn_local;

/// How often an HTTP/2 client that says nothing is asked whether it is there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Time it has to answer that.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What a client of HTTP/2 may send before it is read, on a connection and on each of its requests:
/// what comes in some 10 ms at 1 Gbit/s. Bodies are read as they come.
const WINDOW_BYTES: u32 = 1024 * 1024;
/// Connections that are accepted in one turn; each one takes some 25 µs. Clients that connect all at
/// once would otherwise hold up the calls of others for milliseconds.
const ACCEPTS_IN_TURN: u32 = 4;
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Runs a connection's tasks on the I/O thread. hyper has a task run for each request of HTTP/2,
/// as soon as it has begun to answer it.
#[derive(Clone, Default)]
struct LocalExecutor(Rc<Cell<Option<Rc<Progress>>>>);

impl<F> Executor<F> for LocalExecutor
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, future: F) {
        match self.0.take() {
            Some(progress) => spawn_local(Taken::new(future, progress)),
            None => spawn_local(future),
        };
    }
}

/// Where clients connect.
pub trait Entrance {
    /// The connections that it gives.
    type Socket: Socket;

    /// Waits for a connection.
    fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<Self::Socket>>;
}

impl Entrance for TcpListener {
    type Socket = TcpStream;

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let (stream, _) = ready!(self.poll_accept(context))?;
        // An answer in two small writes would otherwise wait for the client's delayed
        // acknowledgement.
        let _ = stream.set_nodelay(true);
        Poll::Ready(Ok(stream))
    }
}

impl Entrance for UnixListener {
    type Socket = UnixStream;

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<io::Result<UnixStream>> {
        self.poll_accept(context).map_ok(|(stream, _)| stream)
    }
}

/// The open doors of a gateway.
pub struct Gateway {
    connections: Connections,
    memory: Memory,
}

impl Gateway {
    /// A gateway with room for so many connections at once. When it is full, the one that has been
    /// idle for the longest time is ended for the next.
    /// What its clients' requests hold is counted in `memory`.
    pub fn with_room(room: Room, memory: Memory) -> Gateway {
        Gateway { connections: Connections::new(room), memory }
    }

    /// Binds an address; the error names it.
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let listener = crate::tcp::listen(address)?;
        crate::tcp::end_who_takes_nothing(&listener, TAKE_TIMEOUT)?;
        Ok(listener)
    }

    /// Serves clients until it is told to stop.
    pub async fn serve<E, A>(&self, entrance: E, site: Rc<A>, stop: Stop)
    where
        E: Entrance,
        A: Site + 'static,
    {
        for accept in (1..=ACCEPTS_IN_TURN).cycle() {
            let accepted = tokio::select! {
                biased;
                () = stop.said() => return,
                accepted = poll_fn(|context| entrance.poll_next(context)) => accepted,
            };
            match accepted {
                Ok(socket) => {
                    tokio::select! {
                        biased;
                        () = stop.said() => return,
                        () = self.connections.make_room() => {}
                    }
                    spawn_local(self.serve_connection(socket, site.clone(), stop.clone()));
                }
                Err(error) if is_shortage(&error) => {
                    self.connections.send_one_away(false);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                // A client that has left before it was accepted.
                Err(_) => {}
            }
            if accept == ACCEPTS_IN_TURN {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Waits until every connection is closed.
    pub async fn closed(&self) {
        self.connections.all_closed().await;
    }

    /// Serves one client until its connection ends; counted as open from now on.
    pub fn serve_connection<S, A>(
        &self,
        socket: S,
        site: Rc<A>,
        stop: Stop,
    ) -> impl Future<Output = ()> + use<S, A>
    where
        S: Socket,
        A: Site + 'static,
    {
        let client = Rc::new(Client::new(self.memory));
        let open = self.connections.enter(client.clone());
        let streams = self.connections.room().streams;
        async move {
            let executor = LocalExecutor::default();
            let begun = executor.0.clone();
            let wire = Rc::new(Wire::new(socket, client.clone()));
            let stream = ClientStream::new(wire.clone());
            let mut patience = Patience::new(client.clone(), wire, stop, open);
            let answer = service_fn(move |request: hyper::Request<_>| {
                let (site, client) = (site.clone(), client.clone());
                let is_http2 = request.version() == hyper::Version::HTTP_2;
                let version = if is_http2 { Version::Two } else { Version::One };
                let exchange = client.begin_exchange(version);
                let progress = is_http2.then(Rc::<Progress>::default);
                begun.set(progress.clone());
                async move { exchange::answer(&*site, request, client, exchange, progress).await }
            });
            let builder = builder(executor, streams);
            let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
            // What goes wrong on a connection concerns its client only, who sees it.
            poll_fn(|context| {
                if patience.asks_to_finish(context) {
                    connection.as_mut().graceful_shutdown();
                }
                match connection.as_mut().poll(context) {
                    Poll::Ready(_) => Poll::Ready(()),
                    Poll::Pending => patience.poll_over(context),
                }
            })
            .await;
        }
    }
}

/// Every default of hyper's that is a limit of ours is set here.
fn builder(executor: LocalExecutor, streams: u32) -> Builder<LocalExecutor> {
    let mut builder = Builder::new(executor);
    builder
        .http1()
        .timer(HeadTimer)
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADER_LINES)
        // Whether a client that sends no more has left is found out here: see `Patience`.
        .half_close(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams)
        .initial_connection_window_size(WINDOW_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .max_header_list_size(MAX_HEADER_BYTES as u32)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
