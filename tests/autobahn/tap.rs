//! A transport that learns, from the bytes that are read through it, where messages end.
//!
//! A byte stream doesn't tell, and Autobahn wants whole messages back. This small parser is the
//! agent's own: it doesn't check anything, and shares nothing with what is tested.

use fastwebsockets_stream::{PayloadType, Transport};
use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// The most that is read ahead to see the first opcode.
const PEEK: usize = 64 * 1024;

const TEXT: u8 = 0x1;

/// The lowest opcode of control frames (RFC 6455 section 5.5).
const CONTROL: u8 = 0x8;

pub(crate) struct Tap {
    io: Transport,
    /// What was read ahead and not given out yet.
    peeked: Vec<u8>,
    pub(crate) messages: Messages,
}

impl Tap {
    /// Waits for the peer's first bytes, and says of which type its messages are: no case mixes
    /// types, and all that start with something else than text are at home in a binary stream.
    pub(crate) async fn peek(mut io: Transport) -> io::Result<(Self, PayloadType)> {
        let mut peeked = vec![0; PEEK];
        let len = io.read(&mut peeked).await?;
        peeked.truncate(len);
        let payload_type = match peeked.first() {
            Some(first) if first & 0x0f == TEXT => PayloadType::Text,
            _ => PayloadType::Binary,
        };
        Ok((Self { io, peeked, messages: Messages::default() }, payload_type))
    }
}

/// Where the messages that were read end, as far as their heads have come.
#[derive(Default)]
pub(crate) struct Messages {
    /// The bytes of a head that isn't complete.
    head: Vec<u8>,
    /// Bytes of the current frame that are still to come.
    rest: u64,
    /// Bytes of the payload of all data frames so far.
    payload: u64,
    /// What `payload` was at the end of each message, oldest first.
    pub(crate) ends: VecDeque<u64>,
}

impl Messages {
    fn learn(&mut self, mut bytes: &[u8]) {
        while let [first, others @ ..] = bytes {
            if self.rest > 0 {
                let len = usize::try_from(self.rest).map_or(bytes.len(), |n| n.min(bytes.len()));
                self.rest -= len as u64;
                bytes = &bytes[len..];
                continue;
            }
            self.head.push(*first);
            bytes = others;
            if self.head.len() == head_size(&self.head) {
                self.start_frame();
                self.head.clear();
            }
        }
    }

    fn start_frame(&mut self) {
        let number = |bytes: &[u8]| bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        self.rest = match self.head[1] & 0x7f {
            126 => number(&self.head[2..4]),
            127 => number(&self.head[2..10]),
            len => u64::from(len),
        };
        let (fin, opcode) = (self.head[0] & 0x80 != 0, self.head[0] & 0x0f);
        if opcode < CONTROL {
            self.payload = self.payload.saturating_add(self.rest);
            if fin {
                self.ends.push_back(self.payload);
            }
        }
    }
}

/// How long a head is that starts so (RFC 6455 section 5.2).
fn head_size(head: &[u8]) -> usize {
    let Some(second) = head.get(1) else {
        return 2;
    };
    let length = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let key = if second & 0x80 != 0 { 4 } else { 0 };
    2 + length + key
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let start = buf.filled().len();
        let this = &mut *self;
        let read = if this.peeked.is_empty() {
            Pin::new(&mut this.io).poll_read(cx, buf)
        } else {
            let len = this.peeked.len().min(buf.remaining());
            buf.put_slice(&this.peeked[..len]);
            this.peeked.drain(..len);
            Poll::Ready(Ok(()))
        };
        this.messages.learn(&buf.filled()[start..]);
        read
    }
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
