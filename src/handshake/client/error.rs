//! Why a WebSocket could not be opened.

use http_body_util::BodyExt;
use hyper::{
    Response,
    body::{Bytes, Incoming},
    header::HeaderName,
};
use std::{fmt, io, sync::Arc};

/// How much of a refusal's body is kept.
const MAX_BODY: usize = 64 * 1024;

/// Why a WebSocket could not be opened, each with the [`kind`](Self::kind) of the [`io::Error`] that
/// it turns into.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The address isn't one of a WebSocket: `InvalidInput`.
    Uri,
    /// A header that can't be sent, or that the handshake itself sets: `InvalidInput`.
    Header(Option<HeaderName>),
    /// The server answered with something else than a WebSocket, a 401, a redirect, an error:
    /// `ConnectionRefused`.
    Refused(Arc<Refusal>),
    /// `Upgrade` in the response doesn't name `websocket`: `InvalidData`.
    Upgrade,
    /// `Connection` in the response doesn't name `Upgrade`: `InvalidData`.
    Connection,
    /// `Sec-WebSocket-Accept` doesn't fit the key, so it wasn't a WebSocket server that answered:
    /// `InvalidData`.
    Accept,
    /// The server chose a subprotocol that wasn't offered: `InvalidData`.
    Subprotocol,
    /// The server chose an extension that wasn't offered: `InvalidData`.
    Extension,
    /// The server doesn't offer extended CONNECT (RFC 8441 section 3), or no HTTP/2 at all:
    /// `Unsupported`. It may take WebSockets over HTTP/1.1.
    ExtendedConnectUnsupported,
    /// It took longer than [`timeout`](crate::client::Builder::timeout) allows: `TimedOut`.
    TimedOut,
    /// The connection failed: `ConnectionAborted`.
    Http(Arc<hyper::Error>),
    /// The HTTP/2 connection has ended: `ConnectionAborted`.
    ConnectionClosed,
    /// The host could not be resolved or reached, or TLS could not be agreed on: the kind of that
    /// error.
    Connect(Arc<io::Error>),
    /// The address asks for what was not compiled in, but this feature of the crate has:
    /// `Unsupported`.
    MissingFeature(&'static str),
}

impl HandshakeError {
    pub(super) fn http(error: hyper::Error) -> Self {
        HandshakeError::Http(Arc::new(error))
    }

    #[cfg(feature = "connect")]
    pub(super) fn connect(error: io::Error) -> Self {
        HandshakeError::Connect(Arc::new(error))
    }

    pub(super) fn refused(refusal: Refusal) -> Self {
        HandshakeError::Refused(Arc::new(refusal))
    }

    /// The kind of the [`io::Error`] that this error turns into.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            HandshakeError::Uri | HandshakeError::Header(_) => io::ErrorKind::InvalidInput,
            HandshakeError::Refused(_) => io::ErrorKind::ConnectionRefused,
            HandshakeError::Upgrade
            | HandshakeError::Connection
            | HandshakeError::Accept
            | HandshakeError::Subprotocol
            | HandshakeError::Extension => io::ErrorKind::InvalidData,
            HandshakeError::ExtendedConnectUnsupported | HandshakeError::MissingFeature(_) => {
                io::ErrorKind::Unsupported
            }
            HandshakeError::Connect(error) => error.kind(),
            HandshakeError::TimedOut => io::ErrorKind::TimedOut,
            HandshakeError::Http(_) | HandshakeError::ConnectionClosed => {
                io::ErrorKind::ConnectionAborted
            }
        }
    }
}

impl From<HandshakeError> for io::Error {
    fn from(error: HandshakeError) -> Self {
        io::Error::new(error.kind(), error)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::Uri => f.write_str("not a ws, wss, http or https address with a host"),
            HandshakeError::Header(Some(name)) => {
                write!(f, "the header {name} can't be sent, or belongs to the handshake")
            }
            HandshakeError::Header(None) => f.write_str("a header that can't be sent"),
            HandshakeError::Refused(refusal) => {
                write!(f, "the server answered {}", refusal.response.status())
            }
            HandshakeError::Upgrade => f.write_str("the server's Upgrade isn't websocket"),
            HandshakeError::Connection => f.write_str("the server's Connection isn't Upgrade"),
            HandshakeError::Accept => {
                f.write_str("the server's Sec-WebSocket-Accept doesn't fit the key")
            }
            HandshakeError::Subprotocol => {
                f.write_str("the server chose a subprotocol that wasn't offered")
            }
            HandshakeError::Extension => {
                f.write_str("the server chose an extension that wasn't offered")
            }
            HandshakeError::ExtendedConnectUnsupported => {
                f.write_str("the server doesn't offer WebSockets over HTTP/2")
            }
            HandshakeError::TimedOut => f.write_str("the handshake took too long"),
            HandshakeError::Http(_) => f.write_str("the connection failed"),
            HandshakeError::ConnectionClosed => f.write_str("the HTTP/2 connection has ended"),
            HandshakeError::Connect(error) => write!(f, "no connection: {error}"),
            HandshakeError::MissingFeature(feature) => {
                write!(f, "enable the feature {feature:?} of fastwebsockets-stream for that")
            }
        }
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HandshakeError::Http(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

/// A response that isn't a WebSocket.
#[derive(Debug)]
pub struct Refusal {
    response: Response<Bytes>,
}

impl Refusal {
    /// Status, headers, and the first 64 KiB of the body.
    pub fn response(&self) -> &Response<Bytes> {
        &self.response
    }

    /// Reads as much of the body as is kept. One that breaks off is kept as far as it came.
    pub(super) async fn read(response: Response<Incoming>) -> Self {
        let (parts, mut body) = response.into_parts();
        let mut kept = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            if let Some(data) = frame.data_ref() {
                let room = MAX_BODY - kept.len();
                kept.extend_from_slice(&data[..data.len().min(room)]);
                if kept.len() == MAX_BODY {
                    break;
                }
            }
        }
        Self { response: Response::from_parts(parts, kept.into()) }
    }
}
