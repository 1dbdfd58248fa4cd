//! Writing, flushing and ending.

use super::{engine::Engine, inbound::End, wakers::Side};
use crate::{
    CloseFrame, Error,
    protocol::{
        close::{MAX_REASON, is_sendable},
        frame::Scratch,
    },
    trace,
};
use fastwebsockets::CloseCode;
use std::{
    io::{self, IoSlice},
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
    pub(super) fn poll_write<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_write()?;
        let (outbound, mut half) = self.write_half(io, Side::Writer);
        let written = ready!(outbound.poll_write(&mut half, cx, slices));
        Poll::Ready(written.inspect_err(|error| self.write_failed(error)))
    }

    pub(super) fn poll_flush<S: AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_transport()?;
        let (outbound, mut half) = self.write_half(io, Side::Writer);
        let flushed = ready!(outbound.poll_flush(&mut half, cx));
        Poll::Ready(self.settled(flushed))
    }

    pub(super) fn poll_shutdown<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_transport()?;
        self.check_code_point()?;
        // In half-close mode this is also the answer to the peer's Close, and has its code.
        let code = self.inbound.close_frame().map_or(Some(NORMAL), CloseFrame::number);
        let sent = ready!(self.poll_send_close(io.as_mut(), cx, code, ""));
        if sent.is_err() && self.outbound.is_close_handed_over() && self.peer_spoke(io) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.settled(sent))
    }

    /// Sends our Close, after everything that was accepted.
    fn poll_send_close<S: AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        code: Option<u16>,
        reason: &str,
    ) -> Poll<io::Result<()>> {
        // Payload by itself, so that an error is either the loss of it or that of the Close.
        if self.outbound.is_open() && self.outbound.unflushed_payload {
            let (outbound, mut half) = self.write_half(io.as_mut(), Side::Writer);
            ready!(outbound.poll_flush(&mut half, cx))?;
        }
        self.outbound.queue_close(code, reason);
        let settled = ready!(self.poll_settle(io, cx, Side::Writer));
        Poll::Ready(match settled {
            Err(error) if self.outbound.gives_up_close(&error) => Ok(()),
            settled => settled,
        })
    }

    /// Whether the peer's Close has come, or something of the peer's is there to read.
    ///
    /// A peer that has our Close may answer with its own and end both directions of the transport
    /// at once, as HTTP/2 servers do with RST_STREAM(NO_ERROR). That the transport can't be flushed
    /// any more is no error then. The reader learns from the end of the stream how it was.
    fn peer_spoke<S: AsyncRead + AsyncWrite>(&mut self, io: Pin<&mut S>) -> bool {
        match self.inbound.end {
            Some(end) => matches!(end, End::Closed | End::Aborted),
            None => {
                // The transport wakes whoever asked last, so this has to ask for the reader.
                let reader = self.wakers.reader();
                let read = self.poll_fill_buf(io, &mut Context::from_waker(&reader));
                matches!(read, Poll::Ready(Ok(_)))
            }
        }
    }

    /// The whole closing handshake: our Close, the peer's, and the end of the transport.
    pub(super) fn poll_close<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        code: u16,
        reason: &str,
    ) -> Poll<io::Result<()>> {
        if self.inbound.end.is_none() {
            self.check_transport()?;
        }
        self.check_code_point()?;
        let sent = match self.poll_send_close(io.as_mut(), cx, Some(code), reason) {
            Poll::Pending => {
                // Before the peer's Close is read, which would be answered with the peer's code.
                self.outbound.queue_close(Some(code), reason);
                false
            }
            // Whether it arrived is what the peer's Close tells.
            Poll::Ready(Err(_)) if self.outbound.is_close_handed_over() => true,
            Poll::Ready(sent) => {
                self.settled(sent)?;
                true
            }
        };
        let end = ready!(self.poll_drop_payload(io.as_mut(), cx))?;
        if !sent && !self.outbound.is_failed() {
            return Poll::Pending;
        }
        let ended = self.poll_end_transport(io, cx, Side::Writer);
        // A transport whose other end is gone may never take the rest.
        if end != End::Silent {
            ready!(ended);
        }
        // A peer repeats our code in its answer (RFC 6455 section 5.5.1): no failure of its own.
        let answer = self.inbound.close_frame().and_then(CloseFrame::number);
        if end == End::Aborted && answer == Some(code) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.inbound.error(end).map_or(Ok(()), |error| Err(error.into())))
    }

    /// Reads and drops payload until the peer's direction ends.
    fn poll_drop_payload<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<End>> {
        self.inbound.buffer = Default::default();
        let mut scratch = Scratch::<DROP>::new();
        for _ in 0..MAX_DROPS {
            if let Some(end) = self.inbound.end {
                return Poll::Ready(Ok(end));
            }
            let mut dropped = scratch.buf();
            let read = ready!(self.poll_payload(io.as_mut(), cx, &mut dropped, DROP));
            if self.inbound.end.is_none() {
                read?;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// The peer gets no more after a Close from either side.
    #[inline]
    fn check_write(&mut self) -> io::Result<()> {
        if self.outbound.is_closing() || self.is_writing_over() {
            return Err(Error::Closed.into());
        }
        self.outbound.check_transport()
    }

    fn check_transport(&mut self) -> io::Result<()> {
        if self.is_writing_over() {
            return Ok(());
        }
        self.outbound.check_transport()
    }

    /// A text doesn't end in the middle of a code point.
    fn check_code_point(&self) -> io::Result<()> {
        if self.outbound.is_open() && self.outbound.is_in_code_point() {
            return Err(Error::UnfinishedCodePoint.into());
        }
        Ok(())
    }

    /// Any error of the transport is the last: nobody knows what it did with the bytes.
    fn write_failed(&mut self, error: &io::Error) {
        let ours = error.get_ref().and_then(|error| error.downcast_ref());
        if !matches!(ours, Some(Error::NotUtf8)) {
            self.lose_transport(error);
        }
    }

    fn settled(&mut self, settled: io::Result<()>) -> io::Result<()> {
        match settled {
            Ok(()) => Ok(()),
            Err(error) => {
                self.lose_transport(&error);
                if self.is_writing_over() { Ok(()) } else { Err(error) }
            }
        }
    }

    /// The writer has been told.
    fn lose_transport(&mut self, error: &io::Error) {
        trace::write_failed(error);
        self.outbound.fail(None);
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
