//! From an address to a stream, with TLS and without.
#![cfg(feature = "tls")]

mod common;
mod http;

use common::in_time;
use fastwebsockets_stream::{
    client::{Builder, HandshakeError, Http2Pool, rustls},
    server::{Acceptor, Upgrade},
};
use http::{Server, Stream, echo, serve_connection};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{Arc, Mutex},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

struct TlsServer {
    address: SocketAddr,
    certificate: CertificateDer<'static>,
    /// The versions of HTTP that WebSockets came over.
    versions: Arc<Mutex<Vec<hyper::Version>>>,
    _accepting: JoinSet<()>,
}

impl TlsServer {
    /// Offers these versions; `extended` tells whether it takes WebSockets over HTTP/2.
    async fn start(alpn: &[&str], extended: bool) -> Self {
        let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = key.cert.der().clone();
        let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], private)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|version| version.as_bytes().to_vec()).collect();
        let tls = TlsAcceptor::from(Arc::new(config));

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let versions = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&versions);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (tls, seen) = (tls.clone(), Arc::clone(&seen));
                connections.spawn(async move {
                    let Ok(io) = tls.accept(tcp).await else { return };
                    let serve = move |upgrade: Upgrade| {
                        seen.lock().unwrap().push(upgrade.version());
                        echo(upgrade)
                    };
                    if extended {
                        serve_connection(io, Arc::new(Acceptor::new()), serve).await;
                    } else {
                        http::serve_without_extended_connect(io, serve).await;
                    }
                });
            }
        });
        Self { address, certificate, versions, _accepting: accepting }
    }

    /// Opens a WebSocket here, trusting this server's certificate.
    fn builder(&self) -> Builder {
        self.builder_that_trusts(&self.certificate)
    }

    fn builder_that_trusts(&self, certificate: &CertificateDer<'static>) -> Builder {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Builder::new(self.uri()).tls_config(config)
    }

    fn uri(&self) -> String {
        format!("wss://localhost:{}/", self.address.port())
    }
}

async fn hello(builder: &Builder) {
    say_hello(in_time(builder.connect()).await.unwrap().0).await;
}

async fn say_hello(mut stream: Stream) {
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    let mut received = [0; 5];
    in_time(stream.read_exact(&mut received)).await.unwrap();
    assert_eq!(&received, b"hello");
    in_time(stream.close(1000, "")).await.unwrap();
}

#[tokio::test]
async fn the_version_is_what_the_server_chooses_and_can() {
    use hyper::Version;
    for (alpn, extended, expected) in [
        (&["h2", "http/1.1"][..], true, Version::HTTP_2),
        (&["http/1.1"], true, Version::HTTP_11),
        (&[], true, Version::HTTP_11),
        // HTTP/2 without extended CONNECT: again, over HTTP/1.1.
        (&["h2", "http/1.1"], false, Version::HTTP_11),
    ] {
        let server = TlsServer::start(alpn, extended).await;
        hello(&server.builder()).await;
        assert_eq!(*server.versions.lock().unwrap(), [expected], "{alpn:?} {extended}");
    }
}

#[tokio::test]
async fn many_share_a_connection_of_http2() {
    let tls = TlsServer::start(&["h2", "http/1.1"], true).await;
    let plain = Server::start(Acceptor::new(), echo).await;
    for builder in [tls.builder(), plain.builder()] {
        let connection = in_time(builder.connect_http2()).await.unwrap();
        let open = async || in_time(builder.http2(&connection)).await.unwrap().0;
        let streams = [open().await, open().await];
        for stream in streams {
            say_hello(stream).await;
        }
    }
    assert_eq!(*tls.versions.lock().unwrap(), [hyper::Version::HTTP_2; 2]);
}

#[tokio::test]
async fn a_connection_of_http2_needs_a_server_that_chooses_it() {
    for alpn in [&["http/1.1"][..], &[]] {
        let server = TlsServer::start(alpn, true).await;
        let error = in_time(server.builder().connect_http2()).await.unwrap_err();
        assert!(matches!(error, HandshakeError::ExtendedConnectUnsupported), "{error}");
    }
}

#[tokio::test]
async fn without_tls_it_is_http1() {
    let server = Server::start(Acceptor::new(), echo).await;
    hello(&server.builder()).await;
    // `localhost` may be an IPv6 address first, where nobody listens.
    hello(&Builder::new(format!("ws://localhost:{}/", server.address.port()))).await;
    hello(&Builder::new(format!("http://127.0.0.1:{}", server.address.port()))).await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_an_error() {
    let server = TlsServer::start(&["h2", "http/1.1"], true).await;
    let other = TlsServer::start(&["h2", "http/1.1"], true).await;
    let by_the_platform = Builder::new(server.uri());
    for builder in [by_the_platform, server.builder_that_trusts(&other.certificate)] {
        let error = in_time(builder.connect()).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Connect(_)), "{error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    assert!(server.versions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_host_that_is_not_there_is_an_error() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for scheme in ["ws", "wss"] {
        let builder = Builder::new(format!("{scheme}://{closed}/"));
        let errors = [
            in_time(builder.connect()).await.unwrap_err(),
            in_time(builder.connect_http2()).await.unwrap_err(),
        ];
        for error in errors {
            assert_eq!(std::io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
        }
    }
}

/// A task that opens a WebSocket and then serves it has room for both as long as it runs.
#[tokio::test]
async fn opening_takes_little_room_in_a_task() {
    let builder = Builder::new("ws://localhost/");
    let pool = Http2Pool::new(builder.clone(), 1);
    for room in [
        size_of_val(&builder.connect()),
        size_of_val(&builder.connect_http2()),
        size_of_val(&pool.open()),
    ] {
        assert!(room < 2048, "{room} bytes");
    }
}
