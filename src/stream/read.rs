//! Reading: from the transport straight into the caller's memory.

use super::{
    engine::Engine,
    inbound::{Buffer, End},
    outbound::is_temporary,
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
pub(super) const MAX_FRUITLESS_READS: usize = 16;

/// A caller's buffer up to this size gets a copy of what was read together with the head, so that a
/// message which fits into it exactly takes one read of the transport. A longer one has a longer
/// head, and nothing may be read beyond what the caller gets.
const TINY: usize = 125;

/// The head of a message that fits into it.
const TINY_HEAD: usize = 6;

/// What a read has come to.
pub(super) enum Read {
    Payload,
    End,
}

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
        self.in_close = false;
        if !self.inbound.buffer.is_empty() {
            let unread = self.inbound.buffer.unread();
            let len = unread.len().min(buf.remaining());
            buf.put_slice(&unread[..len]);
            self.inbound.buffer.consume(len);
            self.let_writer_look();
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
        self.in_close = false;
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

    pub(super) fn consume(&mut self, amount: usize) {
        self.inbound.buffer.consume(amount);
        self.let_writer_look();
    }

    /// A writer that waits looks again, when what has stopped it is read.
    #[inline]
    fn let_writer_look(&mut self) {
        if self.lookout.is_stopped
            && self.inbound.buffer.is_empty()
            && self.inbound.decoder.remaining() == 0
        {
            self.lookout.is_stopped = false;
            self.wakers.wake_writer();
        }
    }

    /// Reads at least one byte of payload, unless the stream has ended, and at most `want`: `buf`
    /// may have more room than that, for the head of a frame.
    #[inline]
    fn poll_payload<S: AsyncRead + AsyncWrite>(
        &mut self,
        io: Pin<&mut S>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        want: usize,
    ) -> Poll<io::Result<()>> {
        match ready!(self.poll_payload_or_end(io, cx, buf, want))? {
            Read::Payload => Poll::Ready(Ok(())),
            Read::End => Poll::Ready(self.inbound.read_end()),
        }
    }

    /// The same, but leaves it to the caller to ask what the end was.
    pub(super) fn poll_payload_or_end<S: AsyncRead + AsyncWrite>(
        &mut self,
        mut io: Pin<&mut S>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        want: usize,
    ) -> Poll<io::Result<Read>> {
        self.lookout.is_read(self.outbound.frames);
        self.wakers.reads();
        if let Some(error) = self.inbound.not_now.take() {
            return Poll::Ready(Err(*error));
        }
        for _ in 0..MAX_FRUITLESS_READS {
            self.come_to_end();
            let is_ready = self.settle_for_reader(io.as_mut(), cx);
            if self.inbound.end().is_some() {
                return Poll::Ready(Ok(Read::End));
            }
            let both = self.wakers.of_both(Side::Reader, cx.waker());
            let waker = both.as_ref().unwrap_or(cx.waker());
            match self.poll_transport(io.as_mut(), &mut Context::from_waker(waker), buf, want) {
                Poll::Pending => {
                    self.wakers.wait_to_read(cx.waker());
                    if is_ready {
                        self.flush_for_reader(io.as_mut(), cx);
                    }
                    ready!(self.poll_keep_alive(cx, Side::Reader))?;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(0)) => {}
                Poll::Ready(Ok(_)) => {
                    self.settle_for_reader(io.as_mut(), cx);
                    self.flush_now_and_then(io, cx);
                    self.let_writer_look();
                    return Poll::Ready(Ok(Read::Payload));
                }
            }
        }
        self.wakers.wait_to_read(cx.waker());
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// One read of the transport into `buf`, decoded there. Returns the bytes of payload. An error that
    /// is not the last is returned; any other is the end, once the reader has come to it.
    pub(super) fn poll_transport<S: AsyncRead>(
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
        match ready!(read) {
            Err(error) if is_temporary(&error) => return Poll::Ready(Err(error)),
            Err(error) => {
                self.inbound.end_with(End::Failed(error.kind(), Some(error)));
                return Poll::Ready(Ok(0));
            }
            Ok(()) => {}
        }
        let chunk = buf.filled_mut().get_mut(start..).unwrap_or_default();
        if chunk.is_empty() {
            self.inbound.end_with(End::Truncated);
            return Poll::Ready(Ok(0));
        }
        let payload = self.receive(chunk);
        buf.set_filled(start + payload);
        Poll::Ready(Ok(payload))
    }
}
