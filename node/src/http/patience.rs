//! A client that is slow, or silent on purpose, costs only its own connection, and that not for long.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// Why a connection was given up.
pub(super) const SLOW_HEAD: &str = "slow_head";
/// A client that asked for nothing for a while.
pub(super) const IDLE: &str = "idle";
/// A client that does not take what it asked for.
pub(super) const SLOW_READER: &str = "slow_reader";

#[derive(Clone, Copy)]
enum Phase {
    /// Nothing of the next request is here.
    Idle { until: Instant },
    /// A head has begun.
    Head { until: Instant },
    /// A request is being answered; however long that takes is the handler's affair.
    Busy,
}

/// What a connection waits for, as its socket and its requests know it.
pub(super) struct Watch {
    phase: Cell<Phase>,
    head: Duration,
    idle: Duration,
    write: Duration,
    /// Why it was given up, if it was.
    reason: Cell<Option<&'static str>>,
}

impl Watch {
    /// Patience for a head, for a next request, and for a client to take what it asked for.
    pub(super) fn new(head: Duration, idle: Duration, write: Duration) -> Rc<Self> {
        let phase = Cell::new(Phase::Head { until: Instant::now() + head });
        Rc::new(Watch { phase, head, idle, write, reason: Cell::default() })
    }

    /// A request is here.
    pub(super) fn busy(&self) {
        self.phase.set(Phase::Busy);
    }

    /// It was answered.
    pub(super) fn idle(&self) {
        self.phase.set(Phase::Idle { until: Instant::now() + self.idle });
    }

    /// Why the connection was given up, if it was.
    pub(super) fn reason(&self) -> Option<&'static str> {
        self.reason.get()
    }

    fn heard(&self) {
        if let Phase::Idle { .. } = self.phase.get() {
            self.phase.set(Phase::Head { until: Instant::now() + self.head });
        }
    }

    fn give_up(&self, reason: &'static str) -> io::Error {
        self.reason.set(Some(reason));
        io::Error::new(io::ErrorKind::TimedOut, reason)
    }
}

/// A stream that fails when its client takes too long.
pub(super) struct Patient<S> {
    stream: S,
    watch: Rc<Watch>,
    /// Wakes the reader; it may ring early, and is then set again.
    read_alarm: Option<Pin<Box<Sleep>>>,
    /// Set while a write is stuck.
    write_alarm: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    pub(super) fn new(stream: S, watch: Rc<Watch>) -> Self {
        Patient { stream, watch, read_alarm: None, write_alarm: None }
    }

    /// Waits until what the reader waits for is late.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let (until, reason) = match self.watch.phase.get() {
            Phase::Idle { until } => (until, IDLE),
            Phase::Head { until } => (until, SLOW_HEAD),
            Phase::Busy => return Poll::Pending,
        };
        let alarm = self.read_alarm.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if alarm.deadline() > until {
            alarm.as_mut().reset(until);
        }
        loop {
            ready!(alarm.as_mut().poll(cx));
            if Instant::now() >= until {
                return Poll::Ready(self.watch.give_up(reason));
            }
            alarm.as_mut().reset(until);
        }
    }

    fn patiently<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.write_alarm = None;
            return written;
        }
        let until = || Box::pin(sleep_until(Instant::now() + self.watch.write));
        ready!(self.write_alarm.get_or_insert_with(until).as_mut().poll(cx));
        Poll::Ready(Err(self.watch.give_up(SLOW_READER)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_pending() {
            return self.poll_late(cx).map(Err);
        }
        if buffer.filled().len() > before {
            self.watch.heard();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.patiently(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.patiently(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.patiently(cx, shut)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.patiently(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
