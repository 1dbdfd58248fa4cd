//! Writing and flushing.

use super::{
    engine::Engine,
    outbound::{Failure, WriteError, is_temporary},
    wakers::Side,
};
use crate::Error;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite};

impl Engine {
    pub(super) fn poll_write<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.look_if_due(io.as_mut());
        self.check_write()?;
        let (outbound, mut half) = self.write_half(io.as_mut(), Side::Writer);
        match outbound.poll_write(&mut half, cx, slices) {
            Poll::Ready(Ok(written)) => {
                if self.wakers.is_reading() {
                    self.flush_behind_reader(io);
                }
                Poll::Ready(Ok(written))
            }
            not_written => self.poll_not_written(io, cx, not_written),
        }
    }

    #[inline(never)]
    fn poll_not_written<S: AsyncRead + AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
        written: Poll<Result<usize, WriteError>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(written)) => Poll::Ready(Ok(written)),
            Poll::Ready(Err(WriteError::NotUtf8)) => Poll::Ready(Err(Error::NotUtf8.into())),
            Poll::Ready(Err(WriteError::Transport(error))) => {
                Poll::Ready(Err(self.write_failed(error)))
            }
            Poll::Pending => {
                ready!(self.poll_look(io, cx));
                // In half-close mode the end of the one direction is not that of the other.
                self.check_write()?;
                Poll::Pending
            }
        }
    }

    pub(super) fn poll_flush<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        self.look_if_due(io.as_mut());
        loop {
            if self.outbound.is_failed() {
                return Poll::Ready(self.after_failure(self.inbound.end().is_some()));
            }
            match self.poll_settle(io.as_mut(), cx, Side::Writer, true) {
                Poll::Ready(Ok(())) => {
                    self.lookout.count_flush();
                    if !self.outbound.is_open() {
                        // Half a code point can't be sent any more.
                        return Poll::Ready(self.check_code_point());
                    }
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => {
                    let had_ended = self.inbound.end().is_some();
                    return Poll::Ready(self.settle_failed(error, had_ended));
                }
                // Once more if the stream has ended: there may be a Close to be sent.
                Poll::Pending => ready!(self.poll_look(io.as_mut(), cx)),
            }
        }
    }

    /// The peer gets no more after a Close from either side.
    #[inline]
    fn check_write(&mut self) -> io::Result<()> {
        if self.outbound.is_open() { Ok(()) } else { Err(self.write_error()) }
    }

    #[cold]
    fn write_error(&mut self) -> io::Error {
        if !self.is_writing_over() {
            if let Some(error) = self.outbound.failure().and_then(Failure::take_error) {
                return error;
            }
        }
        Error::Closed.into()
    }

    /// What a flush or shutdown says once the transport is lost, if it is. Lost payload is an error
    /// whatever else has happened. If nothing is lost, and the reader knows how the stream has ended,
    /// there is nothing to say.
    #[cold]
    pub(super) fn after_failure(&mut self, has_ended: bool) -> io::Result<()> {
        match self.outbound.failure() {
            None => Ok(()),
            Some(failure) if failure.lost => Err(failure.error()),
            Some(_) if has_ended => Ok(()),
            Some(failure) => Err(failure.take_error().unwrap_or_else(|| Error::Closed.into())),
        }
    }

    /// An error of the transport is the last, unless it says "not now": nobody knows what it did with
    /// the bytes.
    pub(super) fn write_failed(&mut self, error: io::Error) -> io::Error {
        if is_temporary(&error) {
            return error;
        }
        self.outbound.fail_with(error);
        self.write_error()
    }

    /// What an error means for who wanted everything to be sent, if the reader `had_ended` before.
    pub(super) fn settle_failed(&mut self, error: io::Error, had_ended: bool) -> io::Result<()> {
        if is_temporary(&error) {
            return Err(error);
        }
        if self.outbound.give_up_close(&error) {
            return Ok(());
        }
        self.outbound.fail_with(error);
        self.after_failure(had_ended)
    }
}
