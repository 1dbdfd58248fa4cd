//! A writer's look at the read direction.
//!
//! A stream that is only written to has to answer pings (RFC 6455 section 5.5.2) and to notice the peer's
//! Close. Both are found by reading. So a writer reads: always when it has to wait, and in passing if the
//! application has not read for a while. A look in passing leaves a waker with the transport, the bell.
//! Until the bell rings, the next writes know that there is nothing to read. They check once a second all
//! the same. A look stops at payload, and leaves it to a reader: back-pressure stays.

use super::{engine::Engine, inbound::Buffer, read::MAX_FRUITLESS_READS, wakers::Side};
use crate::{Error, protocol::frame::Scratch};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

/// The most that a look reads at a time.
const GLANCE: usize = 1024;

/// For so long nobody may have read before a writer looks.
const QUIET: Duration = Duration::from_millis(100);

/// How often the clock may be asked without a read before a writer looks all the same.
const MOST_QUESTIONS: u8 = 64;

/// The clock is asked after 1, 2, 4 and 8 frames, and from then on after 16.
const MOST_DOUBLINGS: u8 = 4;

/// With a bell, a writer looks after this time all the same: a TLS library that polls its socket's read
/// direction in a write may have taken the bell's place there.
const MOST_TRUST: Duration = Duration::from_secs(1);

/// With a bell, the clock is asked after 128 frames in the end.
const MOST_DOUBLINGS_WITH_BELL: u8 = 7;

/// How many frames a flush counts for.
const FLUSH: u32 = 4;

/// Whether it is time to look.
///
/// Until a bell hangs, that goes by the clock, and by the frames for how often it is asked: a fast writer
/// doesn't notice, and a slow one asks each time.
#[derive(Default)]
pub(super) struct Lookout {
    /// What the transport wakes, if a look has found nothing more and nobody has read since.
    bell: Option<Arc<Bell>>,
    /// The number of the frame with which the clock is asked.
    at: u32,
    /// How often it was asked since somebody has read.
    asked: u8,
    /// Whether somebody has read since it was asked last.
    is_read: bool,
    /// Whether a writer waits that unread payload keeps from looking.
    pub(super) is_stopped: bool,
    /// Since when nobody has read, as far as is known.
    since: Option<Instant>,
}

/// Wakes the reader, and tells a writer that there is something to see.
struct Bell {
    has_rung: AtomicBool,
    reader: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Relaxed);
        self.reader.wake_by_ref();
    }
}

impl Lookout {
    /// Whether to find out, after so many frames, if it is time.
    #[inline]
    fn has_come(&self, frames: u64) -> bool {
        // The difference counts, as numbers start again after 2^32.
        let is_clock_due = (frames as u32).wrapping_sub(self.at) as i32 >= 0;
        self.has_rung() | is_clock_due
    }

    #[inline]
    fn has_rung(&self) -> bool {
        self.bell.as_ref().is_some_and(|bell| bell.has_rung.load(Ordering::Relaxed))
    }

    /// A flush comes closer to asking the clock.
    #[inline]
    pub(super) fn count_flush(&mut self) {
        if self.bell.is_none() {
            self.at = self.at.wrapping_sub(FLUSH);
        }
    }

    /// Somebody polls the transport, which will not ring any more.
    #[inline]
    pub(super) fn is_read(&mut self, frames: u64) {
        self.is_read = true;
        if self.bell.is_some() {
            self.take_bell(frames);
        }
    }

    #[cold]
    fn take_bell(&mut self, frames: u64) {
        self.bell = None;
        self.ask_after(0, frames);
    }

    /// Whether it is time to look: the bell has rung, or the clock says so.
    fn is_due(&mut self, frames: u64) -> bool {
        if self.has_rung() {
            return true;
        }
        if std::mem::take(&mut self.is_read) {
            (self.since, self.asked) = (None, 0);
            self.ask_after(1, frames);
            return false;
        }
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let (quiet, most_questions, most_doublings) = match self.bell {
            Some(_) => (MOST_TRUST, u8::MAX, MOST_DOUBLINGS_WITH_BELL),
            None => (QUIET, MOST_QUESTIONS, MOST_DOUBLINGS),
        };
        if now - since < quiet && self.asked < most_questions {
            self.ask_after(1 << self.asked.min(most_doublings), frames);
            self.asked += 1;
            return false;
        }
        (self.since, self.asked) = (Some(now), 0);
        self.ask_after(0, frames);
        true
    }

    /// Asks the clock next after so many more frames.
    fn ask_after(&mut self, count: u32, frames: u64) {
        self.at = (frames as u32).wrapping_add(count);
    }
}

/// What a look has come to.
#[derive(PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing more. The transport wakes the waker of the look.
    Nothing,
    /// What is the reader's.
    Unread,
    /// The end of the stream.
    End,
}

impl Engine {
    /// Reads what was received, without waiting for more, if it is time.
    #[inline]
    pub(super) fn look_if_due<S: AsyncRead + AsyncWrite>(&mut self, io: Pin<&mut S>) {
        if self.lookout.has_come(self.outbound.frames) {
            self.look(io);
        }
    }

    #[inline(never)]
    fn look<S: AsyncRead + AsyncWrite>(&mut self, mut io: Pin<&mut S>) {
        if !self.lookout.is_due(self.outbound.frames) {
            return;
        }
        if !self.wakers.is_reading() {
            // No reader was waiting for this error, so it is out of date.
            self.inbound.not_now = None;
        }
        if !self.may_look(false) {
            return;
        }
        // Whoever waits to read keeps the wake-up.
        let has_reader = self.wakers.has_reader();
        let reader = self.wakers.reader();
        let bell = Arc::new(Bell { has_rung: AtomicBool::new(false), reader: reader.clone() });
        let waker = Waker::from(Arc::clone(&bell));
        let seen = self.glance(io.as_mut(), &mut Context::from_waker(&waker), false);
        if seen == Seen::Nothing {
            self.lookout.bell = Some(bell);
        }
        // A pong, or our Close.
        self.settle_for_reader(io, &mut Context::from_waker(&reader));
        if !has_reader {
            self.wakers.forget_reader();
        }
    }

    /// Looks at what has come while the writer waits, which is woken when more comes. `Ready` if the
    /// stream has ended by it.
    #[inline(never)]
    pub(super) fn poll_look<S: AsyncRead + AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let both = self.wakers.of_both(Side::Writer, cx.waker());
        let waker = both.as_ref().unwrap_or(cx.waker());
        if self.glance(io, &mut Context::from_waker(waker), false) == Seen::End {
            return Poll::Ready(());
        }
        while self.inbound.is_open() {
            // That there is no runtime is for the reader.
            let Poll::Ready(Ok(())) = self.poll_keep_alive(cx, Side::Writer) else {
                return Poll::Pending;
            };
            self.come_to_end();
            if self.inbound.end().is_some() {
                return Poll::Ready(());
            }
        }
        // Nothing more is read: there is only the transport to wait for.
        let line = self.outbound.line();
        let Some(Poll::Ready(Ok(()))) =
            self.keep_alive().map(|keep_alive| keep_alive.poll_leaving(cx, line, true))
        else {
            return Poll::Pending;
        };
        self.outbound.fail(Error::Silent, None);
        Poll::Ready(())
    }

    /// Whether more may be read, though nobody wants to have it.
    fn may_look(&self, within_frame: bool) -> bool {
        self.inbound.is_open()
            && !self.inbound.is_unread()
            && (within_frame || self.inbound.decoder.remaining() == 0)
    }

    /// Reads control frames, and at most a few bytes of payload; payload of a frame that has begun only
    /// if that is wanted.
    pub(super) fn glance<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        within_frame: bool,
    ) -> Seen {
        self.lookout.take_bell(self.outbound.frames);
        for reads in 0..MAX_FRUITLESS_READS {
            if !self.may_look(within_frame) {
                self.lookout.is_stopped = true;
                if reads > 0 {
                    // The transport may owe the reader no wake-up any more.
                    self.wakers.wake_reader();
                }
                return Seen::Unread;
            }
            let mut scratch = Scratch::<GLANCE>::new();
            let mut buf = scratch.buf();
            match self.poll_transport(io.as_mut(), cx, &mut buf, GLANCE) {
                Poll::Pending => return Seen::Nothing,
                Poll::Ready(Ok(0)) => {}
                Poll::Ready(Ok(_)) => {
                    self.inbound.buffer = Buffer::full(buf.filled().into());
                    self.wakers.wake_reader();
                    self.lookout.is_stopped = true;
                    return Seen::Unread;
                }
                // It isn't the last, and it is the reader's.
                Poll::Ready(Err(error)) => {
                    self.inbound.not_now = Some(Box::new(error));
                    self.wakers.wake_reader();
                    return Seen::Unread;
                }
            }
            self.come_to_end();
            if self.inbound.end().is_some() {
                self.wakers.wake_reader();
                return Seen::End;
            }
        }
        // Other tasks get a turn.
        self.wakers.wake_reader();
        cx.waker().wake_by_ref();
        Seen::Nothing
    }
}
