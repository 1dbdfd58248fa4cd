//! Reading: from the transport straight into the caller's memory.

use super::{
    engine::Engine,
    inbound::{Buffer, End},
    wakers::Side,
};
use crate::protocol::frame::Scratch;
use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Reads of the transport in a row that may give no payload, before other tasks get a turn.
const MAX_FRUITLESS_READS: usize = 16;

/// A caller's buffer up to this size gets a copy of what was read together with the head, so that a
/// message which fits into it exactly takes one read of the transport. A longer one has a longer
/// head, and nothing may be read beyond what the caller gets.
const TINY: usize = 125;

/// The head of a message that fits into it.
const TINY_HEAD: usize = 6;

impl Engine {
    pub(super) fn poll_read<S: AsyncRead + AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        if !self.inbound.buffer.is_empty() {
            let unread = self.inbound.buffer.unread();
            let len = unread.len().min(buf.remaining());
            buf.put_slice(&unread[..len]);
            self.inbound.buffer.consume(len);
            return Poll::Ready(Ok(()));
        }
        self.inbound.buffer.release();
        let want = buf.remaining();
        if want > TINY || self.inbound.decoder.remaining() >= want as u64 {
            return self.poll_payload(io, cx, buf, want);
        }
        let mut scratch = Scratch::<{ TINY + TINY_HEAD }>::new();
        let mut payload = scratch.buf();
        ready!(self.poll_payload(io, cx, &mut payload, want))?;
        buf.put_slice(payload.filled());
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_fill_buf<S: AsyncRead + AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<&[u8]>> {
        if self.inbound.buffer.is_empty() {
            let mut memory = self.inbound.buffer.take_memory();
            let mut buf = ReadBuf::new(&mut memory);
            let want = buf.remaining();
            ready!(self.poll_payload(io, cx, &mut buf, want))?;
            let end = buf.filled().len();
            if end > 0 {
                self.inbound.buffer = Buffer::new(memory, end);
            }
        }
        Poll::Ready(Ok(self.inbound.buffer.unread()))
    }

    /// Reads at least one byte of payload, unless the stream has ended, and at most `want`: `buf`
    /// may have more room than that, for the head of a frame.
    pub(super) fn poll_payload<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        want: usize,
    ) -> Poll<io::Result<()>> {
        for _ in 0..MAX_FRUITLESS_READS {
            self.come_to_end();
            self.settle_for_reader(io.as_mut(), cx);
            if let Some(end) = self.inbound.end {
                return Poll::Ready(self.inbound.error(end).map_or(Ok(()), |e| Err(e.into())));
            }
            match self.poll_transport(io.as_mut(), cx, buf, want) {
                Poll::Pending => {
                    self.wakers.wait(Side::Reader, cx.waker());
                    ready!(self.poll_keep_alive(cx));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(0)) => {}
                Poll::Ready(Ok(_)) => {
                    self.settle_for_reader(io.as_mut(), cx);
                    return Poll::Ready(Ok(()));
                }
            }
        }
        self.wakers.wait(Side::Reader, cx.waker());
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One read of the transport into `buf`, decoded there. Returns the bytes of payload.
    fn poll_transport<S: AsyncRead>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        want: usize,
    ) -> Poll<io::Result<usize>> {
        let start = buf.filled().len();
        let limit = self.inbound.read_limit(buf.remaining(), want);
        let read = if limit < buf.remaining() {
            Pin::new(&mut io.take(limit as u64)).poll_read(cx, buf)
        } else {
            io.as_mut().poll_read(cx, buf)
        };
        if let Err(error) = ready!(read) {
            self.transport_failed(error.kind());
            return Poll::Ready(Err(error));
        }
        let chunk = buf.filled_mut().get_mut(start..).unwrap_or_default();
        if chunk.is_empty() {
            self.inbound.coming = Some(End::Truncated);
            return Poll::Ready(Ok(0));
        }
        let payload = self.receive(chunk);
        buf.set_filled(start + payload);
        Poll::Ready(Ok(payload))
    }

    /// An error of the transport ends the stream, unless it says "not now".
    fn transport_failed(&mut self, kind: io::ErrorKind) {
        use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
        if !matches!(kind, Interrupted | TimedOut | WouldBlock) {
            self.inbound.coming = Some(End::Failed(kind));
            self.come_to_end();
        }
    }
}
