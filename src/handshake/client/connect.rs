//! From an address to a stream.

use super::{Builder, Connected, HandshakeError, Http2, is_encrypted};
use crate::trace;
use hyper::Uri;
use tokio::net::TcpStream;

impl Builder {
    /// Connects to the host of the address and opens the WebSocket.
    ///
    /// All addresses that the name resolves to are tried in turn. `ws` and `http` go over
    /// HTTP/1.1. `wss` and `https` (feature `tls`) offer both versions in the TLS handshake and
    /// take HTTP/2 when the server chooses it and offers extended CONNECT, else HTTP/1.1, on a new
    /// connection if need be. For many WebSockets on one connection, see
    /// [`connect_http2`](Self::connect_http2).
    ///
    /// ```no_run
    /// use fastwebsockets_stream::client::Builder;
    ///
    /// # async fn open() -> Result<(), fastwebsockets_stream::client::HandshakeError> {
    /// let (stream, response) = Builder::new("wss://example.com/echo").connect().await?;
    /// println!("over {:?}", response.version());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Connect`] if there is no connection, and as
    /// [`http1`](Self::http1) and [`http2`](Self::http2).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub async fn connect(&self) -> Result<Connected, HandshakeError> {
        self.open("connect", async {
            if is_encrypted(self.uri()?) {
                return self.connect_tls().await;
            }
            self.upgrade_http1(self.connect_tcp(80).await?).await
        })
        .await
    }

    /// Connects to the host of the address for many WebSockets: [`http2`](Self::http2) opens them on
    /// this connection, with any `Builder` for the same host.
    ///
    /// `ws` and `http` are without TLS, to a server of which it is known that it speaks HTTP/2
    /// (RFC 9113 section 3.3). `wss` and `https` (feature `tls`) negotiate it (section 3.2).
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Connect`] if there is no connection,
    /// [`HandshakeError::ExtendedConnectUnsupported`] if the server chooses HTTP/1.1, and as
    /// [`Http2::handshake`].
    pub async fn connect_http2(&self) -> Result<Http2, HandshakeError> {
        let connecting = async {
            if is_encrypted(self.uri()?) {
                return self.connect_http2_tls().await;
            }
            Http2::handshake(self.connect_tcp(80).await?).await
        };
        self.in_time("connect for HTTP/2", connecting, |_| trace::connected()).await
    }

    pub(super) async fn connect_tcp(&self, port: u16) -> Result<TcpStream, HandshakeError> {
        let uri = self.uri()?;
        let port = uri.port_u16().unwrap_or(port);
        let tcp = TcpStream::connect((host(uri)?, port)).await.map_err(HandshakeError::connect)?;
        tcp.set_nodelay(true).map_err(HandshakeError::connect)?;
        Ok(tcp)
    }

    #[cfg(not(feature = "tls"))]
    async fn connect_tls(&self) -> Result<Connected, HandshakeError> {
        Err(HandshakeError::MissingFeature("tls"))
    }

    #[cfg(not(feature = "tls"))]
    async fn connect_http2_tls(&self) -> Result<Http2, HandshakeError> {
        Err(HandshakeError::MissingFeature("tls"))
    }
}

/// The host, an IPv6 address without its brackets.
pub(super) fn host(uri: &Uri) -> Result<&str, HandshakeError> {
    let host = uri.host().ok_or(HandshakeError::Uri)?;
    Ok(host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host))
}
