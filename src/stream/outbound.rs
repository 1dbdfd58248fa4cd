//! The write direction: frames on their way to the transport.

use super::{
    keep_alive::Line,
    masking_key::random,
    send_buffer::{MAX_GATHERED, SendBuffer},
    write_half::WriteHalf,
};
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

const _: () = assert!(MAX_GATHERED <= LARGEST_WRITE, "what gathers behind a write doesn't cut it");

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
    /// Whole frames that the transport has not taken yet. Owns no memory at rest.
    pub(super) buffer: SendBuffer,
    /// The answer to the latest ping, if there was no room for it behind what waits for the transport.
    pong: Option<Box<ControlPayload>>,
    /// Whether a ping is due that there was no room for yet.
    ping: bool,
    state: State,
    /// Whether the transport took nothing when it was asked last.
    pub(super) busy: bool,
    /// Whether a flush of the transport waits.
    flush_waits: bool,
    /// Whether the transport has taken something after it had been busy: the line moves.
    moved: bool,
    /// Whether a control frame waits here or may still be in a buffer of the transport.
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

enum State {
    /// Payload is accepted.
    Open,
    /// The peer's direction has ended without a Close: no payload is accepted any more, and no Close
    /// comes behind what was.
    CutOff,
    /// This Close is to be sent when all payload is through, so that an error is either the loss of
    /// payload or that of the Close.
    CloseQueued(Box<ControlPayload>),
    /// Our Close is in the buffer or sent: no frame comes after it.
    Closed,
    /// Nobody is left to take our Close, and nothing else is missing.
    GivenUp,
    /// The transport is lost.
    Failed(Box<Failure>),
}

/// How the transport was lost.
pub(super) struct Failure {
    /// The error, until somebody has been given it.
    error: Option<io::Error>,
    /// What is said of it later.
    cause: Error,
    /// Whether payload was accepted that can't be sent any more, as far as is known.
    pub(super) lost: bool,
}

impl Failure {
    /// The error itself the first time, and what is known of it later.
    pub(super) fn error(&mut self) -> io::Error {
        self.take_error().unwrap_or_else(|| self.cause.clone().into())
    }

    /// The error itself, the first time.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }
}

/// Why a write was not accepted.
pub(super) enum WriteError {
    /// The bytes aren't a text.
    NotUtf8,
    Transport(io::Error),
}

impl From<io::Error> for WriteError {
    fn from(error: io::Error) -> Self {
        Self::Transport(error)
    }
}

/// Whether an error of the transport means "not now": nothing was taken, and it may be asked again.
pub(super) fn is_temporary(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}

impl Outbound {
    pub(super) fn new(masked: bool, data: OpCode, max_frame_size: u32) -> Self {
        Self {
            buffer: SendBuffer::default(),
            pong: None,
            ping: false,
            state: State::Open,
            busy: false,
            flush_waits: false,
            moved: false,
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

    /// Whether payload is accepted: no Close was sent or queued, and the transport works.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether our Close was sent or queued, and the transport works.
    #[inline]
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.state, State::CloseQueued(_) | State::Closed | State::GivenUp)
    }

    /// How the transport was lost, if it was.
    #[inline]
    pub(super) fn failure(&mut self) -> Option<&mut Failure> {
        match &mut self.state {
            State::Failed(failure) => Some(failure),
            _ => None,
        }
    }

    /// Whether the transport is lost.
    pub(super) fn is_failed(&self) -> bool {
        matches!(self.state, State::Failed(_))
    }

    /// Whether the transport is lost, or was when it was given our Close.
    pub(super) fn is_broken(&self) -> bool {
        matches!(self.state, State::Failed(_) | State::GivenUp)
    }

    /// Whether the transport has taken everything, our Close included.
    #[inline]
    pub(super) fn is_close_handed_over(&self) -> bool {
        matches!(self.state, State::Closed | State::GivenUp) && self.buffer.is_empty()
    }

    /// Gives up our Close, if this error means that nobody is left to take it: then it counts as
    /// handed over. All payload is through by then. To end a direction that nobody reads is no error
    /// on TCP either. A peer that has sent its own Close may have left without waiting for ours; if
    /// it hasn't, the reader learns that.
    pub(super) fn give_up_close(&mut self, error: &io::Error) -> bool {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
        let has_left =
            matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected);
        let given_up = has_left
            && self.is_closing()
            && !self.is_close_handed_over()
            && !self.unflushed_payload;
        if given_up {
            trace::write_failed(error);
            self.state = State::GivenUp;
            self.buffer.clear();
            self.unflushed = false;
        }
        given_up
    }

    /// Whether there is nothing to give to the transport.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.buffer.is_empty() && self.pong.is_none() && !self.unflushed
    }

    /// What keep-alive has to know.
    pub(super) fn line(&mut self) -> Line {
        Line {
            is_free: !self.ping && self.is_settled() && !self.flush_waits,
            moved: std::mem::take(&mut self.moved),
        }
    }

    /// Whether the writer stopped in the middle of a code point.
    pub(super) fn is_in_code_point(&self) -> bool {
        !self.text.is_complete()
    }

    /// The peer's direction has ended without a Close.
    pub(super) fn cut_off(&mut self) {
        if self.is_open() {
            self.state = State::CutOff;
        }
    }

    /// The transport is lost by this error, which is for whoever asks next.
    pub(super) fn fail_with(&mut self, error: io::Error) {
        if !self.is_failed() {
            trace::write_failed(&error);
            self.fail(Error::Transport(error.kind()), Some(error));
        }
    }

    /// The transport is lost.
    pub(super) fn fail(&mut self, cause: Error, error: Option<io::Error>) {
        if !self.is_failed() {
            let lost = self.unflushed_payload || self.is_in_code_point();
            self.state = State::Failed(Box::new(Failure { error, cause, lost }));
            self.buffer.clear();
            self.pong = None;
            self.ping = false;
            self.unflushed = false;
        }
    }

    /// Our Close was sent before we came: nothing can be written any more.
    pub(super) fn already_closed(&mut self) {
        self.state = State::Closed;
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

    /// Queues a Close behind everything that was accepted, unless there was one already. This is the
    /// only place where one is made.
    pub(super) fn queue_close(&mut self, code: Option<u16>, reason: &str) {
        if !self.is_open() {
            return;
        }
        let mut payload = Vec::new();
        if let Some(code) = code {
            payload.extend(code.to_be_bytes());
            payload.extend(reason.bytes());
        }
        self.state = State::CloseQueued(Box::new(ControlPayload::new(&payload)));
        self.control_frames += 1;
        self.unflushed = true;
        trace::closing(code, reason);
    }

    /// The Close that was queued comes next. Returns whether there is one.
    fn append_queued_close(&mut self) -> bool {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::CloseQueued(close) => {
                self.append_frame(OpCode::Close, close.as_slice());
                true
            }
            state => {
                self.state = state;
                false
            }
        }
    }

    fn append_pending_pong(&mut self) {
        if let Some(payload) = self.pong.take() {
            self.append_control(OpCode::Pong, payload.as_slice());
        }
    }

    fn append_control(&mut self, opcode: OpCode, payload: &[u8]) {
        self.append_frame(opcode, payload);
        self.control_frames += 1;
        self.unflushed = true;
    }

    fn append_frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let slices = [IoSlice::new(payload)];
        let frame = Frame::new(opcode, self.new_key(), &[], &slices, payload.len());
        self.keep(&frame, 0);
    }

    /// Keeps the bytes of the frame from `from` on for later.
    pub(super) fn keep(&mut self, frame: &Frame<'_>, from: usize) {
        frame.copy(from..frame.size(), self.buffer.reserve(frame.size() - from));
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
        self.buffer.len() + MAX_HEAD + payload <= most
    }

    /// Remembers that the transport has taken nothing.
    pub(super) fn mark_busy(&mut self) {
        self.busy = true;
    }

    /// Remembers that the transport has taken something.
    fn mark_ready(&mut self) {
        if self.busy {
            self.busy = false;
            self.moved = true;
        }
    }

    /// Gives the buffer to the transport. What is sent is whole frames; a waiting pong goes
    /// between them as soon as the transport takes anything.
    ///
    /// After `Pending` the next write begins with the same bytes, and is no shorter: a TLS library may
    /// have encrypted them already. Frames are only appended, and no more gather than one write holds.
    pub(super) fn poll_drain<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let unsent = self.buffer.unsent();
            let piece = if half.io.is_write_vectored() {
                unsent
            } else {
                &unsent[..BOXED.first(unsent.len())]
            };
            match half.poll_write(cx, piece) {
                Poll::Pending => {
                    self.mark_busy();
                    return Poll::Pending;
                }
                Poll::Ready(written) => self.buffer.taken(written?),
            }
            self.mark_ready();
            if self.can_gather(MAX_CONTROL_PAYLOAD) {
                self.append_pending_pong();
                self.append_pending_ping();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Gives everything that is due to the transport, our Close last, and sees control frames through
    /// its buffers; payload too, if `payload` says so or a Close has to come behind it.
    pub(super) fn poll_settle<S: AsyncWrite>(
        &mut self,
        half: &mut WriteHalf<'_, S>,
        cx: &mut Context<'_>,
        payload: bool,
    ) -> Poll<io::Result<()>> {
        if matches!(self.state, State::GivenUp) {
            return Poll::Ready(Ok(()));
        }
        loop {
            ready!(self.poll_drain(half, cx))?;
            if !self.unflushed_payload && self.append_queued_close() {
                continue;
            }
            if !self.unflushed && !payload {
                return Poll::Ready(Ok(()));
            }
            let flushed = half.poll_flush(cx);
            self.moved |= self.flush_waits && flushed.is_ready();
            self.flush_waits = flushed.is_pending();
            ready!(flushed)?;
            self.unflushed_payload = false;
            if !self.append_queued_close() {
                self.unflushed = false;
                return Poll::Ready(Ok(()));
            }
        }
    }
}
