//! Accepts connections and speaks HTTP/1.1 and HTTP/2 (with prior knowledge) on them.

use super::client::{Client, HttpVersion};
use super::connection_bounds::{ConnectionBounds, HEADER_TIMEOUT};
use super::connections::{ClientConnections, Room};
use super::descriptor_reserve::DescriptorReserve;
use super::exchange::{self, Site};
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

/// The time between two pings of an HTTP/2 client that is silent.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// The time that a client has to answer a ping.
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The number of bytes that an HTTP/2 client may send before they are read, on a connection and on
/// each of its requests: the data of about 10 ms at 1 Gbit/s. Bodies are read as they come.
const WINDOW_BYTES: u32 = 1024 * 1024;
/// The number of connections that are accepted in one turn; each takes about 25 µs. Clients that
/// connect all at once would otherwise hold up the calls of others for milliseconds.
const ACCEPTS_IN_TURN: u32 = 4;
/// The pause after an accept that failed because there were no descriptors or no memory left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// During a shortage, no connection is ended that has been idle for less than this. A client that
/// has just connected sends a request, even if it runs on a busy machine.
const REQUEST_COMES_WITHIN: Duration = Duration::from_secs(1);

/// Runs a connection's tasks on the I/O thread. hyper spawns one task for each HTTP/2 request, as
/// soon as it begins to answer the request.
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

/// A listening socket.
pub trait Entrance {
    /// The type of an accepted connection.
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

/// A gateway: its listening sockets share its connections and its memory.
pub struct Gateway {
    connections: ClientConnections,
    memory: Memory,
    /// Whether it finds out the processes of its clients, and the descriptors to do so.
    reserve: Option<Rc<DescriptorReserve>>,
}

impl Gateway {
    /// Creates a gateway that holds at most as many connections as `room` allows. When it is full,
    /// the connection that has been idle for the longest time is ended for the next one. `memory`
    /// counts what the requests of its clients hold.
    pub fn with_room(room: Room, memory: Memory) -> Gateway {
        Gateway { connections: ClientConnections::new(room), memory, reserve: None }
    }

    /// Creates such a gateway that finds out from which processes its clients connect. This takes
    /// about 10 µs for each ancestor of the process.
    pub fn for_processes(room: Room, memory: Memory, reserve: Rc<DescriptorReserve>) -> Gateway {
        Gateway { reserve: Some(reserve), ..Gateway::with_room(room, memory) }
    }

    /// Binds an address. The error names the address.
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let listener = crate::tcp::listen(address)?;
        crate::tcp::end_who_takes_nothing(&listener, TAKE_TIMEOUT)?;
        Ok(listener)
    }

    /// Serves clients until `stop` is signalled.
    pub async fn serve<E, A>(&self, entrance: E, site: Rc<A>, stop: Stop)
    where
        E: Entrance,
        A: Site + 'static,
    {
        for accept in (1..=ACCEPTS_IN_TURN).cycle() {
            let accepted = tokio::select! {
                biased;
                () = stop.signalled() => return,
                accepted = poll_fn(|context| entrance.poll_next(context)) => accepted,
            };
            match accepted {
                Ok(socket) => {
                    tokio::select! {
                        biased;
                        () = stop.signalled() => return,
                        () = self.connections.make_room() => {}
                    }
                    spawn_local(self.serve_connection(socket, site.clone(), stop.clone()));
                }
                Err(error) if is_shortage(&error) => {
                    // The system reports a shortage also if no client waits. Then the descriptor is
                    // for a worker.
                    self.connections.send_one_away(false, REQUEST_COMES_WITHIN);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                // The client left before it was accepted.
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

    /// Serves one client until its connection ends. The connection counts as open from this call
    /// on.
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
        let lineage = match &self.reserve {
            Some(reserve) => reserve.lend(|| socket.lineage()),
            None => Ok(Vec::new()),
        };
        let client = Rc::new(Client::new(self.memory, lineage));
        let open = self.connections.enter(client.clone());
        let streams = self.connections.room().streams;
        async move {
            let executor = LocalExecutor::default();
            let begun = executor.0.clone();
            let wire = Rc::new(Wire::new(socket, client.clone()));
            let stream = ClientStream::new(wire.clone());
            let mut bounds = ConnectionBounds::new(client.clone(), wire, stop, open);
            let answer = service_fn(move |request: hyper::Request<_>| {
                let (site, client) = (site.clone(), client.clone());
                let is_http2 = request.version() == hyper::Version::HTTP_2;
                let version = if is_http2 { HttpVersion::Two } else { HttpVersion::One };
                let exchange = client.begin_exchange(version);
                let progress = is_http2.then(Rc::<Progress>::default);
                begun.set(progress.clone());
                async move { exchange::answer(&*site, request, client, exchange, progress).await }
            });
            let builder = builder(executor, streams);
            let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), answer));
            // An error on a connection concerns its client only, and the client sees it.
            poll_fn(|context| {
                if bounds.asks_to_finish(context) {
                    connection.as_mut().graceful_shutdown();
                }
                match connection.as_mut().poll(context) {
                    Poll::Ready(_) => Poll::Ready(()),
                    Poll::Pending => bounds.poll_over(context),
                }
            })
            .await;
        }
    }
}

/// Builds hyper's server. Every default of hyper that concerns one of our limits is set here.
fn builder(executor: LocalExecutor, streams: u32) -> Builder<LocalExecutor> {
    let mut builder = Builder::new(executor);
    builder
        .http1()
        .timer(HeadTimer)
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER_BYTES)
        .max_headers(MAX_HEADER_LINES)
        // `ConnectionBounds` finds out whether a client that sends no more has left.
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
