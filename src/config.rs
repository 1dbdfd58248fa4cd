//! What the user chooses about a stream.

use fastwebsockets::OpCode;
use std::time::Duration;

/// Whether the stream's bytes travel in Binary or in Text messages (RFC 6455 section 5.6).
///
/// Frames of the other type are a protocol error: the read fails with
/// [`InvalidData`](std::io::ErrorKind::InvalidData) and the peer gets a Close 1003.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PayloadType {
    /// Binary messages: any bytes.
    #[default]
    Binary,
    /// Text messages: the bytes are UTF-8, and checked in both directions.
    Text,
}

impl From<PayloadType> for OpCode {
    fn from(payload_type: PayloadType) -> Self {
        match payload_type {
            PayloadType::Binary => OpCode::Binary,
            PayloadType::Text => OpCode::Text,
        }
    }
}

impl From<PayloadType> for Config {
    fn from(payload_type: PayloadType) -> Self {
        Config::new().payload_type(payload_type)
    }
}

/// How a [`WebSocketStream`](crate::WebSocketStream) behaves.
///
/// ```
/// use fastwebsockets_stream::{Config, PayloadType};
///
/// let config = Config::new()
///     .payload_type(PayloadType::Text)
///     .half_close(true);
/// assert_eq!(Config::from(PayloadType::Binary), Config::default());
/// # assert_ne!(config, Config::default());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Config {
    pub(crate) payload_type: PayloadType,
    /// Bytes; 0 stands for the default, which depends on the transport.
    pub(crate) max_frame_size: u32,
    pub(crate) half_close: bool,
    pub(crate) strict_close: bool,
    pub(crate) no_masking: bool,
    /// Interval and timeout.
    pub(crate) keep_alive: Option<(Duration, Duration)>,
}

impl Config {
    /// The defaults: Binary, frames sized for the transport, no half-close, every valid Close is
    /// the end of the file.
    pub fn new() -> Self {
        Self::default()
    }

    /// The type of the messages, in both directions. Default: [`PayloadType::Binary`].
    pub fn payload_type(mut self, payload_type: PayloadType) -> Self {
        self.payload_type = payload_type;
        self
    }

    /// The most bytes of payload that one write puts into one frame. A longer write is a partial
    /// write, as on a socket whose buffer is full.
    ///
    /// The default depends on the transport: 512 KiB where it takes vectored writes (TCP, TLS),
    /// because there a frame costs a system call and no copy; and what fits into 64 KiB together
    /// with the frame's head where it doesn't (hyper's HTTP/2 streams), because there every write
    /// is copied whole and becomes a DATA frame of its own. A write of 64 KiB, or up to 1 000 bytes
    /// more, is one frame there all the same: the rest would cost as much as the whole.
    ///
    /// This is also the most that a stream holds back when its transport takes the first part of
    /// a frame only, or none of it. Values below 4 count as 4: a code point must fit into a frame.
    pub fn max_frame_size(mut self, bytes: usize) -> Self {
        self.max_frame_size = u32::try_from(bytes.max(4)).unwrap_or(u32::MAX);
        self
    }

    /// Whether the two directions end independently, as on TCP. Default: off.
    ///
    /// Off: a peer's Close is answered as soon as it is read, after what was already accepted for
    /// writing; later writes are [`BrokenPipe`](std::io::ErrorKind::BrokenPipe).
    ///
    /// On: the peer's Close ends the reading direction only. The application can go on writing,
    /// and the answer goes out with its own `shutdown`. RFC 6455 section 5.5.1 lets an endpoint
    /// delay its Close so; the peer has to read on after its own Close, as this crate does in both
    /// modes. It lets a TCP half-close survive a tunnel.
    pub fn half_close(mut self, on: bool) -> Self {
        self.half_close = on;
        self
    }

    /// Makes sure that the peer is there, and that nothing on the way thinks the WebSocket idle.
    /// Default: off.
    ///
    /// While a read or a write waits, a ping goes out (RFC 6455 section 5.5.2) once nothing has come
    /// from the peer for `interval`. If then nothing comes for `timeout`, not even the pong, the read
    /// fails with [`TimedOut`](std::io::ErrorKind::TimedOut), and writes with
    /// [`BrokenPipe`](std::io::ErrorKind::BrokenPipe). Many proxies cut a connection that was idle
    /// for a minute: 30 seconds each are a good choice.
    ///
    /// Our own back-pressure is no silence of the peer. The timeout begins when the transport has
    /// taken the ping and flushed it, and again whenever it takes something after it was busy. While
    /// it doesn't take what is to be sent, the peer isn't judged; a transport that takes nothing at all
    /// is given up after 15 times interval and timeout: with 30 seconds each a quarter of an hour, as
    /// long as TCP takes on Linux. So a peer whose application pauses for less than that while a write
    /// waits for it keeps its stream. One that is gone is found after interval and timeout if the
    /// transport takes what is sent, and after 16 times that if a write waits.
    ///
    /// It is driven by reads and writes that wait: nothing is sent while the application does
    /// neither, and if it comes back after the time was up, the peer has the whole `timeout` once
    /// more. The timeout has to be long enough for as long as the peer's application may not read, as
    /// it answers only then.
    ///
    /// After our own Close no ping may follow. Silence still counts, from when the peer was last
    /// heard, or asked. With [`half_close`](Self::half_close) it doesn't count for reads any more once
    /// `shutdown` was called: the peer may take all the time it wants.
    ///
    /// A [`close`](crate::WebSocketStream::close) always ends: after interval and timeout if the peer
    /// says nothing, and after 16 times that if it goes on sending, or the transport takes nothing.
    /// Once the peer has closed or is gone, what is left to be sent has `timeout` since the transport
    /// took something; with half-close, where a peer that has closed may pause, 15 times both.
    ///
    /// A stream that waits with this on owns a timer: a task of the tokio runtime, of at most 400 bytes.
    /// Outside of a runtime with time enabled, or when the one on which the timer was made is gone, a
    /// read that has to wait and a `close` are [`Error::NoRuntime`](crate::Error::NoRuntime), and a
    /// write waits without a limit.
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive = Some((interval, timeout));
        self
    }

    /// Whether only a normal Close is the end of the file. Default: off.
    ///
    /// Off: every valid Close is. On: only 1000 and a Close without a code are. Any other code, also
    /// the 1001 that servers and browsers send when they cut a transfer in the middle, is a [`ConnectionAborted`](std::io::ErrorKind::ConnectionAborted) error whose source
    /// is the [`CloseFrame`](crate::CloseFrame), so that a peer's failure never looks like a
    /// complete stream.
    pub fn strict_close(mut self, on: bool) -> Self {
        self.strict_close = on;
        self
    }

    /// Whether neither side masks its frames, by an agreement outside of the handshake. Default:
    /// off.
    ///
    /// For two private peers whose connection is encrypted: masking protects proxies that don't
    /// know WebSockets (RFC 6455 section 10.3), and costs a pass over the bytes at both ends. Both
    /// have to set it: a masked frame is an error then. The handshake can negotiate it instead, by
    /// the extension `no-masking`.
    pub fn no_masking(mut self, on: bool) -> Self {
        self.no_masking = on;
        self
    }
}
