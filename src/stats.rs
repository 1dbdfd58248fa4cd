//! What has passed through a stream.

/// How much has passed through a stream so far: [`WebSocketStream::stats`](crate::WebSocketStream::stats).
///
/// A frame is a data frame (RFC 6455 section 5.6), and counts as soon as its head is known; pings,
/// pongs and Closes are control frames (section 5.5). Bytes are those of payload, without heads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes of payload that have come from the peer and were decoded: for a reader, for
    /// [`close`](crate::WebSocketStream::close) to drop, or by a socket before it was adopted.
    pub bytes_read: u64,
    /// Data frames that have come from the peer, empty ones too.
    pub frames_read: u64,
    /// Control frames that have come from the peer.
    pub control_frames_read: u64,
    /// Bytes of payload that were accepted for writing.
    pub bytes_written: u64,
    /// Data frames that were made of them.
    pub frames_written: u64,
    /// Control frames that were queued for the transport. A pong or a ping that waits for room there
    /// is none yet.
    pub control_frames_written: u64,
}
