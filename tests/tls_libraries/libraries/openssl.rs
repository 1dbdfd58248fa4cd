//! OpenSSL, with and without vectored writes.

use super::{Tls, Transport, certificate};
use openssl::{
    pkey::PKey,
    ssl::{Ssl, SslContext, SslMethod, SslMode, SslVerifyMode, SslVersion},
    x509::X509,
};
use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf},
    join,
};
use tokio_openssl::SslStream;

pub(crate) async fn connect(
    client: DuplexStream,
    server: DuplexStream,
    tls: Tls,
    in_part: bool,
) -> (Transport, Transport) {
    let (client, server) = openssl(client, server, tls, in_part).await;
    (Box::new(client), Box::new(server))
}

pub(crate) async fn connect_vectored(
    client: DuplexStream,
    server: DuplexStream,
) -> (Transport, Transport) {
    let (client, server) = openssl(client, server, Tls::V13, true).await;
    (Box::new(Vectored(client)), Box::new(Vectored(server)))
}

async fn openssl(
    client: DuplexStream,
    server: DuplexStream,
    tls: Tls,
    in_part: bool,
) -> (SslStream<DuplexStream>, SslStream<DuplexStream>) {
    let version = match tls {
        Tls::V12 => SslVersion::TLS1_2,
        Tls::V13 => SslVersion::TLS1_3,
    };
    let context = |method| {
        let mut context = SslContext::builder(method).unwrap();
        // As in `SslConnector` and `SslAcceptor`.
        let mut mode = SslMode::AUTO_RETRY | SslMode::ACCEPT_MOVING_WRITE_BUFFER;
        if in_part {
            mode |= SslMode::ENABLE_PARTIAL_WRITE;
        }
        context.set_mode(mode);
        context.set_min_proto_version(Some(version)).unwrap();
        context.set_max_proto_version(Some(version)).unwrap();
        context
    };
    let (certificate, key) = certificate();
    let certificate = X509::from_der(certificate).unwrap();
    let key = PKey::private_key_from_der(key).unwrap();
    let mut connector = context(SslMethod::tls_client());
    connector.cert_store_mut().add_cert(certificate.clone()).unwrap();
    connector.set_verify(SslVerifyMode::PEER);
    let mut acceptor = context(SslMethod::tls_server());
    acceptor.set_certificate(&certificate).unwrap();
    acceptor.set_private_key(&key).unwrap();

    let connects = Ssl::new(&connector.build()).unwrap();
    let accepts = Ssl::new(&acceptor.build()).unwrap();
    let mut client = SslStream::new(connects, client).unwrap();
    let mut server = SslStream::new(accepts, server).unwrap();
    let (connected, accepted) =
        join!(Pin::new(&mut client).connect(), Pin::new(&mut server).accept());
    connected.unwrap();
    accepted.unwrap();
    (client, server)
}

/// Says that it takes vectored writes, and takes the first slice.
struct Vectored<S>(S);

impl<S: AsyncRead + Unpin> AsyncRead for Vectored<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Vectored<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().find(|slice| !slice.is_empty());
        self.poll_write(cx, first.map_or(&[], |slice| slice))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
