//! TLS for `wss` and `https`.

use super::{Builder, Connected, HandshakeError, Http2, connect::host};
use crate::trace;
use rustls_platform_verifier::BuilderVerifierExt;
use std::{io, sync::Arc};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, crypto::ring, pki_types::ServerName},
};

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

impl Builder {
    /// The TLS configuration of [`connect`](Self::connect): root certificates, a certificate of
    /// the client. What it offers as ALPN is replaced. Default: the platform's root certificates.
    pub fn tls_config(mut self, config: impl Into<Arc<ClientConfig>>) -> Self {
        self.tls = Some(config.into());
        self
    }

    pub(super) async fn connect_tls(&self) -> Result<Connected, HandshakeError> {
        let io = self.tls_stream(&[HTTP2, HTTP1]).await?;
        if !has_chosen_http2(&io) {
            return self.upgrade_http1(io).await;
        }
        let connection = Http2::handshake(io).await?;
        match self.connect_on(&connection).await {
            Err(HandshakeError::ExtendedConnectUnsupported) => {
                let io = self.tls_stream(&[HTTP1]).await?;
                self.upgrade_http1(io).await
            }
            opened => opened,
        }
    }

    pub(super) async fn connect_http2_tls(&self) -> Result<Http2, HandshakeError> {
        // A server that was offered HTTP/2 only would refuse with an alert that says less.
        let io = self.tls_stream(&[HTTP2, HTTP1]).await?;
        if !has_chosen_http2(&io) {
            return Err(HandshakeError::ExtendedConnectUnsupported);
        }
        Http2::handshake(io).await
    }

    /// A connection that offers these versions of HTTP.
    async fn tls_stream(&self, alpn: &[&[u8]]) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let mut config = match &self.tls {
            Some(config) => ClientConfig::clone(config),
            None => platform_config()
                .map_err(|error| HandshakeError::connect(io::Error::other(error)))?,
        };
        config.alpn_protocols = alpn.iter().map(|version| version.to_vec()).collect();
        let name = ServerName::try_from(host(self.uri()?)?).map_err(|_| HandshakeError::Uri)?;
        let tcp = self.connect_tcp(443).await?;
        let connector = TlsConnector::from(Arc::new(config));
        let io = connector.connect(name.to_owned(), tcp).await.map_err(HandshakeError::connect)?;
        trace::tls_agreed(io.get_ref().1.alpn_protocol());
        Ok(io)
    }
}

fn has_chosen_http2(io: &TlsStream<TcpStream>) -> bool {
    io.get_ref().1.alpn_protocol() == Some(HTTP2)
}

fn platform_config() -> Result<ClientConfig, tokio_rustls::rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(config.with_platform_verifier()?.with_no_client_auth())
}
