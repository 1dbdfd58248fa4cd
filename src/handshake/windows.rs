//! How much may be under way on HTTP/2.

use crate::stream::LARGEST_WRITE;
use hyper::{client, server};
use hyper_util::server::conn::auto;

/// Flow control of an HTTP/2 connection (RFC 9113 section 5.2): how many bytes a peer may send
/// that nobody has read yet.
///
/// A stream moves at most its window per round trip: 8 MiB over 50 ms are 160 MB/s, where hyper's
/// own defaults allow 19 to 36. The window of the connection is shared by its streams. It should be
/// larger than a stream's window times the number of readers that may stall at a time, or those
/// stop all others. A window is also the most memory that a peer can fill in a stalled stream or a
/// connection; nothing is allocated beforehand.
///
/// ```
/// use fastwebsockets_stream::Windows;
/// use hyper_util::{rt::TokioExecutor, server::conn::auto};
///
/// let mut http = auto::Builder::new(TokioExecutor::new());
/// Windows::default().apply_to_server(&mut http);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Bytes of one stream.
    pub stream: u32,
    /// Bytes of all streams of a connection together.
    pub connection: u32,
    /// The largest frame that the peer may send, in bytes: 16 384 to 16 777 215. h2 takes five
    /// frames of headers at least before it counts their bytes, so a peer that stops in the middle
    /// of its headers holds some ten times this.
    pub frame: u32,
}

impl Windows {
    /// Few fast streams: 8 MiB a stream, 128 MiB a connection, frames of 65 KiB, which hold a write
    /// of 64 KiB in a frame of WebSocket. The default.
    pub const FAST: Self =
        Self { stream: 8 << 20, connection: 128 << 20, frame: LARGEST_WRITE as u32 };

    /// Many small streams: 256 KiB a stream, 64 MiB a connection, frames of 16 KiB.
    pub const MANY: Self = Self { stream: 256 << 10, connection: 64 << 20, frame: 16 << 10 };

    /// Sets hyper-util's builder of servers for both versions of HTTP, and allows extended CONNECT.
    ///
    /// A value out of the range that HTTP/2 allows counts as the nearest one in it, here and below.
    pub fn apply_to_server<E>(self, http: &mut auto::Builder<E>) {
        let Self { stream, connection, frame } = self.in_range();
        http.http2()
            .enable_connect_protocol()
            .initial_stream_window_size(stream)
            .initial_connection_window_size(connection)
            .max_frame_size(frame);
    }

    /// The same for hyper's builder of HTTP/2 servers.
    pub fn apply_to_http2_server<E>(self, http2: &mut server::conn::http2::Builder<E>) {
        let Self { stream, connection, frame } = self.in_range();
        http2
            .enable_connect_protocol()
            .initial_stream_window_size(stream)
            .initial_connection_window_size(connection)
            .max_frame_size(frame);
    }

    /// Sets hyper's builder of HTTP/2 clients.
    pub fn apply_to_http2_client<E: Clone>(self, http2: &mut client::conn::http2::Builder<E>) {
        let Self { stream, connection, frame } = self.in_range();
        http2
            .initial_stream_window_size(stream)
            .initial_connection_window_size(connection)
            .max_frame_size(frame);
    }

    /// RFC 9113 section 6.5.2.
    fn in_range(self) -> Self {
        const MAX_WINDOW: u32 = (1 << 31) - 1;
        Self {
            stream: self.stream.min(MAX_WINDOW),
            connection: self.connection.min(MAX_WINDOW),
            frame: self.frame.clamp(1 << 14, (1 << 24) - 1),
        }
    }
}

impl Default for Windows {
    fn default() -> Self {
        Self::FAST
    }
}
