//! A byte stream over any transport on which the WebSocket handshake is done.

mod adopt;
mod closing;
mod engine;
mod inbound;
mod keep_alive;
mod look;
mod masking_key;
mod outbound;
mod read;
mod scratch;
mod send;
mod send_buffer;
mod wakers;
mod write;
mod write_half;

#[cfg(feature = "handshake")]
pub(crate) use outbound::LARGEST_WRITE;

use crate::{CloseFrame, Config, PayloadType, Stats};
use engine::Engine;
use fastwebsockets::{CloseCode, Role, WebSocket};
use pin_project_lite::pin_project;
#[cfg(feature = "handshake")]
use std::sync::{Arc, atomic::AtomicBool};
use std::{
    fmt,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

pin_project! {
    /// A WebSocket as a stream of bytes.
    ///
    /// It goes wherever a TCP stream goes: `tokio::io::split` and `copy_bidirectional`, codecs,
    /// TLS, database drivers. The bytes of one direction are the payload of all its messages, one
    /// after the other; where messages begin and end carries no meaning.
    ///
    /// # Reading
    ///
    /// A read gives what has come, as soon as it has come, and no more than one read of the
    /// transport gives. It never waits for the write direction, but it keeps it moving: it answers
    /// pings (RFC 6455 section 5.5.2) and Closes, sends on what an earlier write had to leave
    /// behind, and, when it has to wait, flushes what was accepted. So a stream that is only read is
    /// a well-behaved peer, and a request goes out while its response is awaited, without a flush,
    /// whatever the transport buffers: a TLS library accepts what it can't send yet.
    ///
    /// End of file is the peer's Close, for ever after. Errors, each once everything before it
    /// has been read, and again for every later read:
    ///
    /// | [`ErrorKind`](io::ErrorKind) | when |
    /// |---|---|
    /// | `UnexpectedEof` | the transport ended without a Close: there may have been more |
    /// | `InvalidData` | the peer broke the protocol, sent the wrong payload type or text that isn't UTF-8; it gets a Close 1002, 1003 or 1007 |
    /// | `ConnectionAborted` | a Close other than 1000 or without a code, under [`Config::strict_close`] |
    /// | `TimedOut` | the peer has fallen silent, under [`Config::keep_alive`] |
    /// | any other | the transport's own error, and its kind again later |
    ///
    /// An `Interrupted`, `WouldBlock` or `TimedOut` of the transport says "not now", in both
    /// directions: it is passed on, once, nothing was read or written, and the stream goes on.
    ///
    /// # Writing
    ///
    /// One write is one frame and one message, of exactly its bytes, up to
    /// [`Config::max_frame_size`]; a longer write is a partial one. A vectored write is one frame
    /// as well. An empty write does nothing. Frames go to the transport at once; nothing is held
    /// back for a flush, unless the transport itself buffers. While the transport takes nothing,
    /// up to 64 KiB of frames gather and leave together. A frame that the transport was offered is
    /// accepted, and offered again as it is.
    ///
    /// A text stream sends whole code points: up to 3 bytes of one that a write ends in the middle
    /// of lead the next frame. Bytes that aren't UTF-8 are `InvalidData`, and nothing of that
    /// write is sent.
    ///
    /// After a Close from either side, and after a fatal error, a write is `BrokenPipe`; see
    /// [`Config::half_close`] for writing on after the peer's Close. An error of the transport is
    /// given out as it is, once; `WriteZero` is a transport that takes no bytes.
    ///
    /// A stream that is only written to answers pings and learns of the peer's Close as well: a
    /// write, flush or shutdown that has to wait reads what comes meanwhile. If nobody has read for
    /// 100 ms, or for about 1000 writes, the next write or flush reads what has come, and from then on each does for which
    /// there is something. Payload stops that: it waits for a reader, and the peer feels that nobody
    /// reads. A writer that does nothing for a while answers with its next write or flush: a peer
    /// that sends pings must allow for that, or the stream be read.
    ///
    /// `shutdown` sends what was accepted, then a Close 1000, and flushes; it doesn't wait for the
    /// peer's Close, and reading goes on until that comes. Doing so twice, or after the peer's
    /// Close, is fine. Nor is it an error, as on TCP, if everything else was sent and nobody is left to
    /// take the Close; whether the peer has sent its own is what reading tells.
    /// [`close`](Self::close) is the whole closing handshake.
    ///
    /// What was accepted and is lost, as far as is known, is an error of every `flush`, `shutdown`
    /// and `close` from then on: the transport's own error first, and then one of its kind. It makes
    /// no difference whether a read or a write has met it, nor what the peer has said. If nothing is
    /// lost, a flush or shutdown after the end of reading is `Ok`. After an end without a Close,
    /// what was accepted still goes out, as far as the transport takes it; no Close follows it.
    ///
    /// # Two tasks
    ///
    /// Reading and writing never wait for each other, so `tokio::io::split` gives two halves that
    /// work as those of a TCP stream do. The stream is `Send`, `Sync` and `Unpin` if its transport
    /// is.
    ///
    /// # Cancel safety
    ///
    /// No state is in a future: a read, write, flush, shutdown or close may be dropped at any
    /// point, and nothing is lost, sent twice or corrupted. A dropped write has either consumed
    /// nothing or returned.
    ///
    /// # Memory
    ///
    /// An idle stream owns no heap, unless it has a timer for [`Config::keep_alive`], or is only
    /// written to (40 bytes). There is some
    /// while the transport is busy (what was accepted and not sent: one frame, or 64 KiB), a buffer
    /// of 8 KiB while an `AsyncBufRead` user has bytes to read, of 1 KiB while a writer has found
    /// some, and a control frame of which only a part has come or which has to wait. No length that a
    /// peer claims ever allocates, so there is no limit of message size to configure.
    ///
    /// A thread that writes frames of more than 2 KiB which have to be copied, because they are
    /// masked or the transport takes no vectored writes, keeps 68 KiB for that. In a build
    /// without optimisation a masked write needs 52 KiB of stack, 40 of them for the generator of
    /// masking keys, and each stream that is a stream's transport 12 KiB more.
    ///
    /// # Example
    ///
    /// ```
    /// use fastwebsockets_stream::{PayloadType, WebSocketStream, fastwebsockets::Role};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let (a, b) = tokio::io::duplex(1024);
    /// let mut client = WebSocketStream::after_handshake(a, Role::Client, PayloadType::Binary);
    /// let mut server = WebSocketStream::after_handshake(b, Role::Server, PayloadType::Binary);
    ///
    /// client.write_all(b"hello").await?;
    /// client.shutdown().await?;
    /// let mut received = Vec::new();
    /// server.read_to_end(&mut received).await?;
    /// assert_eq!(received, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    pub struct WebSocketStream<S> {
        #[pin]
        io: S,
        engine: Engine,
    }
}

impl<S> WebSocketStream<S> {
    /// Makes a stream of a fastwebsockets socket.
    ///
    /// ```
    /// use fastwebsockets_stream::{PayloadType, WebSocketStream, fastwebsockets::WebSocket};
    /// use tokio::io::{AsyncRead, AsyncWrite, Lines, AsyncBufReadExt};
    ///
    /// fn lines<S>(ws: WebSocket<S>) -> Lines<WebSocketStream<S>>
    /// where
    ///     S: AsyncRead + AsyncWrite + Unpin,
    /// {
    ///     WebSocketStream::new(ws, PayloadType::Text).lines()
    /// }
    /// ```
    ///
    /// The socket's role is found out; its options (masking, automatic pongs and Closes, limits)
    /// no longer matter. Whole frames that it has read from the transport already are delivered.
    /// If it has read a part of a frame, the stream can't continue: the first read after the whole
    /// frames is an `InvalidData` error. If it has sent a Close already, nothing more is sent.
    ///
    /// Hand a socket over between two calls of its methods. fastwebsockets' futures hold state: one
    /// that was dropped has lost the part of a frame that it had read or written, and the socket no
    /// longer knows.
    pub fn new(ws: WebSocket<S>, payload_type: PayloadType) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Self::with_config(ws, payload_type)
    }

    /// Like [`new`](Self::new), with a [`Config`].
    ///
    /// A socket that has agreed on `no-masking` needs [`Config::no_masking`], too: that isn't found
    /// out.
    pub fn with_config(ws: WebSocket<S>, config: impl Into<Config>) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let adopt::Parts { io, role, closed, frames, rest } = adopt::take_apart(ws);
        let mut engine = Engine::new(role, config.into());
        if closed {
            engine.outbound.already_closed();
        }
        engine.receive_buffered(frames, rest);
        Self { io, engine }
    }

    /// Makes a stream of a transport on which the handshake was done elsewhere: the next byte of
    /// either direction is the first of a frame. A transport that has read beyond the handshake
    /// already has to give out those bytes first.
    pub fn after_handshake(io: S, role: Role, config: impl Into<Config>) -> Self
    where
        S: AsyncRead + AsyncWrite,
    {
        Self { io, engine: Engine::new(role, config.into()) }
    }

    /// Gives the socket back, if nothing would be lost by it: nothing is buffered in either
    /// direction, and both are between two messages. Otherwise the transport is dropped.
    ///
    /// The socket doesn't know whether a Close was sent or received; ask
    /// [`is_closed`](Self::is_closed) before. Nor does the transport of a client's HTTP/2 stream
    /// learn any more that one is sent, after which it would leave the end to the server.
    pub fn into_inner(self) -> Option<WebSocket<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let role = self.engine.role;
        self.engine.is_at_rest().then(|| {
            let mut ws = WebSocket::after_handshake(self.io, role);
            ws.set_auto_apply_mask(!self.engine.config.no_masking);
            ws
        })
    }

    /// Has this flag set once our Close has been handed to the transport.
    #[cfg(feature = "handshake")]
    pub(crate) fn tell_close(&mut self, flag: Arc<AtomicBool>) {
        self.engine.close_sent = Some(flag);
    }

    /// Whether the peer's Close has been read.
    pub fn is_closed(&self) -> bool {
        self.close_frame().is_some()
    }

    /// The peer's Close, once it has been read.
    pub fn close_frame(&self) -> Option<&CloseFrame> {
        self.engine.inbound.close_frame()
    }

    /// Ends the stream with the whole closing handshake (RFC 6455 section 7.1.2): sends what was
    /// accepted and a Close with this code and reason, reads and drops what the peer still sends
    /// until its Close, and ends the transport.
    ///
    /// For whoever wants to be sure that the peer got everything before the transport is dropped:
    /// a TCP socket that is dropped with unread bytes resets the connection, and the peer loses
    /// what it had not read. It waits for the peer as long as it takes; wrap it in a timeout, or
    /// configure [`keep_alive`](Config::keep_alive), under which it always ends. After a `shutdown`
    /// the code is 1000, whatever is given here.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a code that may not be sent (RFC 6455 section 7.4: 1000 to 1003, 1007 to
    /// 1014 and 3000 to 4999 may) or a reason of more than 123 bytes, and `InvalidData` for a text
    /// stream that stopped in the middle of a code point: nothing is sent then. `UnexpectedEof` if
    /// the transport ended before the peer's Close. `ConnectionAborted` if the peer's Close is no
    /// answer to ours: one with a code of its own other than 1000, which was sent before the peer had
    /// ours, so that what was sent since may not have been read. The source is the [`CloseFrame`]. A
    /// peer that repeats our code is no error, under `strict_close` either. Otherwise as for reads
    /// and writes: payload that is lost is an error whatever the peer has said. A second call after
    /// an error is an error again; one of the transport that is met while reading is also the next
    /// read's, as it was.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing; a later call goes on. So it can have a timeout:
    ///
    /// ```
    /// # use fastwebsockets_stream::WebSocketStream;
    /// # use std::{io, time::Duration};
    /// # use tokio::{io::{AsyncRead, AsyncWrite}, time::timeout};
    /// # async fn example<S>(mut stream: WebSocketStream<S>) -> io::Result<()>
    /// # where
    /// #     S: AsyncRead + AsyncWrite + Unpin,
    /// # {
    /// timeout(Duration::from_secs(5), stream.close(1000, "done")).await??;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn close(&mut self, code: impl Into<CloseCode>, reason: &str) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let code = closing::check_close(code.into(), reason)?;
        poll_fn(|cx| self.engine.poll_close(Pin::new(&mut self.io), cx, code, reason)).await
    }

    /// How much has passed through the stream so far.
    pub fn stats(&self) -> Stats {
        self.engine.stats()
    }

    /// The type of the messages, in both directions.
    pub fn payload_type(&self) -> PayloadType {
        self.engine.config.payload_type
    }

    /// Which end of the WebSocket this is.
    pub fn role(&self) -> Role {
        self.engine.role
    }

    /// The transport.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// The transport. Reading from it or writing to it breaks the stream.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.io
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncRead for WebSocketStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        this.engine.poll_read(this.io, cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncBufRead for WebSocketStream<S> {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.project();
        this.engine.poll_fill_buf(this.io, cx)
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        self.project().engine.consume(amount);
    }
}

impl<S: AsyncRead + AsyncWrite> AsyncWrite for WebSocketStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.engine.poll_write(this.io, cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.engine.poll_flush(this.io, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        this.engine.poll_shutdown(this.io, cx)
    }
}

impl<S> fmt::Debug for WebSocketStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role() {
            Role::Client => "Client",
            Role::Server => "Server",
        };
        f.debug_struct("WebSocketStream")
            .field("role", &format_args!("{role}"))
            .field("config", &self.engine.config)
            .field("close_frame", &self.close_frame())
            .field("writable", &self.engine.outbound.is_open())
            .finish_non_exhaustive()
    }
}
