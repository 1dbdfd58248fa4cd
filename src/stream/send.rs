//! Writing: bytes of the caller become one frame.

use super::{
    outbound::{BOXED, MAX_KEPT, Outbound, Pieces},
    write_half::WriteHalf,
};
use crate::{
    Error,
    protocol::{
        frame::{Frame, LINE, Scratch},
        head::MAX_HEAD,
        utf8::Utf8,
    },
};
use fastwebsockets::OpCode;
use std::{
    io::{self, IoSlice},
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// Payload of one frame on a vectored transport, unless configured.
const VECTORED_FRAME: usize = 512 * 1024;

/// To copy a frame up to this size costs less than to hand it over in slices.
const TINY_FRAME: usize = 512;

/// Frames up to this size are put together in a small piece of the stack.
const SMALL_FRAME: usize = 2 * 1024;

/// What is copied of a large frame at a time for a transport that takes vectored writes, as TCP does:
/// a packet on loopback, which holds 65 483 bytes. What is a little more makes two of it.
const PACKETS: Pieces = Pieces { size: 65_280, small_rest: 4 * 1024 };

/// Slices that are handed to the transport at once; a write with more of them is copied.
const MAX_SLICES: usize = 16;

/// What of an offered write goes into the next frame.
struct Cut {
    /// Bytes that the write reports as written.
    taken: usize,
    /// How many of them are in the frame; the others are in `text`.
    framed: usize,
    /// What is held back for the frame after it.
    text: Utf8,
}

impl Outbound {
    /// Accepts bytes as one frame, whole or not at all: `Pending` consumes nothing.
    pub(super) fn poll_write<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let offered = slices.iter().map(|slice| slice.len()).sum::<usize>();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        let busy = !self.buffer.is_empty() && self.poll_drain(half, cx)?.is_pending();
        let lead = self.text;
        let whole = lead.partial().len() + offered;
        let room = self.max_payload(half.io.is_write_vectored(), whole) - lead.partial().len();
        if busy && !self.can_gather(lead.partial().len() + offered.min(room)) {
            return Poll::Pending;
        }

        let cut = self.cut(slices, offered, room)?;
        // Otherwise it was all the start of a code point, and waits for the rest.
        if cut.framed > 0 {
            let frame = Frame::new(self.data, self.new_key(), lead.partial(), slices, cut.framed);
            if busy {
                self.keep(&frame, 0);
            } else {
                ready!(self.poll_send(half, cx, &frame))?;
            }
            self.frames += 1;
        }
        self.text = cut.text;
        self.bytes += cut.taken as u64;
        self.unflushed_payload = true;
        Poll::Ready(Ok(cut.taken))
    }

    /// Bytes of payload that go into one frame, if the whole is this much. Where the transport copies
    /// every write, head and payload have to fit into one.
    #[inline]
    fn max_payload(&self, vectored: bool, whole: usize) -> usize {
        match self.max_frame_size {
            0 if vectored => VECTORED_FRAME,
            0 if whole <= BOXED.most() - MAX_HEAD => whole,
            0 => BOXED.size - if self.masked { 8 } else { 4 },
            bytes => bytes as usize,
        }
    }

    /// Decides what of `slices` is framed: at most `room` bytes, and of a text whole code points.
    #[inline]
    fn cut(&self, slices: &[IoSlice<'_>], offered: usize, room: usize) -> io::Result<Cut> {
        let most = offered.min(room);
        if self.data != OpCode::Text {
            return Ok(Cut { taken: most, framed: most, text: Utf8::default() });
        }
        let mut text = self.text;
        let mut left = most;
        for slice in slices {
            let piece = &slice[..slice.len().min(left)];
            text.push(piece).map_err(|_| Error::NotUtf8)?;
            left -= piece.len();
        }
        let framed = most.saturating_sub(text.partial().len());
        if most < offered {
            // The caller comes again with what the limit cuts off.
            return Ok(Cut { taken: framed, framed, text: Utf8::default() });
        }
        Ok(Cut { taken: most, framed, text })
    }

    /// Gives a frame to an idle transport. `Ready` means that it is accepted: sent, or kept.
    fn poll_send<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        frame: &Frame<'_>,
    ) -> Poll<io::Result<()>> {
        if frame.size() > TINY_FRAME && half.io.is_write_vectored() {
            let mut out = [IoSlice::new(&[]); MAX_SLICES];
            if let Some(slices) = frame.as_slices(&mut out) {
                let written = half.poll_write_vectored(cx, slices, frame.size());
                return self.poll_accept(half, cx, frame, 0, written);
            }
        }
        if frame.size() <= SMALL_FRAME {
            let mut scratch = Scratch::<{ SMALL_FRAME + LINE }>::new();
            let mut copy = scratch.buf_for(frame);
            frame.copy_all(&mut copy);
            let written = half.poll_write(cx, copy.filled());
            return self.poll_accept(half, cx, frame, 0, written);
        }
        self.poll_send_copy(half, cx, frame)
    }

    /// Copies the frame, masking it on the way, and sends the copy, in pieces. The copy is on the
    /// stack, so that no stream has to own memory for it; only here, so that nothing else needs as
    /// much of it.
    #[inline(never)]
    fn poll_send_copy<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        frame: &Frame<'_>,
    ) -> Poll<io::Result<()>> {
        const { assert!(PACKETS.most() >= BOXED.most(), "either fits") };
        let mut scratch = Scratch::<{ PACKETS.most() + LINE }>::new();
        let pieces = if half.io.is_write_vectored() { PACKETS } else { BOXED };
        let mut sent = 0;
        loop {
            let end = sent + pieces.first(frame.size() - sent);
            let mut copy = if sent == 0 { scratch.buf_for(frame) } else { scratch.buf() };
            frame.copy(sent..end, &mut copy);
            match half.poll_write(cx, copy.filled()) {
                Poll::Ready(Ok(n)) if sent + n == end && end < frame.size() => sent = end,
                written => return self.poll_accept(half, cx, frame, sent, written),
            }
        }
    }

    /// After a try to send the frame from `sent` on: keeps what the transport didn't take, unless
    /// it took nothing of a frame that is too large to wait.
    #[inline]
    fn poll_accept<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        frame: &Frame<'_>,
        sent: usize,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        let sent = match written {
            Poll::Ready(written) => sent + written?,
            Poll::Pending if sent == 0 && frame.size() > MAX_KEPT => return Poll::Pending,
            Poll::Pending => {
                self.busy = true;
                sent
            }
        };
        if sent == frame.size() {
            half.wakers.release();
            return Poll::Ready(Ok(()));
        }
        self.keep(frame, sent);
        // Until it is `Pending`, the transport owes nobody a wake-up.
        if !self.busy {
            let _pending = self.poll_drain(half, cx)?;
        }
        Poll::Ready(Ok(()))
    }
}
