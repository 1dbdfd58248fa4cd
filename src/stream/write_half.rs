//! The write direction of the transport.

use super::wakers::{Side, Wakers};
use crate::Error;
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::AsyncWrite;

/// The write direction of the transport, as polled by one side.
pub(super) struct WriteHalf<'a, S> {
    pub(super) io: Pin<&'a mut S>,
    pub(super) wakers: &'a mut Wakers,
    pub(super) side: Side,
}

impl<S: AsyncWrite> WriteHalf<'_, S> {
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let io = &mut self.io;
        let written = self.wakers.poll_write(self.side, cx, |cx| io.as_mut().poll_write(cx, bytes));
        written.map(|written| check_written(written, bytes.len()))
    }

    pub(super) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
        len: usize,
    ) -> Poll<io::Result<usize>> {
        let io = &mut self.io;
        let written =
            self.wakers.poll_write(self.side, cx, |cx| io.as_mut().poll_write_vectored(cx, slices));
        written.map(|written| check_written(written, len))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = &mut self.io;
        self.wakers.poll_write(self.side, cx, |cx| io.as_mut().poll_flush(cx))
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let io = &mut self.io;
        self.wakers.poll_write(self.side, cx, |cx| io.as_mut().poll_shutdown(cx))
    }
}

#[inline]
fn check_written(written: io::Result<usize>, len: usize) -> io::Result<usize> {
    match written {
        Ok(0) => Err(Error::WriteZero.into()),
        Ok(n) => Ok(n.min(len)),
        Err(error) => Err(error),
    }
}
