//! Both directions of a stream, and what one means for the other.

use super::{
    adopt::Rest,
    inbound::{Buffer, End, Inbound},
    keep_alive::{Due, KeepAlive},
    outbound::Outbound,
    wakers::{Side, Wakers},
    write_half::WriteHalf,
};
use crate::{
    CloseFrame, Config, Stats,
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
    keep_alive: Option<Pin<Box<KeepAlive>>>,
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
            keep_alive.as_mut().heard();
        }
        let Self { inbound, outbound, config, .. } = self;
        inbound.decode(chunk, |inbound, event| match event {
            Event::Ping(payload) => outbound.queue_pong(payload),
            Event::Violation(violation) => inbound.coming = Some(End::Violation(violation)),
            Event::Close(payload) => {
                let (code, reason) = close::parse(payload.as_slice()).unwrap_or_default();
                inbound.close(CloseFrame::new(code, reason), config.strict_close);
            }
        })
    }

    /// The reader has read everything before the end: now the end counts.
    ///
    /// Not before, so that it makes no difference in how many pieces the peer's bytes arrive: what
    /// the application writes in answer to bytes before a Close goes out before our own.
    #[inline]
    pub(super) fn come_to_end(&mut self) {
        if let Some(end) = self.inbound.coming {
            self.inbound.coming = None;
            self.end(end);
        }
    }

    #[cold]
    fn end(&mut self, end: End) {
        self.inbound.end = Some(end);
        // Whoever waits to write may have nothing to wait for any more.
        self.wakers.wake_writer();
        match self.inbound.error(end) {
            None => trace::close_received(self.inbound.close_frame(), &self.stats()),
            Some(error) => trace::read_failed(&error, &self.stats()),
        }
        match end {
            // In half-close mode the answer waits for our own shutdown.
            End::Closed if self.config.half_close => {}
            End::Closed | End::Aborted => {
                let code = self.inbound.close_frame().and_then(CloseFrame::number);
                self.outbound.queue_close(code, "");
            }
            End::Violation(violation) => {
                self.outbound.queue_close(Some(violation.close_code()), "");
            }
            End::HandedOverInFrame => self.outbound.queue_close(Some(INTERNAL_ERROR), ""),
            End::Truncated | End::Silent | End::Failed(_) => self.outbound.fail(None),
        }
    }

    /// Takes what a fastwebsockets socket had read already.
    pub(super) fn receive_buffered(&mut self, mut frames: Vec<u8>, rest: Rest) {
        let end = self.receive(&mut frames);
        if end > 0 {
            self.inbound.buffer = Buffer::new(frames.into_boxed_slice(), end);
        }
        let coming = match rest {
            Rest::Violation(violation) => Some(End::Violation(violation)),
            Rest::PartOfFrame => Some(End::HandedOverInFrame),
            Rest::Nothing => None,
        };
        self.inbound.coming = self.inbound.coming.or(coming);
    }

    /// Whether nothing is buffered and both directions are between two messages.
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(self.inbound.end, None | Some(End::Closed))
            && self.inbound.coming.is_none()
            && self.inbound.buffer.is_empty()
            && self.inbound.decoder.is_between_messages()
            && self.outbound.is_settled()
            && !self.outbound.is_in_code_point()
    }

    /// Whether nothing that we send matters any more: the peer has closed, and the directions don't
    /// end independently. An error of the transport is none for the writer then.
    #[inline]
    pub(super) fn is_writing_over(&self) -> bool {
        let closed = matches!(self.inbound.end, Some(End::Closed | End::Aborted));
        closed && !self.config.half_close
    }

    /// Whether both directions are through and it is on us to end the transport: on the server
    /// (RFC 6455 section 7.1.1), and on whoever fails the connection (section 7.1.7).
    #[inline]
    fn must_end_transport(&self) -> bool {
        let Some(end) = self.inbound.end else {
            return false;
        };
        let first = match end {
            End::Closed | End::Aborted => self.role == Role::Server,
            End::Violation(_) | End::HandedOverInFrame => true,
            End::Truncated | End::Silent | End::Failed(_) => false,
        };
        first && self.outbound.is_closing() && !self.transport_ended
    }

    /// Gives everything that is due to the transport: accepted bytes, pong, Close, its end.
    pub(super) fn poll_settle<S: AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        side: Side,
    ) -> Poll<io::Result<()>> {
        let (outbound, mut half) = self.write_half(io.as_mut(), side);
        let settled = outbound.poll_settle(&mut half, cx);
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

    /// Ends our direction of the transport. Both Closes are through: that the peer may have ended
    /// it before us is no error.
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

    /// What a waiting read does about a silent peer: `Ready` if something has to be done now.
    pub(super) fn poll_keep_alive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some((interval, timeout)) = self.config.keep_alive else {
            return Poll::Pending;
        };
        // A peer that may take its time, and that can't be asked: no ping comes after a Close.
        if self.config.half_close && self.outbound.is_closing() {
            return Poll::Pending;
        }
        let keep_alive =
            self.keep_alive.get_or_insert_with(|| Box::pin(KeepAlive::new(interval, timeout)));
        match ready!(keep_alive.as_mut().poll(cx)) {
            Due::Ping => self.outbound.queue_ping(),
            Due::TimedOut => self.inbound.coming = Some(End::Silent),
        }
        Poll::Ready(())
    }

    /// What a read does for the write direction: it keeps it moving, and never waits for it.
    #[inline]
    pub(super) fn settle_for_reader<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) {
        if !self.outbound.is_settled() || self.must_end_transport() {
            self.settle_without_waiting(io, cx);
        }
    }

    #[inline(never)]
    fn settle_without_waiting<S: AsyncWrite>(&mut self, io: Pin<&mut S>, cx: &mut Context<'_>) {
        match self.poll_settle(io, cx, Side::Reader) {
            // The peer may have ended the transport because it has our Close; if not, that it
            // doesn't send its own tells.
            Poll::Ready(Err(_)) if self.outbound.is_close_handed_over() => {}
            Poll::Ready(Err(error)) if self.outbound.gives_up_close(&error) => {}
            Poll::Ready(Err(error)) => {
                trace::write_failed(&error);
                self.outbound.fail(Some(error));
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
}
