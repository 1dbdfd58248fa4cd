//! Whole messages over the byte stream.

use super::tap::Tap;
use fastwebsockets_stream::{
    Config, PayloadType, Transport, WebSocketStream, fastwebsockets::Role,
};
use std::{future::poll_fn, io, pin::Pin, task::Poll, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWriteExt, ReadBuf},
    time::timeout,
};

/// Larger than every message of the suite: each goes back as one frame.
const MAX_FRAME_SIZE: usize = 32 << 20;

/// Bytes that a read may give.
const READ: usize = 64 * 1024;

/// How long the peer may take to end the transport.
const LINGER: Duration = Duration::from_secs(10);

/// A WebSocket whose messages can be told apart.
pub(crate) struct Messages {
    stream: WebSocketStream<Tap>,
    /// What was read, and belongs to no message that was given out.
    payload: Vec<u8>,
    /// Bytes of the messages that were given out.
    given: u64,
}

impl Messages {
    /// Puts a [`Tap`] under a stream on which nothing was read or written yet.
    pub(crate) async fn new(stream: WebSocketStream<Transport>) -> io::Result<Self> {
        let role = stream.role();
        let socket = stream.into_inner().ok_or("the stream is in use").map_err(io::Error::other)?;
        let (tap, payload_type) = Tap::peek(socket.into_inner()).await?;
        let config = Config::new().payload_type(payload_type).max_frame_size(MAX_FRAME_SIZE);
        let stream = WebSocketStream::after_handshake(tap, role, config);
        Ok(Self { stream, payload: Vec::new(), given: 0 })
    }

    /// The next message; `None` after the peer's Close.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut memory = vec![0; READ];
        poll_fn(|cx| {
            loop {
                // Its bytes have come through the stream.
                if let Some(len @ 1..) = self.first_message() {
                    return Poll::Ready(Ok(Some(self.take(len))));
                }
                let mut buf = ReadBuf::new(&mut memory);
                let read = Pin::new(&mut self.stream).poll_read(cx, &mut buf)?;
                if read.is_ready() && buf.filled().is_empty() {
                    return Poll::Ready(Ok(None));
                }
                self.payload.extend_from_slice(buf.filled());
                // A message without bytes, or one whose end came after its last byte: an empty frame.
                // It counts once a read after it was no error.
                if let Some(len) = self.first_message() {
                    return Poll::Ready(Ok(Some(self.take(len))));
                }
                if read.is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// The size of the message that comes next, if all of it was read.
    fn first_message(&self) -> Option<usize> {
        let end = self.stream.get_ref().messages.ends.front()?;
        usize::try_from(end - self.given).ok().filter(|len| *len <= self.payload.len())
    }

    fn take(&mut self, len: usize) -> Vec<u8> {
        self.stream.get_mut().messages.ends.pop_front();
        self.given += len as u64;
        let rest = self.payload.split_off(len);
        std::mem::replace(&mut self.payload, rest)
    }

    async fn send(&mut self, message: &[u8]) -> io::Result<()> {
        if message.is_empty() {
            return self.send_empty().await;
        }
        if self.stream.write(message).await? < message.len() {
            return Err(io::Error::other("a message didn't fit into one frame"));
        }
        self.stream.flush().await
    }

    /// An empty write does nothing, so the frame is made by hand, between those of the stream.
    async fn send_empty(&mut self) -> io::Result<()> {
        self.stream.flush().await?;
        let first = match self.stream.payload_type() {
            PayloadType::Text => 0x81,
            PayloadType::Binary => 0x82,
        };
        let frame: &[u8] = match self.stream.role() {
            Role::Server => &[first, 0],
            // With a masking key, which masks nothing.
            Role::Client => &[first, 0x80, 1, 2, 3, 4],
        };
        self.stream.get_mut().write_all(frame).await?;
        self.stream.get_mut().flush().await
    }

    /// Sends every message back, until the peer's Close. Returns how many there were.
    pub(crate) async fn echo(&mut self) -> io::Result<usize> {
        let mut echoed = 0;
        while let Some(message) = self.next().await? {
            // The stream gives payload as it comes. That the end of a text is the middle of a code
            // point is the error of the next read.
            let is_text = self.stream.payload_type() == PayloadType::Text;
            if is_text && std::str::from_utf8(&message).is_err() {
                continue;
            }
            self.send(&message).await?;
            echoed += 1;
        }
        Ok(echoed)
    }

    /// Brings out the Close that the stream owes, for whatever reason, and waits for the peer to
    /// end the transport: dropping it with unread bytes would reset the connection.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        self.stream.shutdown().await?;
        let mut nowhere = tokio::io::sink();
        match timeout(LINGER, tokio::io::copy(self.stream.get_mut(), &mut nowhere)).await? {
            // `wstest` as a server aborts the connection once it has both Closes.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            ended => ended.map(|_| ()),
        }
    }
}
