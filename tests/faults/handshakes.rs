//! Faults before there is a stream.

use crate::{
    http::{Server, VERSIONS, Version, echo},
    leftovers::leaves_nothing,
    pattern::BOUND,
    process::Process,
};
use fastwebsockets_stream::{
    client::{Builder, Connected, HandshakeError, Http2, rustls},
    server::Acceptor,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

async fn open(
    builder: &Builder,
    address: SocketAddr,
    version: Version,
) -> Result<Connected, HandshakeError> {
    let tcp = TcpStream::connect(address).await.unwrap();
    match version {
        Version::Http1 => builder.http1(tcp).await,
        Version::Http2 => builder.http2(&Http2::handshake(tcp).await?).await,
    }
}

fn builder(address: SocketAddr) -> Builder {
    Builder::new(format!("ws://{address}/"))
}

#[test]
fn the_server_is_killed_in_a_handshake() {
    for version in VERSIONS {
        leaves_nothing(async {
            let (process, address) = Process::server("accepts");
            let builder = builder(address);
            let mut opening = Box::pin(open(&builder, address, version));
            let waits = timeout(Duration::from_millis(200), &mut opening).await;
            assert!(waits.is_err(), "nobody answers");
            process.kill();
            let error = timeout(BOUND, opening).await.unwrap().unwrap_err();
            assert!(
                matches!(error, HandshakeError::Http(_) | HandshakeError::ConnectionClosed),
                "{version:?}: {error:?}"
            );
            assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        });
    }
}

#[test]
fn a_server_that_never_answers_is_a_timeout() {
    for version in VERSIONS {
        leaves_nothing(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let builder = builder(address).timeout(Duration::from_millis(200));
            let opening = timeout(BOUND, open(&builder, address, version)).await;
            let error = opening.unwrap().unwrap_err();
            assert!(matches!(error, HandshakeError::TimedOut), "{version:?}: {error:?}");
            assert_eq!(error.kind(), ErrorKind::TimedOut);
            expect_end(&listener).await;
        });
    }
}

#[test]
fn a_handshake_that_is_dropped_ends_its_connection() {
    for version in VERSIONS {
        leaves_nothing(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let builder = builder(address);
            let opening = open(&builder, address, version);
            assert!(timeout(Duration::from_millis(200), opening).await.is_err());
            expect_end(&listener).await;
        });
    }
}

/// The connection that was made ends, from the other side.
async fn expect_end(listener: &TcpListener) {
    let (mut tcp, _) = listener.accept().await.unwrap();
    let end = timeout(BOUND, tcp.read_to_end(&mut Vec::new())).await.expect("it ends");
    assert!(end.is_ok() || end.unwrap_err().kind() == ErrorKind::ConnectionReset);
}

#[test]
fn a_client_that_goes_in_the_middle_of_its_request_leaves_nothing_at_the_server() {
    let requests: [&[u8]; 3] = [
        b"",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: web",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x08",
    ];
    for request in requests {
        for reset in [false, true] {
            leaves_nothing(async {
                let server = Server::start(Acceptor::new(), echo).await;
                let mut tcp = server.tcp().await;
                tcp.write_all(request).await.unwrap();
                if reset {
                    tcp.set_zero_linger().unwrap();
                }
                drop(tcp);
                // Others are served as before.
                for version in VERSIONS {
                    let mut stream = server.open(version).await;
                    stream.write_all(b"hello").await.unwrap();
                    timeout(BOUND, stream.read_exact(&mut [0; 5])).await.unwrap().unwrap();
                    timeout(BOUND, stream.close(1000, "")).await.unwrap().unwrap();
                }
            });
        }
    }
}

#[test]
fn a_server_that_ends_in_the_middle_of_its_answer() {
    // The preface of an HTTP/2 server is its SETTINGS: a head that announces 6 bytes.
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x08";
    let answers: [(Version, &[u8]); 5] = [
        (Version::Http1, b""),
        (Version::Http1, b"HTTP/1.1 101 Switching"),
        (Version::Http1, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"),
        (Version::Http2, b""),
        (Version::Http2, settings),
    ];
    for (version, answer) in answers {
        leaves_nothing(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serve = async {
                let (mut tcp, _) = listener.accept().await.unwrap();
                // The whole request is there before the answer, so that nothing is reset.
                assert!(tcp.read(&mut [0; 4096]).await.unwrap() > 0);
                tcp.write_all(answer).await.unwrap();
                tcp.shutdown().await.unwrap();
                let _end = timeout(BOUND, tcp.read_to_end(&mut Vec::new())).await.expect("ends");
            };
            let builder = builder(address);
            let opening = timeout(BOUND, open(&builder, address, version));
            let (opened, ()) = tokio::join!(opening, serve);
            let error = opened.unwrap().unwrap_err();
            assert!(
                matches!(error, HandshakeError::Http(_) | HandshakeError::ConnectionClosed),
                "{version:?} {answer:?}: {error:?}"
            );
        });
    }
}

/// A certificate for this name, valid until a year.
fn certificate(name: &str, until: i32) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let mut params = rcgen::CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap().der().clone();
    (certificate, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
}

#[test]
fn a_certificate_that_fails_is_a_clear_error() {
    // Each is trusted but the last, and fails for the one reason that is said.
    for (name, until, trusted, reason) in [
        ("elsewhere", 4000, true, "NotValidForName"),
        ("localhost", 2001, true, "Expired"),
        ("localhost", 4000, false, "UnknownIssuer"),
    ] {
        leaves_nothing(async move {
            let (certificate, key) = certificate(name, until);
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.clone()], key)
                .unwrap();
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let mut serving = JoinSet::new();
            serving.spawn(async move {
                let (tcp, _) = listener.accept().await.unwrap();
                TlsAcceptor::from(Arc::new(config)).accept(tcp).await.is_ok()
            });
            let mut roots = rustls::RootCertStore::empty();
            let other = self::certificate("another", 4000).0;
            roots.add(if trusted { certificate } else { other }).unwrap();
            let config = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            let builder = Builder::new(format!("wss://localhost:{port}/")).tls_config(config);
            let error = timeout(BOUND, builder.connect()).await.unwrap().unwrap_err();
            assert!(matches!(error, HandshakeError::Connect(_)), "{error:?}");
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(format!("{error:?}").contains(reason), "{reason}: {error:?}");
            assert!(error.to_string().contains("certificate"), "{error}");
            let accepted = timeout(BOUND, serving.join_next()).await.unwrap().unwrap().unwrap();
            assert!(!accepted, "the server got a clear refusal, too");
        });
    }
}
