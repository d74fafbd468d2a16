//! How long a client's connection is kept: until it falls silent, leaves, or keeps a stopping
//! engine waiting.
//!
//! hyper has a timeout for the head of a request over HTTP/1, and a request's body has its own.
//! Everything else that a client can draw out is bounded here.

use super::client::{Client, Version};
use super::connections::Connection;
use super::socket::Socket;
use super::stop::{Listener, Stop};
use super::stream::Wire;
use super::timeouts::HeadTimer;
use crate::tcp::{Peer, look};
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

/// Time a client has to send a request's headers, the first ones too, and a client of HTTP/2 to
/// begin another request.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Time a client of HTTP/2 has to close an idle connection when it was told to.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// When the engine stops, time in which a client without a call under way has to go on: to send
/// the rest of a request, or to take [`STOP_BYTES`] of an answer.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// As much as a slow mobile connection takes in that time.
const STOP_BYTES: u64 = 16 * 1024;

/// Pause before a client that has sent more than its request is asked whether it is there, and
/// between the first two questions; each further pause is twice as long.
const ASK_PAUSE: Duration = Duration::from_secs(1);
/// Longer than any call: what can be sent ahead is used up.
const NOT_ASKED_AGAIN: Duration = Duration::from_secs(48 * 60 * 60);

/// How far the end of a connection has come.
enum End {
    /// It goes on.
    None,
    /// The client has been idle for too long, and is told that its connection ends.
    Idle { was_told: bool, close: Pin<Box<dyn Sleep>> },
    /// The engine stops. So many bytes had been taken when it was last looked at.
    Stopping(Pin<Box<tokio::time::Sleep>>, u64),
}

/// The bounds of one connection.
pub(super) struct Patience<S> {
    client: Rc<Client>,
    wire: Rc<Wire<S>>,
    stop: Stop,
    /// Counted as open for as long as this lives.
    open: Connection,
    heard_stop: Option<Listener>,
    /// Rings when the client may have been silent for too long.
    silence: Option<Pin<Box<dyn Sleep>>>,
    end: End,
    /// Looks whether the client has left, while its call is under way and it has done something
    /// else than to wait for the answer.
    leaving: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<S: Socket> Patience<S> {
    pub(super) fn new(
        client: Rc<Client>,
        wire: Rc<Wire<S>>,
        stop: Stop,
        open: Connection,
    ) -> Patience<S> {
        Patience {
            client,
            wire,
            stop,
            open,
            heard_stop: None,
            silence: Some(HeadTimer.sleep(HEADER_TIMEOUT)),
            end: End::None,
            leaving: None,
        }
    }

    /// Whether the client is now to be told that its connection ends; true once.
    pub(super) fn asks_to_finish(&mut self, context: &mut Context<'_>) -> bool {
        self.heard_stop.get_or_insert_with(|| self.stop.listen(context));
        self.client.watch(context);
        let was_told = match &mut self.end {
            End::None => false,
            End::Idle { was_told, .. } => std::mem::replace(was_told, true),
            End::Stopping(..) => true,
        };
        if self.stop.was_said() && !matches!(self.end, End::Stopping(..)) {
            self.client.note_stop();
            let sleep = Box::pin(tokio::time::sleep(STOP_TIMEOUT));
            self.end = End::Stopping(sleep, self.wire.taken());
        }
        !was_told && !matches!(self.end, End::None)
    }

    /// Waits until the connection is to be ended, whatever is under way on it.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.client.goes_away()
            || self.poll_stopped(context).is_ready()
            || self.poll_silent(context).is_ready()
        {
            return Poll::Ready(());
        }
        self.poll_left(context)
    }

    /// Waits until the client, and no call, keeps the engine from stopping.
    fn poll_stopped(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let End::Stopping(sleep, taken) = &mut self.end else { return Poll::Pending };
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
            // The version is not known yet, so nobody else looks at the time.
            None => self.silence.as_mut().map_or(Poll::Pending, |s| s.as_mut().poll(context)),
            Some(Version::One) => {
                self.silence = None;
                Poll::Pending
            }
            Some(Version::Two) => self.poll_idle(context),
        }
    }

    /// Waits until a client of HTTP/2 has begun no request for too long, and has not closed its
    /// connection when it was told to.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            let is_idle = self.client.exchanges() == 0;
            let (timer, timeout) = match &mut self.end {
                End::None => {
                    let until = self.client.idle_since() + HEADER_TIMEOUT;
                    let timer = || HeadTimer.sleep_until(until);
                    (self.silence.get_or_insert_with(timer), HEADER_TIMEOUT)
                }
                End::Idle { close, .. } => (close, CLOSE_TIMEOUT),
                End::Stopping(..) => return Poll::Pending,
            };
            if timer.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if !is_idle {
                *timer = HeadTimer.sleep(timeout);
            } else if matches!(self.end, End::Idle { .. }) {
                return Poll::Ready(());
            } else if self.client.idle_since().elapsed() >= HEADER_TIMEOUT {
                self.end = End::Idle { was_told: false, close: HeadTimer.sleep(CLOSE_TIMEOUT) };
                context.waker().wake_by_ref();
            } else {
                self.silence = None;
            }
        }
    }

    /// Waits until the client has left while its call is under way.
    fn poll_left(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Over HTTP/2 hyper reads all the time and sees it.
        if self.client.calls() == 0 || self.client.speaks() != Some(Version::One) {
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
                // Without a descriptor to watch, the call goes on to its end.
                if duplicate.is_none() || has_left(&wire).await.is_err() {
                    std::future::pending().await
                }
            }));
        }
        self.leaving.as_mut().map_or(Poll::Pending, |leaving| leaving.as_mut().poll(context))
    }
}

/// Waits until the client has left. A client that sends no more may still wait for its answer, and
/// what it has sent behind its request may hide that it has left. So it is sent the first bytes of
/// its answer, one now and then, which a client that has left answers with a reset.
async fn has_left<S: Socket>(wire: &Wire<S>) -> io::Result<()> {
    let watched = Watched::new(wire.duplicate()?, Interest::READABLE | Interest::WRITABLE)?;
    let mut pause = ASK_PAUSE;
    let mut next = Instant::now() + pause;
    let mut sends_no_more = false;
    loop {
        match look(watched.as_fd()) {
            Peer::Gone => return Ok(()),
            Peer::Open => {
                let until = tokio::time::Instant::from_std(next);
                if let Ok(readable) = tokio::time::timeout_at(until, watched.readable()).await {
                    readable?.clear_ready();
                    continue;
                }
            }
            // Most have closed both directions: the first question is asked at once.
            Peer::HalfClosed if !sends_no_more => sends_no_more = true,
            Peer::HalfClosed => {
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
