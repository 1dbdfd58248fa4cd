//! What can go wrong with a stream.

use crate::{CloseFrame, Violation};
use std::{fmt, io};

/// The typed cause of an [`io::Error`] of this crate.
///
/// ```
/// use fastwebsockets_stream::Error;
///
/// fn is_truncated(error: &std::io::Error) -> bool {
///     matches!(
///         error.get_ref().and_then(|cause| cause.downcast_ref()),
///         Some(Error::Truncated)
///     )
/// }
/// # assert!(is_truncated(&Error::Truncated.into()));
/// ```
///
/// An error of the transport itself is passed on as it is, with its own kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol: [`InvalidData`](io::ErrorKind::InvalidData). Every later read
    /// says so again.
    Protocol(Violation),
    /// The peer sent a Close other than a normal one, on a stream with
    /// [`strict_close`](crate::Config::strict_close) or in the way of a
    /// [`close`](crate::WebSocketStream::close):
    /// [`ConnectionAborted`](io::ErrorKind::ConnectionAborted). The Close is its
    /// [`source`](std::error::Error::source).
    Aborted(CloseFrame),
    /// The transport ended without a Close: [`UnexpectedEof`](io::ErrorKind::UnexpectedEof).
    /// There may have been more.
    Truncated,
    /// Nothing came from the peer for as long as
    /// [`keep_alive`](crate::Config::keep_alive) allows, or a close took longer than that allows:
    /// [`TimedOut`](io::ErrorKind::TimedOut).
    /// There may have been more.
    Silent,
    /// The transport failed earlier. Its own error was returned once, by the first call in this
    /// direction. The kind is that error's. If payload is lost, every flush, shutdown and close
    /// returns this error.
    Transport(io::ErrorKind),
    /// A write after a Close, from either side, or after a fatal error:
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
    Closed,
    /// The transport takes no more bytes, though it isn't closed:
    /// [`WriteZero`](io::ErrorKind::WriteZero).
    WriteZero,
    /// Bytes written to a Text stream that aren't UTF-8:
    /// [`InvalidData`](io::ErrorKind::InvalidData). Nothing of that write is sent.
    NotUtf8,
    /// A shutdown or close of a Text stream in the middle of a code point:
    /// [`InvalidData`](io::ErrorKind::InvalidData). Nothing is sent, and the rest of the code point
    /// can still be written; unless the peer has closed, and the start of it is lost.
    UnfinishedCodePoint,
    /// A close code that may not be sent (RFC 6455 section 7.4):
    /// [`InvalidInput`](io::ErrorKind::InvalidInput).
    InvalidCloseCode(u16),
    /// A close reason of more than 123 bytes: [`InvalidInput`](io::ErrorKind::InvalidInput).
    CloseReasonTooLong(usize),
    /// The socket that the stream was made of had read a part of a frame already, which can't be
    /// continued: [`InvalidData`](io::ErrorKind::InvalidData).
    HandedOverInFrame,
    /// [`keep_alive`](crate::Config::keep_alive) needs a timer, and there is no tokio runtime to run
    /// it, or the one on which the stream began to be read is gone: [`Other`](io::ErrorKind::Other).
    NoRuntime,
}

impl Error {
    /// The kind of the [`io::Error`] that carries this error.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Error::Protocol(_)
            | Error::NotUtf8
            | Error::UnfinishedCodePoint
            | Error::HandedOverInFrame => io::ErrorKind::InvalidData,
            Error::Aborted(_) => io::ErrorKind::ConnectionAborted,
            Error::Truncated => io::ErrorKind::UnexpectedEof,
            Error::Silent => io::ErrorKind::TimedOut,
            Error::Transport(kind) => *kind,
            Error::Closed => io::ErrorKind::BrokenPipe,
            Error::NoRuntime => io::ErrorKind::Other,
            Error::WriteZero => io::ErrorKind::WriteZero,
            Error::InvalidCloseCode(_) | Error::CloseReasonTooLong(_) => {
                io::ErrorKind::InvalidInput
            }
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        io::Error::new(error.kind(), error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Protocol(violation) => {
                write!(f, "the peer broke the WebSocket protocol: {violation}")
            }
            Error::Aborted(close) => write!(f, "the peer closed abnormally: {close}"),
            Error::Truncated => f.write_str("the transport ended without a Close"),
            Error::Silent => f.write_str("the peer has fallen silent, and didn't answer a ping"),
            Error::Transport(kind) => write!(f, "the transport failed earlier: {kind}"),
            Error::Closed => f.write_str("the stream is closed for writing"),
            Error::NoRuntime => {
                f.write_str("keep-alive has no tokio runtime with a timer, or its runtime is gone")
            }
            Error::WriteZero => f.write_str("the transport takes no more bytes"),
            Error::NotUtf8 => f.write_str("bytes written to a text stream are not UTF-8"),
            Error::UnfinishedCodePoint => {
                f.write_str("a text stream can't end in the middle of a code point")
            }
            Error::InvalidCloseCode(code) => write!(f, "the close code {code} may not be sent"),
            Error::CloseReasonTooLong(len) => {
                write!(f, "a close reason of {len} bytes, where 123 are allowed")
            }
            Error::HandedOverInFrame => f.write_str(
                "the socket was handed over in the middle of a frame, which can't be continued",
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Aborted(close) => Some(close),
            _ => None,
        }
    }
}
