//! Taking a fastwebsockets socket apart.
//!
//! Its fields are private, but its halves can be watched at work: the frame that its write half
//! writes tells the role, and the frames that its read half gives before it asks for bytes are
//! those that it had read from the transport already.

use super::masking_key::random;
use crate::Violation;
use fastwebsockets::{
    Frame, OpCode, Payload, Role, WebSocket, WebSocketError, WebSocketRead, WebSocketWrite,
};
use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    future::{Future, ready},
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket's parts.
pub(super) struct Parts<S> {
    pub(super) io: S,
    pub(super) role: Role,
    /// Whether it has sent a Close.
    pub(super) closed: bool,
    /// Whole frames that it had read from the transport, as they came.
    pub(super) frames: Vec<u8>,
    /// What came after them.
    pub(super) rest: Rest,
}

pub(super) enum Rest {
    /// Nothing: the next byte of the transport starts a frame.
    Nothing,
    /// Something that isn't a frame.
    Violation(Violation),
    /// The start of a frame.
    PartOfFrame,
}

pub(super) fn take_apart<S: AsyncRead + AsyncWrite + Unpin>(ws: WebSocket<S>) -> Parts<S> {
    let payload = [(); 4].map(|()| random());
    let sentinel = Sentinel { payload, asked: Cell::new(false) };
    let written = RefCell::new(Vec::new());
    let transport = Cell::new(None);
    let (read, write) = ws.split(|io| {
        transport.set(Some(io));
        (SentinelReader { sentinel: &sentinel, given: 0 }, Sink(&written))
    });
    let io = transport.take().expect("split calls its argument once");
    let closed = write.is_closed();
    let role = role_of(write, &written);
    let (frames, rest) = buffered_frames(read, role, &sentinel);
    Parts { io, role, closed, frames, rest }
}

/// A client masks what it sends (RFC 6455 section 5.1), here with a key that is given to it. A
/// Close is the one frame that is written in every state.
fn role_of(mut write: WebSocketWrite<Sink<'_>>, written: &RefCell<Vec<u8>>) -> Role {
    write.set_auto_apply_mask(true);
    let payload = Payload::Owned(vec![0]);
    let frame = Frame::new(true, OpCode::Close, Some([0xff; 4]), payload);
    let _written = poll_once(write.write_frame(frame));
    match written.borrow().last() {
        Some(0) | None => Role::Server,
        Some(_) => Role::Client,
    }
}

/// The largest frame that a socket is believed to have read ahead. fastwebsockets reserves memory
/// for what a head claims; one that claims more is only the start of a frame.
const MAX_BUFFERED_FRAME: usize = 16 << 20;

/// The frames that the socket gives without asking for more bytes, and what comes then.
fn buffered_frames(
    mut read: WebSocketRead<SentinelReader<'_>>,
    role: Role,
    sentinel: &Sentinel,
) -> (Vec<u8>, Rest) {
    read.set_auto_close(false);
    read.set_auto_pong(false);
    read.set_auto_apply_mask(true);
    read.set_max_message_size(MAX_BUFFERED_FRAME);
    let mut send_nothing = |_| ready(Ok::<(), Infallible>(()));
    let mut frames = Vec::new();
    let rest = loop {
        let frame = poll_once(read.read_frame(&mut send_nothing));
        match (frame, sentinel.asked.get()) {
            (Some(Ok(frame)), false) => append(frame, role, &mut frames),
            (Some(Ok(frame)), true) if sentinel.is(&frame) => break Rest::Nothing,
            (Some(Err(error)), false) => break violation(&error),
            _ => break Rest::PartOfFrame,
        }
    };
    (frames, rest)
}

/// Puts a frame back into the bytes that it came as.
fn append(mut frame: Frame<'_>, role: Role, frames: &mut Vec<u8>) {
    if role == Role::Server {
        // Its read half has unmasked the payload; the same again masks it.
        frame.unmask();
    }
    let mut head = [0; 16];
    let size = frame.fmt_head(&mut head);
    frames.extend_from_slice(&head[..size]);
    frames.extend_from_slice(&frame.payload);
}

fn violation(error: &WebSocketError) -> Rest {
    Rest::Violation(match error {
        WebSocketError::ReservedBitsNotZero => Violation::ReservedBits,
        WebSocketError::InvalidValue => Violation::ReservedOpcode,
        WebSocketError::ControlFrameFragmented => Violation::FragmentedControl,
        WebSocketError::PingFrameTooLarge => Violation::ControlTooLong,
        WebSocketError::InvalidUTF8 => Violation::InvalidUtf8,
        _ => return Rest::PartOfFrame,
    })
}

/// Runs a future that never has to wait.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Stands for the end of what the socket has read: a pong that no peer can guess.
struct Sentinel {
    payload: [[u8; 4]; 4],
    /// Whether the socket has asked for bytes.
    asked: Cell<bool>,
}

impl Sentinel {
    fn bytes(&self) -> [u8; 18] {
        let mut bytes = [0; 18];
        bytes[..2].copy_from_slice(&[0x8a, 16]);
        bytes[2..].copy_from_slice(self.payload.as_flattened());
        bytes
    }

    fn is(&self, frame: &Frame<'_>) -> bool {
        frame.opcode == OpCode::Pong && frame.payload == self.payload.as_flattened()
    }
}

/// Reads the sentinel, then the end of the file.
struct SentinelReader<'a> {
    sentinel: &'a Sentinel,
    given: usize,
}

impl AsyncRead for SentinelReader<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.sentinel.asked.set(true);
        let bytes = self.sentinel.bytes();
        let rest = &bytes[self.given..];
        let len = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..len]);
        self.given += len;
        Poll::Ready(Ok(()))
    }
}

/// Keeps what is written.
struct Sink<'a>(&'a RefCell<Vec<u8>>);

impl AsyncWrite for Sink<'_> {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().extend_from_slice(buf);
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
