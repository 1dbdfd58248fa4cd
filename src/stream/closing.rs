//! Ending a stream.

use super::{
    engine::Engine, inbound::End, keep_alive::KeepAlive, outbound::is_temporary, read::Read,
    wakers::Side,
};
use crate::{
    CloseFrame, Error,
    protocol::{
        close::{MAX_REASON, is_sendable},
        frame::Scratch,
    },
};
use fastwebsockets::CloseCode;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite};

/// Code of a Close without another cause (RFC 6455 section 7.4.1).
const NORMAL: u16 = 1000;

/// Bytes that a close drops at a time.
const DROP: usize = 4096;

/// Reads that a close drops in a row before other tasks get a turn.
const MAX_DROPS: usize = 32;

impl Engine {
    pub(super) fn poll_shutdown<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.outbound.is_failed() {
                return Poll::Ready(self.after_failure(self.inbound.end().is_some()));
            }
            self.check_text()?;
            // In half-close mode this is also the answer to the peer's Close, and has its code.
            let code = self.inbound.close_frame().map_or(Some(NORMAL), CloseFrame::number);
            self.queue_close(code, "");
            let settled = match self.poll_settle(io.as_mut(), cx, Side::Writer, true) {
                Poll::Pending => {
                    ready!(self.poll_look(io.as_mut(), cx));
                    // The stream has ended meanwhile.
                    continue;
                }
                Poll::Ready(settled) => settled,
            };
            if let Err(error) = settled {
                if is_temporary(&error) {
                    return Poll::Ready(Err(error));
                }
                let had_ended = self.inbound.end().is_some();
                if !(self.outbound.is_close_handed_over() && self.peer_spoke(io.as_mut())) {
                    return Poll::Ready(self.settle_failed(error, had_ended));
                }
            }
            // No Close goes out then, and none comes: that leaves the transport's own end.
            if matches!(self.inbound.end(), Some(End::Truncated | End::Failed(..))) {
                ready!(self.poll_end_transport(io, cx, Side::Writer));
            }
            return Poll::Ready(self.check_code_point());
        }
    }

    /// Queues our Close, if there is somebody to send it to.
    fn queue_close(&mut self, code: Option<u16>, reason: &str) {
        if self.outbound.is_open() {
            if self.inbound.end().is_none() {
                self.own_close = code;
            }
            self.outbound.queue_close(code, reason);
        }
    }

    /// Whether the peer's Close has come, or something of the peer's is there to read.
    ///
    /// A peer that has our Close may answer with its own and end both directions of the transport
    /// at once, as HTTP/2 servers do with RST_STREAM(NO_ERROR). That the transport can't be flushed
    /// any more is no error then. The reader learns from the end of the stream how it was.
    fn peer_spoke<S: AsyncRead + AsyncWrite>(&mut self, io: Pin<&mut S>) -> bool {
        // The transport wakes the task that polled last, so this polls with the reader's waker.
        let reader = self.wakers.reader();
        self.glance(io, &mut Context::from_waker(&reader), true);
        !self.inbound.buffer.is_empty() || self.inbound.close_frame().is_some()
    }

    /// The whole closing handshake: our Close, the peer's, and the end of the transport.
    pub(super) fn poll_close<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        code: u16,
        reason: &str,
    ) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.in_close, true) {
            if let Some(keep_alive) = &mut self.keep_alive {
                keep_alive.closes();
            }
        }
        self.check_failure()?;
        self.check_text()?;
        // Before the peer's Close is read, which would be answered with the peer's code.
        self.queue_close(Some(code), reason);
        if self.inbound.end().is_none() {
            if let Poll::Ready(sent) = self.poll_send(io.as_mut(), cx) {
                sent?;
            }
            let dropped = self.poll_drop_payload(io.as_mut(), cx);
            self.check_failure()?;
            if dropped.is_pending() {
                ready!(self.poll_close_time());
            }
            if let Poll::Ready(dropped) = dropped {
                dropped?;
            }
        }
        let sent = self.poll_send(io.as_mut(), cx);
        if sent.is_pending() {
            ready!(self.poll_give_up(cx))?;
            self.outbound.fail(Error::Silent, None);
        }
        if let Poll::Ready(sent) = sent {
            sent?;
        }
        self.check_failure()?;
        // A transport that was lost may never end.
        if !self.outbound.is_failed() && self.poll_end_transport(io, cx, Side::Writer).is_pending()
        {
            ready!(self.poll_give_up(cx))?;
        }
        self.check_code_point()?;
        Poll::Ready(self.close_result())
    }

    /// Sends what was accepted, and our Close. That the Close doesn't arrive is no error here: whether
    /// it has is what the peer's Close tells.
    fn poll_send<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        if self.outbound.is_failed() {
            return Poll::Ready(Ok(()));
        }
        match ready!(self.poll_settle(io, cx, Side::Writer, true)) {
            Err(error) if is_temporary(&error) => Poll::Ready(Err(error)),
            Err(_) if self.outbound.is_close_handed_over() => Poll::Ready(Ok(())),
            Err(error) => {
                let had_ended = self.inbound.end().is_some();
                Poll::Ready(self.settle_failed(error, had_ended))
            }
            Ok(()) => Poll::Ready(Ok(())),
        }
    }

    /// Reads and drops payload until the peer's direction ends.
    fn poll_drop_payload<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.inbound.buffer = Default::default();
        let mut scratch = Scratch::<DROP>::new();
        for _ in 0..MAX_DROPS {
            let mut dropped = scratch.buf();
            let read = self.poll_payload_or_end(io.as_mut(), cx, &mut dropped, DROP);
            if matches!(ready!(read)?, Read::End) {
                return Poll::Ready(Ok(()));
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// A peer that neither closes nor falls silent can't keep a close waiting under keep-alive.
    fn poll_close_time(&mut self) -> Poll<()> {
        if !self.keep_alive().is_some_and(KeepAlive::has_closed_long_enough) {
            return Poll::Pending;
        }
        self.inbound.end_with(End::Silent);
        self.come_to_end();
        Poll::Ready(())
    }

    /// Waits until the transport has had its time to take the last of ours, under keep-alive.
    fn poll_give_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With half-close a peer that has closed reads on, and may pause.
        let reads_on = self.config.half_close && matches!(self.inbound.end(), Some(End::Closed(_)));
        let line = self.outbound.line();
        let Some(keep_alive) = self.keep_alive() else {
            return Poll::Pending;
        };
        let given_up = ready!(keep_alive.poll_leaving(cx, line, reads_on));
        Poll::Ready(given_up.map_err(|_| Error::NoRuntime.into()))
    }

    /// What a whole closing handshake comes to.
    fn close_result(&self) -> io::Result<()> {
        match self.inbound.end() {
            // A peer repeats our code in its answer (RFC 6455 section 5.5.1), or says that all is well.
            // Anything else is no answer: it was sent before our Close came, and what we have sent since
            // the peer saw its reason may not have been read.
            Some(End::Closed(close) | End::Aborted(close)) => {
                let is_answer = self.own_close.is_some() && self.own_close == close.number();
                if close.is_normal() || is_answer {
                    return Ok(());
                }
                Err(Error::Aborted(CloseFrame::clone(close)).into())
            }
            Some(end) => end.error().map_or(Ok(()), |error| Err(error.into())),
            None => Ok(()),
        }
    }

    /// A transport that is lost can't end in order: an error if payload is lost with it, or if nobody
    /// knows yet how the peer's direction ends.
    fn check_failure(&mut self) -> io::Result<()> {
        let has_ended = self.inbound.end().is_some();
        match self.outbound.failure() {
            Some(failure) if failure.lost || !has_ended => Err(failure.error()),
            _ => Ok(()),
        }
    }

    /// A text doesn't end in the middle of a code point: nothing is sent, and the rest can still be
    /// written.
    fn check_text(&self) -> io::Result<()> {
        if self.outbound.is_open() { self.check_code_point() } else { Ok(()) }
    }

    /// The start of a code point was accepted, and can't be sent any more.
    pub(super) fn check_code_point(&self) -> io::Result<()> {
        if self.outbound.is_in_code_point() {
            return Err(Error::UnfinishedCodePoint.into());
        }
        Ok(())
    }
}

/// Checks what a close is to say.
pub(super) fn check_close(code: CloseCode, reason: &str) -> io::Result<u16> {
    let code = u16::from(code);
    if !is_sendable(code) {
        return Err(Error::InvalidCloseCode(code).into());
    }
    if reason.len() > MAX_REASON {
        return Err(Error::CloseReasonTooLong(reason.len()).into());
    }
    Ok(code)
}
