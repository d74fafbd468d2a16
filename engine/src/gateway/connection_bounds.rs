//! Decides how long a client's connection is kept: until the client is silent for too long, leaves,
//! or delays a graceful shutdown.
//!
//! hyper has a timeout for the head of an HTTP/1 request, and a request's body has its own timeout.
//! All other ways in which a client can delay are bounded here.

use super::client::{Client, HttpVersion};
use super::connections::Connection;
use super::socket::Socket;
use super::stop::{Stop, StopListener};
use super::stream::Wire;
use super::timeouts::HeadTimer;
use crate::tcp::{PeerState, peer_state};
use crate::watched::Watched;
use hyper::rt::{Sleep, Timer};
use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::Interest;

/// The time that a client has to send the headers of a request, including its first one, and that
/// an HTTP/2 client has to begin another request.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// The time that an HTTP/2 client has to close an idle connection after it was told to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// During a graceful shutdown, the time within which a client without a call under way must make
/// progress: it must send the rest of a request, or take [`STOP_BYTES`] of an answer.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// The number of bytes that a slow mobile connection takes in that time.
const STOP_BYTES: u64 = 16 * 1024;

/// The pause before a client that has sent more than its request is probed, and between the first
/// two probes. Each further pause is twice as long.
const ASK_PAUSE: Duration = Duration::from_secs(1);
/// Longer than any call: all bytes that can be sent ahead are used up.
const NOT_ASKED_AGAIN: Duration = Duration::from_secs(48 * 60 * 60);

/// Why a connection is ending, if it is.
enum ClosingStage {
    /// The connection is not ending.
    None,
    /// The client has been idle for too long, and is told that its connection ends.
    Idle { was_told: bool, close: Pin<Box<dyn Sleep>> },
    /// The engine shuts down. The number is how many bytes the client had taken at the last check.
    Stopping(Pin<Box<tokio::time::Sleep>>, u64),
}

/// The bounds of one connection.
pub(super) struct ConnectionBounds<S> {
    client: Rc<Client>,
    wire: Rc<Wire<S>>,
    stop: Stop,
    /// Counts the connection as open while it lives.
    open: Connection,
    heard_stop: Option<StopListener>,
    /// Fires when the client may have been silent for too long.
    silence: Option<Pin<Box<dyn Sleep>>>,
    end: ClosingStage,
    /// Checks whether the client has left. It is set while the client's call is under way and the
    /// client has done something other than wait for the answer.
    leaving: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<S: Socket> ConnectionBounds<S> {
    pub(super) fn new(
        client: Rc<Client>,
        wire: Rc<Wire<S>>,
        stop: Stop,
        open: Connection,
    ) -> ConnectionBounds<S> {
        ConnectionBounds {
            client,
            wire,
            stop,
            open,
            heard_stop: None,
            silence: Some(HeadTimer.sleep(HEADER_TIMEOUT)),
            end: ClosingStage::None,
            leaving: None,
        }
    }

    /// Returns whether to tell the client now that its connection ends. Returns true only once.
    pub(super) fn asks_to_finish(&mut self, context: &mut Context<'_>) -> bool {
        self.heard_stop.get_or_insert_with(|| self.stop.listen(context));
        self.client.watch(context);
        let was_told = match &mut self.end {
            ClosingStage::None => false,
            ClosingStage::Idle { was_told, .. } => std::mem::replace(was_told, true),
            ClosingStage::Stopping(..) => true,
        };
        if self.stop.is_signalled() && !matches!(self.end, ClosingStage::Stopping(..)) {
            self.client.note_stop();
            let sleep = Box::pin(tokio::time::sleep(STOP_TIMEOUT));
            self.end = ClosingStage::Stopping(sleep, self.wire.taken());
        }
        !was_told && !matches!(self.end, ClosingStage::None)
    }

    /// Waits until the connection must be closed, whatever is under way on it.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.client.goes_away()
            || self.poll_stopped(context).is_ready()
            || self.poll_silent(context).is_ready()
        {
            return Poll::Ready(());
        }
        self.poll_left(context)
    }

    /// Waits until the shutdown is delayed only by this client and not by a call.
    fn poll_stopped(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let ClosingStage::Stopping(sleep, taken) = &mut self.end else { return Poll::Pending };
        while sleep.as_mut().poll(context).is_ready() {
            let now_taken = self.wire.taken();
            if self.client.calls() == 0 && now_taken.saturating_sub(*taken) < STOP_BYTES {
                return Poll::Ready(());
            }
            *taken = now_taken;
            sleep.as_mut().reset(tokio::time::Instant::now() + STOP_TIMEOUT);
        }
        Poll::Pending
    }

    /// Waits until the client has been silent for too long.
    fn poll_silent(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self.client.speaks() {
            // The version is not known yet, so no one else checks the time.
            None => self.silence.as_mut().map_or(Poll::Pending, |s| s.as_mut().poll(context)),
            Some(HttpVersion::One) => {
                self.silence = None;
                Poll::Pending
            }
            Some(HttpVersion::Two) => self.poll_idle(context),
        }
    }

    /// Waits until an HTTP/2 client has begun no request for too long, and has not closed its
    /// connection after it was told to.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let is_idle = self.client.exchanges() == 0;
            let (timer, timeout) = match &mut self.end {
                ClosingStage::None => {
                    let until = self.client.idle_since() + HEADER_TIMEOUT;
                    let timer = || HeadTimer.sleep_until(until);
                    (self.silence.get_or_insert_with(timer), HEADER_TIMEOUT)
                }
                ClosingStage::Idle { close, .. } => (close, CLOSE_TIMEOUT),
                ClosingStage::Stopping(..) => return Poll::Pending,
            };
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if !is_idle {
                *timer = HeadTimer.sleep(timeout);
            } else if matches!(self.end, ClosingStage::Idle { .. }) {
                return Poll::Ready(());
            } else if self.client.idle_since().elapsed() >= HEADER_TIMEOUT {
                self.end =
                    ClosingStage::Idle { was_told: false, close: HeadTimer.sleep(CLOSE_TIMEOUT) };
                context.waker().wake_by_ref();
            } else {
                self.silence = None;
            }
        }
    }

    /// Waits until the client has left while its call is under way.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Over HTTP/2 hyper reads all the time and notices it.
        if self.client.calls() == 0 || self.client.speaks() != Some(HttpVersion::One) {
            self.leaving = None;
            return Poll::Pending;
        }
        if self.leaving.is_none() {
            if self.wire.socket().poll_event(context).is_pending() {
                return Poll::Pending;
            }
            let wire = self.wire.clone();
            let duplicate = self.open.all().duplicate();
            self.leaving = Some(Box::pin(async move {
                // If there is no descriptor to watch, the call runs to its end.
                if duplicate.is_none() || has_left(&wire).await.is_err() {
                    std::future::pending().await
                }
            }));
        }
        self.leaving.as_mut().map_or(Poll::Pending, |leaving| leaving.as_mut().poll(context))
    }
}

/// Waits until the client has left.
///
/// A client that half-closed its connection may still wait for its answer, and data that it sent
/// after its request may hide that it has left. So it is probed: it is sent the first bytes of its
/// answer, one at a time, and a client that has left answers with a reset.
async fn has_left<S: Socket>(wire: &Wire<S>) -> io::Result<()> {
    let watched = Watched::new(wire.duplicate()?, Interest::READABLE | Interest::WRITABLE)?;
    let mut pause = ASK_PAUSE;
    let mut next = Instant::now() + pause;
    let mut sends_no_more = false;
    loop {
        match peer_state(watched.as_fd()) {
            PeerState::Gone => return Ok(()),
            PeerState::Open => {
                let until = tokio::time::Instant::from_std(next);
                if let Ok(readable) = tokio::time::timeout_at(until, watched.readable()).await {
                    readable?.clear_ready();
                    continue;
                }
            }
            // Most such clients have closed both directions, so the first probe is sent at once.
            PeerState::HalfClosed if !sends_no_more => sends_no_more = true,
            PeerState::HalfClosed => {
                // A reset makes a socket writable.
                let until = tokio::time::Instant::from_std(next);
                if let Ok(writable) = tokio::time::timeout_at(until, watched.writable()).await {
                    writable?.clear_ready();
                    continue;
                }
            }
        }
        match wire.send_ahead() {
            Ok(true) => {}
            Ok(false) => next += NOT_ASKED_AGAIN,
            Err(_) => return Ok(()),
        }
        next = next.max(Instant::now()) + pause;
        pause *= 2;
    }
}
