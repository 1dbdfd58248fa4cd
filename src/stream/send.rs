//! Writing: bytes of the caller become one frame.

use super::{
    outbound::{BOXED, LARGEST_WRITE, Outbound, Pieces, WriteError, is_temporary},
    scratch,
    write_half::WriteHalf,
};
use crate::protocol::{
    frame::{Frame, LINE, Scratch},
    head::MAX_HEAD,
    utf8::Utf8,
};
use fastwebsockets::OpCode;
use std::{
    io::{self, IoSlice},
    task::{Context, Poll},
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

/// The most that is copied at a time.
pub(super) const LARGEST_COPY: usize = PACKETS.most();

const _: () = assert!(LARGEST_COPY >= LARGEST_WRITE);

/// Slices that are handed to the transport at once; a write with more of them is copied.
const MAX_SLICES: usize = 16;

/// Whether the transport has taken so much.
#[inline]
fn is_all(written: &Poll<io::Result<usize>>, size: usize) -> bool {
    matches!(written, Poll::Ready(Ok(n)) if *n == size)
}

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
    /// Accepts bytes as one frame, whole or not at all: `Pending` consumes nothing. A frame that was
    /// offered to the transport is accepted, whatever the transport has taken of it.
    pub(super) fn poll_write<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, WriteError>> {
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
                self.send(half, cx, &frame)?;
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
    fn cut(&self, slices: &[IoSlice<'_>], offered: usize, room: usize) -> Result<Cut, WriteError> {
        let most = offered.min(room);
        if self.data != OpCode::Text {
            return Ok(Cut { taken: most, framed: most, text: Utf8::default() });
        }
        let mut text = self.text;
        let mut left = most;
        for slice in slices {
            let piece = &slice[..slice.len().min(left)];
            text.push(piece).map_err(|_| WriteError::NotUtf8)?;
            left -= piece.len();
        }
        let framed = most.saturating_sub(text.partial().len());
        if most < offered {
            // The caller comes again with what the limit cuts off.
            return Ok(Cut { taken: framed, framed, text: Utf8::default() });
        }
        Ok(Cut { taken: most, framed, text })
    }

    /// Gives a frame to an idle transport. What the transport doesn't take is kept.
    fn send<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        frame: &Frame<'_>,
    ) -> io::Result<()> {
        if frame.size() > TINY_FRAME && !self.masked && half.io.is_write_vectored() {
            // The usual write of one slice isn't to pay for places for many.
            let (mut few, mut many) = ([IoSlice::new(&[]); 2], None);
            let slices = frame.as_slices(&mut few).or_else(|| {
                let many = many.insert([IoSlice::new(&[]); MAX_SLICES]);
                frame.as_slices(many)
            });
            if let Some(slices) = slices {
                let written = half.poll_write_vectored(cx, slices, frame.size());
                if is_all(&written, frame.size()) {
                    return Ok(());
                }
                return self.accept(half, cx, frame, 0, written);
            }
        }
        if frame.size() <= SMALL_FRAME {
            let mut scratch = Scratch::<{ SMALL_FRAME + LINE }>::new();
            let mut copy = scratch.buf_for(frame);
            frame.copy_all(&mut copy);
            let written = half.poll_write(cx, copy.filled());
            if is_all(&written, frame.size()) {
                return Ok(());
            }
            return self.accept(half, cx, frame, 0, written);
        }
        self.send_copy(half, cx, frame)
    }

    /// Copies the frame, masking it on the way, and sends the copy, in pieces.
    #[inline(never)]
    fn send_copy<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        frame: &Frame<'_>,
    ) -> io::Result<()> {
        let pieces = if half.io.is_write_vectored() { PACKETS } else { BOXED };
        scratch::with(|memory| {
            let mut sent = 0;
            loop {
                let end = sent + pieces.first(frame.size() - sent);
                memory.clear();
                if sent == 0 {
                    memory.resize(frame.padding(memory.as_ptr()), 0);
                }
                let start = memory.len();
                frame.copy(sent..end, memory);
                match half.poll_write(cx, &memory[start..]) {
                    Poll::Ready(Ok(n)) if sent + n == end && end < frame.size() => sent = end,
                    written => return self.accept(half, cx, frame, sent, written),
                }
            }
        })
    }

    /// After the transport was offered the frame from `sent` on, or a piece of it: keeps what it didn't
    /// take, and all that comes behind.
    #[inline(never)]
    fn accept<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        frame: &Frame<'_>,
        sent: usize,
        written: Poll<io::Result<usize>>,
    ) -> io::Result<()> {
        match written {
            Poll::Ready(Ok(n)) => {
                let sent = sent + n;
                if sent < frame.size() {
                    self.keep(frame, sent);
                    // Until it is `Pending`, the transport owes nobody a wake-up.
                    if let Poll::Ready(Err(error)) = self.poll_drain(half, cx) {
                        return go_on_later(error, half, cx);
                    }
                }
                Ok(())
            }
            Poll::Pending => {
                self.mark_busy();
                self.keep(frame, sent);
                Ok(())
            }
            Poll::Ready(Err(error)) => {
                // A frame that was begun has to be ended, once the transport is itself again.
                if sent > 0 && is_temporary(&error) {
                    self.keep(frame, sent);
                    return go_on_later(error, half, cx);
                }
                Err(error)
            }
        }
    }
}

/// A frame that was begun is accepted though the transport says "not now" in the middle of it. The
/// transport owes nobody a wake-up then.
#[cold]
fn go_on_later<S>(
    error: io::Error,
    half: &mut WriteHalf<'_, S>,
    cx: &mut Context<'_>,
) -> io::Result<()> {
    if !is_temporary(&error) {
        return Err(error);
    }
    half.wakers.wake_reader();
    cx.waker().wake_by_ref();
    Ok(())
}
