//! The write direction: frames on their way to the transport.

use super::{random::random, write_half::WriteHalf};
use crate::{
    Error,
    protocol::{
        MAX_CONTROL_PAYLOAD, decoder::ControlPayload, frame::Frame, head::MAX_HEAD, mask::Key,
        utf8::Utf8,
    },
    trace,
};
use fastwebsockets::OpCode;
use std::{
    io::{self, IoSlice},
    task::{Context, Poll, ready},
};
use tokio::io::AsyncWrite;

/// What one write hands to a transport which isn't vectored: hyper boxes it whole, and cuts it into
/// DATA frames of 16 KiB or more. A small rest would cost as much by itself as all that.
pub(super) const BOXED: Pieces = Pieces { size: 64 * 1024, small_rest: 1024 };

/// The most of it.
pub(crate) const LARGEST_WRITE: usize = BOXED.most();

/// The largest frame that is kept for a transport which has taken nothing of it.
pub(super) const MAX_KEPT: usize = LARGEST_WRITE;

/// How much may gather while the transport is busy.
pub(super) const MAX_GATHERED: usize = 64 * 1024;

/// How much may gather of it for the answer to a ping to wait behind it, rather than by itself. A
/// transport can be busy for a moment after each frame, as a stream of HTTP/2 is.
const MAX_BEFORE_PONG: usize = 4 * 1024;

/// How a long write is cut.
#[derive(Clone, Copy)]
pub(super) struct Pieces {
    pub(super) size: usize,
    /// As much more goes out with the last piece, rather than by itself.
    pub(super) small_rest: usize,
}

impl Pieces {
    /// Bytes of the first piece.
    #[inline]
    pub(super) fn first(self, bytes: usize) -> usize {
        if bytes <= self.most() { bytes } else { self.size }
    }

    /// The most that goes out in one.
    pub(super) const fn most(self) -> usize {
        self.size + self.small_rest
    }
}

/// What was accepted for writing and what is to be sent besides.
pub(super) struct Outbound {
    /// Whole frames that the transport has not taken yet, from `sent` on. Owns no memory at rest.
    pub(super) buffer: Vec<u8>,
    pub(super) sent: usize,
    /// The answer to the latest ping, if there was no room for it behind what waits for the transport.
    pong: Option<Box<ControlPayload>>,
    /// Whether a ping is due that there was no room for yet.
    ping: bool,
    state: State,
    /// Why the transport is lost, if the writer was not told yet.
    error: Option<io::Error>,
    /// Whether the transport took nothing when it was asked last.
    pub(super) busy: bool,
    /// Whether a control frame may still be in a buffer of the transport.
    unflushed: bool,
    /// Whether payload waits here or may still be in a buffer of the transport.
    pub(super) unflushed_payload: bool,
    /// Whether our frames are masked.
    pub(super) masked: bool,
    /// The opcode of our messages.
    pub(super) data: OpCode,
    /// Bytes of payload; 0 stands for the default.
    pub(super) max_frame_size: u32,
    /// Bytes of payload that were accepted, and the frames that were made of them.
    pub(super) bytes: u64,
    pub(super) frames: u64,
    /// Control frames that were sent or queued.
    pub(super) control_frames: u64,
    /// The code point that the last write ended in the middle of; leads the next frame.
    pub(super) text: Utf8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// Our Close is in the buffer or sent: no frame comes after it.
    Closing,
    /// The transport is lost.
    Failed,
}

impl Outbound {
    pub(super) fn new(masked: bool, data: OpCode, max_frame_size: u32) -> Self {
        Self {
            buffer: Vec::new(),
            sent: 0,
            pong: None,
            ping: false,
            state: State::Open,
            error: None,
            busy: false,
            unflushed: false,
            unflushed_payload: false,
            masked,
            data,
            max_frame_size,
            bytes: 0,
            frames: 0,
            control_frames: 0,
            text: Utf8::default(),
        }
    }

    /// Whether no Close was sent or queued, and the transport works.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether the transport is lost.
    pub(super) fn is_failed(&self) -> bool {
        self.state == State::Failed
    }

    /// Whether our Close was sent or queued, and the transport works.
    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        self.state == State::Closing
    }

    /// Whether the transport has taken everything, our Close included.
    #[inline]
    pub(super) fn is_close_handed_over(&self) -> bool {
        self.is_closing() && self.buffer.is_empty()
    }

    /// Whether this error means that nobody is left to take our Close, and no payload is lost by it:
    /// then our Close counts as handed over. To end a direction that nobody reads is no error on TCP
    /// either. A peer that has sent its own Close may have left without waiting for ours; if it hasn't,
    /// the reader learns that.
    pub(super) fn gives_up_close(&mut self, error: &io::Error) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
        let has_left =
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected);
        let given_up = has_left
            && self.is_closing()
            && !self.is_close_handed_over()
            && !self.unflushed_payload;
        if given_up {
            trace::write_failed(error);
            self.buffer = Vec::new();
            self.sent = 0;
            self.unflushed = false;
        }
        given_up
    }

    /// Whether there is nothing to give to the transport.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.buffer.is_empty() && self.pong.is_none() && !self.unflushed
    }

    /// Whether the writer stopped in the middle of a code point.
    pub(super) fn is_in_code_point(&self) -> bool {
        !self.text.is_complete()
    }

    /// The transport is lost. The writer is told `error` next, and `BrokenPipe` after that.
    pub(super) fn fail(&mut self, error: Option<io::Error>) {
        if self.state != State::Failed {
            self.state = State::Failed;
            self.error = error;
            self.buffer = Vec::new();
            self.sent = 0;
            self.pong = None;
            self.ping = false;
            self.unflushed = false;
        }
    }

    /// The error of a lost transport, if it is lost.
    #[inline]
    pub(super) fn check_transport(&mut self) -> io::Result<()> {
        match self.state {
            State::Failed => Err(self.error.take().unwrap_or_else(|| Error::Closed.into())),
            State::Open | State::Closing => Ok(()),
        }
    }

    /// Our Close was sent before we came: nothing can be written any more.
    pub(super) fn already_closed(&mut self) {
        self.state = State::Closing;
        // It may still be in a buffer of the transport.
        self.unflushed = true;
    }

    /// Answers a ping (RFC 6455 section 5.5.2): after what waits for the transport. If that is much,
    /// only the latest one is answered (section 5.5.3), once there is room.
    pub(super) fn queue_pong(&mut self, payload: ControlPayload) {
        if !self.is_open() {
            return;
        }
        let room = if self.busy { MAX_BEFORE_PONG } else { MAX_GATHERED };
        if self.pong.is_none() && self.has_room(payload.as_slice().len(), room) {
            self.append_control(OpCode::Pong, payload.as_slice());
        } else {
            self.pong = Some(Box::new(payload));
        }
    }

    /// Asks the peer for a sign of life: after what waits for the transport, as far as there is room
    /// behind it.
    pub(super) fn queue_ping(&mut self) {
        self.ping = self.is_open();
        if self.can_gather(0) {
            self.append_pending_ping();
        }
    }

    fn append_pending_ping(&mut self) {
        if std::mem::take(&mut self.ping) {
            self.append_control(OpCode::Ping, &[]);
        }
    }

    /// Sends a Close after everything that was accepted, unless one was sent already.
    pub(super) fn queue_close(&mut self, code: Option<u16>, reason: &str) {
        if !self.is_open() {
            return;
        }
        self.append_pending_pong();
        // A peer that has our Close answers that.
        self.ping = false;
        self.state = State::Closing;
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend(code.to_be_bytes());
            payload.extend(reason.bytes());
        }
        self.append_control(OpCode::Close, &payload);
        trace::closing(code, reason);
    }

    fn append_pending_pong(&mut self) {
        if let Some(payload) = self.pong.take() {
            self.append_control(OpCode::Pong, payload.as_slice());
        }
    }

    fn append_control(&mut self, opcode: OpCode, payload: &[u8]) {
        let slices = [IoSlice::new(payload)];
        let frame = Frame::new(opcode, self.new_key(), &[], &slices, payload.len());
        self.keep(&frame, 0);
        self.control_frames += 1;
        self.unflushed = true;
    }

    /// Keeps the bytes of the frame from `from` on for later.
    pub(super) fn keep(&mut self, frame: &Frame<'_>, from: usize) {
        let left = frame.size() - from;
        if self.sent > 0 && self.buffer.len() + left > self.buffer.capacity() {
            self.buffer.drain(..self.sent);
            self.sent = 0;
        }
        self.buffer.reserve(left);
        frame.copy(from..frame.size(), &mut self.buffer);
    }

    /// A key that can't be predicted (RFC 6455 section 10.3), if we mask.
    #[inline]
    pub(super) fn new_key(&self) -> Option<Key> {
        self.masked.then(|| Key::new(random()))
    }

    /// Whether a frame with this payload may join what waits for the transport.
    #[inline]
    pub(super) fn can_gather(&self, payload: usize) -> bool {
        self.has_room(payload, MAX_GATHERED)
    }

    /// Whether with this payload at most `most` bytes wait for the transport.
    #[inline]
    fn has_room(&self, payload: usize, most: usize) -> bool {
        self.buffer.len() - self.sent + MAX_HEAD + payload <= most
    }

    /// Gives the buffer to the transport. What is sent is whole frames; a waiting pong goes
    /// between them as soon as the transport takes anything.
    pub(super) fn poll_drain<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.sent < self.buffer.len() {
            let unsent = &self.buffer[self.sent..];
            let piece = if half.io.is_write_vectored() {
                unsent
            } else {
                &unsent[..BOXED.first(unsent.len())]
            };
            match half.poll_write(cx, piece) {
                Poll::Pending => {
                    self.busy = true;
                    return Poll::Pending;
                }
                Poll::Ready(written) => self.sent += written?,
            }
            self.busy = false;
            if self.can_gather(MAX_CONTROL_PAYLOAD) {
                self.append_pending_pong();
                self.append_pending_ping();
            }
        }
        if self.sent > 0 {
            self.buffer = Vec::new();
            self.sent = 0;
            half.wakers.release();
        }
        Poll::Ready(Ok(()))
    }

    /// Gives everything that is due to the transport, and sees control frames through its buffers.
    pub(super) fn poll_settle<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(half, cx))?;
        if self.unflushed {
            ready!(self.poll_flush_transport(half, cx))?;
        }
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_flush<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(half, cx))?;
        self.poll_flush_transport(half, cx)
    }

    fn poll_flush_transport<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(half.poll_flush(cx))?;
        self.unflushed = false;
        self.unflushed_payload = false;
        half.wakers.release();
        Poll::Ready(Ok(()))
    }
}
