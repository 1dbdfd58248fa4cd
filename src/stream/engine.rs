//! Both directions of a stream, and what one means for the other.

use super::{
    adopt::Rest,
    inbound::{Buffer, End, Inbound},
    keep_alive::{Due, KeepAlive},
    look::Lookout,
    outbound::{Outbound, is_temporary},
    wakers::{Side, Wakers},
    write_half::WriteHalf,
};
use crate::{
    CloseFrame, Config, Error, Stats,
    protocol::{
        close,
        decoder::{Decoder, Event},
    },
    trace,
};
use fastwebsockets::Role;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// Code of a Close for a fault of our own (RFC 6455 section 7.4.1).
const INTERNAL_ERROR: u16 = 1011;

/// Reads in a row that give payload before what was accepted is flushed on the way.
const READS_BEFORE_FLUSH: u8 = 32;

/// Everything of a stream but its transport.
pub(super) struct Engine {
    pub(super) role: Role,
    pub(super) config: Config,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    pub(super) wakers: Wakers,
    /// Whether we have ended our direction of the transport.
    pub(super) transport_ended: bool,
    /// Made when a read first waits, if it is configured.
    pub(super) keep_alive: Option<Box<KeepAlive>>,
    /// When a writer looks at the read direction.
    pub(super) lookout: Lookout,
    /// Whether the application waits for the whole closing handshake.
    pub(super) in_close: bool,
    /// The code of our Close, unless the peer's came first.
    pub(super) own_close: Option<u16>,
    /// Reads that gave payload while some of ours might still be in a buffer of the transport.
    unflushed_reads: u8,
    /// Set once our Close has been handed over, for a transport that has to know.
    pub(super) close_sent: Option<Arc<AtomicBool>>,
}

impl Engine {
    pub(super) fn new(role: Role, config: Config) -> Self {
        let data = config.payload_type.into();
        let is_client = role == Role::Client;
        Self {
            role,
            config,
            inbound: Inbound::new(Decoder::new(!is_client && !config.no_masking, data)),
            outbound: Outbound::new(is_client && !config.no_masking, data, config.max_frame_size),
            wakers: Wakers::default(),
            transport_ended: false,
            keep_alive: None,
            lookout: Lookout::default(),
            in_close: false,
            own_close: None,
            unflushed_reads: 0,
            close_sent: None,
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats {
            bytes_read: self.inbound.bytes,
            frames_read: self.inbound.decoder.frames(),
            control_frames_read: self.inbound.decoder.control_frames(),
            bytes_written: self.outbound.bytes,
            frames_written: self.outbound.frames,
            control_frames_written: self.outbound.control_frames,
        }
    }

    pub(super) fn write_half<'a, S>(
        &'a mut self,
        io: Pin<&'a mut S>,
        side: Side,
    ) -> (&'a mut Outbound, WriteHalf<'a, S>) {
        (&mut self.outbound, WriteHalf { io, wakers: &mut self.wakers, side })
    }

    /// Takes the transport's bytes, at least one, and returns how many of payload are at their front.
    #[inline]
    pub(super) fn receive(&mut self, chunk: &mut [u8]) -> usize {
        if let Some(keep_alive) = &mut self.keep_alive {
            keep_alive.heard();
        }
        let Self { inbound, outbound, config, .. } = self;
        inbound.decode(chunk, |inbound, event| match event {
            Event::Ping(payload) => outbound.queue_pong(payload),
            Event::Violation(violation) => inbound.end_with(End::Violation(violation)),
            Event::Close(payload) => {
                let (code, reason) = close::parse(payload.as_slice()).unwrap_or_default();
                let close = Box::new(CloseFrame::new(code, reason));
                let aborted = config.strict_close && !close.is_normal();
                inbound.end_with(if aborted { End::Aborted(close) } else { End::Closed(close) });
            }
        })
    }

    /// The reader has read everything before the end: now the end counts.
    ///
    /// Not before, so that it makes no difference in how many pieces the peer's bytes arrive: what
    /// the application writes in answer to bytes before a Close goes out before our own.
    #[inline]
    pub(super) fn come_to_end(&mut self) {
        if self.inbound.come_to_end().is_some() {
            self.end();
        }
    }

    #[cold]
    fn end(&mut self) {
        let stats = self.stats();
        let Self { inbound, outbound, wakers, config, own_close, .. } = self;
        // A Close that comes before the peer can have ours is no answer.
        if !outbound.is_close_handed_over() {
            *own_close = None;
        }
        // Whoever waits to write may have nothing to wait for any more.
        wakers.wake_writer();
        let Some(end) = inbound.end() else {
            return;
        };
        match end.error() {
            None => trace::close_received(end.close_frame(), &stats),
            Some(error) => trace::read_failed(&error, &stats),
        }
        match end {
            // In half-close mode the answer waits for our own shutdown.
            End::Closed(_) if config.half_close => {}
            End::Closed(close) | End::Aborted(close) => outbound.queue_close(close.number(), ""),
            End::Violation(violation) => outbound.queue_close(Some(violation.close_code()), ""),
            End::HandedOverInFrame => outbound.queue_close(Some(INTERNAL_ERROR), ""),
            // What was accepted may still find somebody who takes it.
            End::Truncated | End::Failed(..) => outbound.cut_off(),
            End::Silent => outbound.fail(Error::Silent, None),
        }
    }

    /// Takes what a fastwebsockets socket had read already.
    pub(super) fn receive_buffered(&mut self, mut frames: Vec<u8>, rest: Rest) {
        let end = self.receive(&mut frames);
        if end > 0 {
            self.inbound.buffer = Buffer::new(frames.into_boxed_slice(), end);
        }
        match rest {
            Rest::Violation(violation) => self.inbound.end_with(End::Violation(violation)),
            Rest::PartOfFrame => self.inbound.end_with(End::HandedOverInFrame),
            Rest::Nothing => {}
        }
    }

    /// Whether nothing is buffered and both directions are between two messages.
    pub(super) fn is_at_rest(&self) -> bool {
        (self.inbound.is_open() || matches!(self.inbound.end(), Some(End::Closed(_))))
            && self.inbound.buffer.is_empty()
            && self.inbound.decoder.is_between_messages()
            && self.outbound.is_settled()
            && !self.outbound.is_broken()
            && !self.outbound.is_in_code_point()
    }

    /// Whether the application can't write any more because of what was read: the directions end
    /// independently only by a Close, and only if that is wanted.
    #[inline]
    pub(super) fn is_writing_over(&self) -> bool {
        match self.inbound.end() {
            None => false,
            Some(End::Closed(_)) => !self.config.half_close,
            Some(_) => true,
        }
    }

    /// Whether both directions are through and it is on us to end the transport: on the server
    /// (RFC 6455 section 7.1.1), and on whoever fails the connection (section 7.1.7).
    #[inline]
    fn must_end_transport(&self) -> bool {
        let Some(end) = self.inbound.end() else {
            return false;
        };
        let first = match end {
            End::Closed(_) | End::Aborted(_) => self.role == Role::Server,
            End::Violation(_) | End::HandedOverInFrame => true,
            End::Truncated | End::Silent | End::Failed(..) => false,
        };
        first && self.outbound.is_closing() && !self.transport_ended
    }

    /// Gives everything that is due to the transport: accepted bytes, pong, Close, its end. `payload`
    /// says whether accepted bytes are to be seen through its buffers as well.
    pub(super) fn poll_settle<S: AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        side: Side,
        payload: bool,
    ) -> Poll<io::Result<()>> {
        let (outbound, mut half) = self.write_half(io.as_mut(), side);
        let settled = outbound.poll_settle(&mut half, cx, payload);
        if outbound.is_close_handed_over() {
            if let Some(close_sent) = self.close_sent.take() {
                close_sent.store(true, Ordering::Relaxed);
            }
        }
        ready!(settled)?;
        if self.must_end_transport() {
            ready!(self.poll_end_transport(io, cx, side));
        }
        Poll::Ready(Ok(()))
    }

    /// Ends our direction of the transport. Nothing of ours is left to be sent: that the peer may have
    /// ended it before us is no error.
    pub(super) fn poll_end_transport<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
        side: Side,
    ) -> Poll<()> {
        if !self.transport_ended {
            let (_, mut half) = self.write_half(io, side);
            let _ended = ready!(half.poll_shutdown(cx));
            self.transport_ended = true;
        }
        Poll::Ready(())
    }

    /// Polls keep-alive for the side that waits. `Ready` if something has to be done now.
    pub(super) fn poll_keep_alive(
        &mut self,
        cx: &mut Context<'_>,
        side: Side,
    ) -> Poll<io::Result<()>> {
        // A peer that may take its time, and that can't be asked: no ping comes after a Close.
        let may_take_its_time = side == Side::Reader
            && self.config.half_close
            && self.outbound.is_closing()
            && !self.in_close;
        if self.config.keep_alive.is_none() || may_take_its_time {
            return Poll::Pending;
        }
        let both = self.wakers.of_both(side, cx.waker());
        let waker = both.as_ref().unwrap_or(cx.waker());
        let line = self.outbound.line();
        let Some(keep_alive) = self.keep_alive() else {
            return Poll::Pending;
        };
        let due = ready!(keep_alive.poll(&mut Context::from_waker(waker), line));
        match due.map_err(|_| Error::NoRuntime)? {
            Due::Ping => self.outbound.queue_ping(),
            Due::TimedOut => self.inbound.end_with(End::Silent),
        }
        Poll::Ready(Ok(()))
    }

    /// Keep-alive, if it is configured.
    pub(super) fn keep_alive(&mut self) -> Option<&mut KeepAlive> {
        let (interval, timeout) = self.config.keep_alive?;
        let made = || Box::new(KeepAlive::new(interval, timeout));
        Some(self.keep_alive.get_or_insert_with(made))
    }

    /// What a read does for the write direction: it keeps it moving, and never waits for it. Returns
    /// whether the transport is ready for more.
    #[inline]
    pub(super) fn settle_for_reader<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> bool {
        if !self.outbound.is_settled() || self.must_end_transport() {
            return self.settle_without_waiting(io, cx, false);
        }
        true
    }

    /// What a read does that has to wait: the peer may wait for what was accepted, which may be in a
    /// buffer of the transport.
    #[inline]
    pub(super) fn flush_for_reader<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) {
        if self.outbound.unflushed_payload && !self.outbound.is_failed() {
            self.settle_without_waiting(io, cx, true);
        }
    }

    /// What a write does while a read waits, which would have flushed what is accepted now. What a busy
    /// transport doesn't take wakes the reader when it goes on.
    #[inline(never)]
    pub(super) fn flush_behind_reader<S: AsyncWrite>(&mut self, io: Pin<&mut S>) {
        if self.outbound.buffer.is_empty() {
            let reader = self.wakers.reader();
            self.flush_for_reader(io, &mut Context::from_waker(&reader));
        }
    }

    /// What a read does that need not wait: a peer that never stops sending mustn't keep what was
    /// accepted in a buffer of the transport.
    #[inline]
    pub(super) fn flush_now_and_then<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) {
        if self.outbound.unflushed_payload {
            self.unflushed_reads = self.unflushed_reads.wrapping_add(1);
            if self.unflushed_reads % READS_BEFORE_FLUSH == 0 {
                self.flush_for_reader(io, cx);
            }
        }
    }

    #[inline(never)]
    fn settle_without_waiting<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
        payload: bool,
    ) -> bool {
        let settled = self.poll_settle(io, cx, Side::Reader, payload);
        let Poll::Ready(Err(error)) = settled else {
            return settled.is_ready();
        };
        if is_temporary(&error) {
            // Nobody else would be woken to try again.
            if error.kind() == io::ErrorKind::Interrupted {
                cx.waker().wake_by_ref();
            }
            return true;
        }
        // The peer may have ended the transport because it has our Close; if not, that it doesn't
        // send its own tells.
        if !self.outbound.is_close_handed_over() && !self.outbound.give_up_close(&error) {
            self.outbound.fail_with(error);
        }
        true
    }
}
