//! What happens, told to `tracing` if that feature is on: at handshakes, Closes and errors, and
//! nothing for each frame.
//!
//! All of it is of the level DEBUG: it is for the application, which gets every error as well, to
//! say how bad one is, and no peer is to fill a log. Secrets like to be in headers and queries, so
//! neither is told. What happens to a stream is told in the span of whoever polls it.
#![cfg_attr(not(feature = "tracing"), allow(unused_variables, reason = "nobody is told"))]

#[cfg(feature = "handshake")]
pub(crate) use handshake::*;

use crate::{CloseFrame, Error, Stats};
use std::io;

macro_rules! event {
    ($($arguments:tt)*) => {
        #[cfg(feature = "tracing")]
        tracing::debug!(target: "fastwebsockets_stream", $($arguments)*)
    };
}

/// The reader has come to the peer's Close.
pub(crate) fn close_received(close: Option<&CloseFrame>, stats: &Stats) {
    event!(
        code = close.and_then(CloseFrame::number),
        reason = close.map(CloseFrame::reason),
        ?stats,
        "the peer has closed"
    );
}

/// The reader has come to another end.
pub(crate) fn read_failed(error: &Error, stats: &Stats) {
    event!(error = error as &(dyn std::error::Error + 'static), ?stats, "reading has failed");
}

/// The transport takes no more.
pub(crate) fn write_failed(error: &io::Error) {
    event!(error = error as &(dyn std::error::Error + 'static), "writing has failed");
}

/// Our Close is on its way.
pub(crate) fn closing(code: Option<u16>, reason: &str) {
    event!(code, reason, "closing");
}

#[cfg(feature = "handshake")]
mod handshake {
    use crate::{client, server};
    use hyper::{Request, Response, Uri, header::SEC_WEBSOCKET_PROTOCOL};
    #[cfg(not(feature = "tracing"))]
    pub(crate) use off::{Instrument, Span};
    #[cfg(feature = "tracing")]
    pub(crate) use tracing::{Instrument, Span};

    macro_rules! span {
        ($($arguments:tt)*) => {{
            #[cfg(feature = "tracing")]
            let span = tracing::debug_span!(target: "fastwebsockets_stream", $($arguments)*);
            #[cfg(not(feature = "tracing"))]
            let span = Span;
            span
        }};
    }

    /// The handshake of a server.
    pub(crate) fn accepting<B>(request: &Request<B>) -> Span {
        let uri = request.uri();
        span!("accept", version = ?request.version(), path = uri.path())
    }

    /// The handshake of a client, or what comes before it as well.
    pub(crate) fn opening(uri: Option<&Uri>, how: &'static str) -> Span {
        let host = uri.and_then(Uri::host);
        span!("open", how, host, path = uri.map(Uri::path))
    }

    pub(crate) fn accepted(subprotocol: Option<&str>, no_masking: bool) {
        event!(subprotocol, no_masking, "accepted");
    }

    pub(crate) fn refused(refused: &server::HandshakeError) {
        let status = refused.status().as_u16();
        event!(error = refused as &(dyn std::error::Error + 'static), status, "refused");
    }

    /// A server's response is sent, or can't be.
    pub(crate) fn upgraded<T>(upgraded: &hyper::Result<T>) {
        match upgraded {
            Ok(_) => {
                event!("open");
            }
            Err(error) => {
                event!(error = error as &(dyn std::error::Error + 'static), "not open");
            }
        }
    }

    /// The TLS handshake of a client is done.
    #[cfg(feature = "tls")]
    pub(crate) fn tls_agreed(alpn: Option<&[u8]>) {
        let alpn = alpn.map(String::from_utf8_lossy);
        event!(alpn = alpn.as_deref(), "TLS is agreed on");
    }

    pub(crate) fn opened(response: &Response<()>) {
        let subprotocol = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        let subprotocol = subprotocol.and_then(|name| name.to_str().ok());
        event!(version = ?response.version(), subprotocol, "open");
    }

    /// There is a connection for WebSockets.
    #[cfg(feature = "connect")]
    pub(crate) fn connected() {
        event!("connected");
    }

    pub(crate) fn not_opened(error: &client::HandshakeError) {
        event!(error = error as &(dyn std::error::Error + 'static), "not open");
    }

    pub(crate) fn http2_ended(error: Option<&hyper::Error>) {
        let error = error.map(|error| error as &(dyn std::error::Error + 'static));
        event!(error, "an HTTP/2 connection has ended");
    }

    /// A dropped HTTP/2 stream has had its time.
    pub(crate) fn let_go() {
        event!("a dropped HTTP/2 stream did not end in time: what was left of it may be lost");
    }

    /// What stands for tracing's.
    #[cfg(not(feature = "tracing"))]
    mod off {
        #[derive(Debug)]
        pub(crate) struct Span;

        impl Span {
            pub(crate) fn in_scope<T>(&self, f: impl FnOnce() -> T) -> T {
                f()
            }
        }

        pub(crate) trait Instrument: Sized {
            fn instrument(self, _: Span) -> Self {
                self
            }
        }

        impl<T> Instrument for T {}
    }
}
