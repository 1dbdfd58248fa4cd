//! The client's side of the handshake, with responses made byte by byte.
#![cfg(feature = "handshake")]

mod common;
mod http;

use common::in_time;
use fastwebsockets_stream::{
    Config, PayloadType,
    client::{Builder, HandshakeError, Http2},
    server::Acceptor,
};
use http::{Server, VERSIONS, Version, echo};
use sha1::{Digest, Sha1};
use std::{io::ErrorKind, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const RESPONSE: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: ACCEPT\r\n\r\n";

/// The head of the client's request.
async fn read_head(connection: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(connection.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn accept_for(request: &str) -> String {
    use base64::Engine;
    let lower = request.to_ascii_lowercase();
    let start = lower.find("sec-websocket-key: ").unwrap() + 19;
    let key = request[start..].lines().next().unwrap();
    let hash = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    base64::engine::general_purpose::STANDARD.encode(hash)
}

/// Opens a WebSocket on a server that answers so. Returns what comes of it, and the request.
async fn open(
    builder: &Builder,
    response: &str,
    then: &[u8],
) -> (Result<fastwebsockets_stream::client::Connected, HandshakeError>, String) {
    let (ours, mut theirs) = duplex(300_000);
    let answer = async move {
        let request = read_head(&mut theirs).await;
        let response = response.replace("ACCEPT", &accept_for(&request));
        theirs.write_all(&[response.as_bytes(), then].concat()).await.unwrap();
        request
    };
    in_time(async { tokio::join!(builder.http1(ours), answer) }).await
}

fn builder() -> Builder {
    Builder::new("ws://server.example.com:8080/chat?room=1")
}

#[tokio::test]
async fn the_request_is_what_the_rfc_asks_for() {
    let builder = builder()
        .subprotocols(["mqtt", "v2"])
        .origin("https://app.example.com")
        .header("authorization", "Bearer x");
    let (opened, request) = open(&builder, RESPONSE, b"").await;
    opened.unwrap();
    let request = request.to_ascii_lowercase();
    assert!(request.starts_with("get /chat?room=1 http/1.1\r\n"), "{request}");
    for line in [
        "host: server.example.com:8080",
        "connection: upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-protocol: mqtt, v2",
        "origin: https://app.example.com",
        "authorization: bearer x",
    ] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{line} in {request}");
    }
    assert!(!request.contains("extensions"));
}

#[tokio::test]
async fn first_frames_that_come_with_the_response_are_not_lost() {
    let (opened, _) = open(&builder(), RESPONSE, b"\x82\x05hello\x88\x02\x03\xe8").await;
    let mut received = String::new();
    opened.unwrap().0.read_to_string(&mut received).await.unwrap();
    assert_eq!(received, "hello");
}

#[tokio::test]
async fn what_is_not_an_acceptance_is_an_error() {
    use HandshakeError::*;
    let upgrade = "Upgrade: websocket\r\n";
    let with = |header: &str| format!("{upgrade}{header}\r\n");
    for (header, replaced, expected) in [
        (upgrade, String::new(), Upgrade),
        ("Upgrade: websocket", "Upgrade: h2c".into(), Upgrade),
        ("Connection: Upgrade\r\n", String::new(), Connection),
        ("Connection: Upgrade", "Connection: keep-alive".into(), Connection),
        ("Sec-WebSocket-Accept: ACCEPT\r\n", String::new(), Accept),
        ("Accept: ACCEPT", "Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".into(), Accept),
        ("Accept: ACCEPT", "Accept: ACCEPT\r\nSec-WebSocket-Accept: ACCEPT".into(), Accept),
        (upgrade, with("Sec-WebSocket-Protocol: other"), Subprotocol),
        (upgrade, with("Sec-WebSocket-Protocol: MQTT"), Subprotocol),
        (upgrade, with("Sec-WebSocket-Protocol: mqtt, v2"), Subprotocol),
        (upgrade, with("Sec-WebSocket-Extensions: permessage-deflate"), Extension),
        (upgrade, with("Sec-WebSocket-Extensions: no-masking"), Extension),
    ] {
        let builder = builder().subprotocols(["mqtt", "v2"]);
        let response = RESPONSE.replace(header, &replaced);
        let error = open(&builder, &response, b"").await.0.unwrap_err();
        assert_eq!(error.to_string(), expected.to_string(), "{header:?} by {replaced:?}");
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::InvalidData);
    }
    for good in ["Connection: keep-alive, upgrade", "connection: UPGRADE"] {
        let response = RESPONSE.replace("Connection: Upgrade", good);
        open(&builder(), &response, b"").await.0.unwrap();
    }
}

#[tokio::test]
async fn a_refusal_keeps_status_headers_and_64_kibibytes_of_the_body() {
    for (body, kept) in [("please log in".to_owned(), 13), ("x".repeat(100_000), 65_536)] {
        let response = format!(
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let error = open(&builder(), &response, body.as_bytes()).await.0.unwrap_err();
        let HandshakeError::Refused(refusal) = &error else { panic!("{error}") };
        let response = refusal.response();
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()["www-authenticate"], "Basic");
        assert_eq!(response.body(), &body[..kept]);
        assert!(error.to_string().contains("401"));
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::ConnectionRefused);
    }
    let redirect = "HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 9\r\n\r\ncut";
    let error = open(&builder(), redirect, b"").await.0.unwrap_err();
    let HandshakeError::Refused(refusal) = &error else { panic!("{error}") };
    assert_eq!(refusal.response().headers()["location"], "/elsewhere");
    assert_eq!(refusal.response().body(), "cut");
}

#[tokio::test]
async fn a_refusal_over_http2_is_the_same() {
    let server = Server::start(Acceptor::new(), echo).await;
    let connection = server.http2().await;
    let builder = server.builder().origin("https://evil.example.com");
    let error = in_time(builder.http2(&connection)).await.unwrap_err();
    let HandshakeError::Refused(refusal) = &error else { panic!("{error}") };
    assert_eq!(refusal.response().status(), 403);
    in_time(server.builder().http2(&connection)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_never_answers_is_timed_out() {
    let builder = builder().timeout(Duration::from_millis(50));
    let (ours, _theirs) = duplex(10_000);
    let error = in_time(builder.http1(ours)).await.unwrap_err();
    assert!(matches!(error, HandshakeError::TimedOut));
    assert_eq!(std::io::Error::from(error).kind(), ErrorKind::TimedOut);
    // HTTP/2: the SETTINGS never come.
    let (ours, _theirs) = duplex(10_000);
    let connection = Http2::handshake(ours).await.unwrap();
    let error = in_time(builder.http2(&connection)).await.unwrap_err();
    assert!(matches!(error, HandshakeError::TimedOut));
    // A refusal whose body never ends.
    let (ours, mut theirs) = duplex(10_000);
    let answer = async {
        read_head(&mut theirs).await;
        theirs.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nx").await.unwrap();
    };
    let (opened, ()) = in_time(async { tokio::join!(builder.http1(ours), answer) }).await;
    let error = opened.unwrap_err();
    assert!(matches!(error, HandshakeError::TimedOut));
}

#[tokio::test]
async fn a_handshake_that_is_dropped_closes_its_transport() {
    let (ours, mut theirs) = duplex(10_000);
    let builder = builder();
    let request = tokio::select! {
        _ = builder.http1(ours) => panic!("there is no answer"),
        request = in_time(read_head(&mut theirs)) => request,
    };
    assert!(request.starts_with("GET"));
    assert_eq!(in_time(theirs.read(&mut [0; 9])).await.unwrap(), 0);
}

#[tokio::test]
async fn a_handshake_that_is_dropped_gives_up_only_its_stream_of_an_http2_connection() {
    let (ours, theirs) = duplex(100_000);
    let (asked, mut first) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut http =
            hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
        fastwebsockets_stream::Windows::default().apply_to_http2_server(&mut http);
        // One stream at a time: the second request has to wait until the first is gone.
        http.max_concurrent_streams(1);
        let service = hyper::service::service_fn(move |mut request: hyper::Request<_>| {
            let asked = asked.clone();
            async move {
                if request.uri().path() == "/never" {
                    asked.send(()).unwrap();
                    std::future::pending::<()>().await;
                }
                let (response, upgrade) = Acceptor::new().accept(&mut request).unwrap();
                tokio::spawn(echo(upgrade));
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        http.serve_connection(hyper_util::rt::TokioIo::new(theirs), service).await
    });
    let connection = Http2::handshake(ours).await.unwrap();
    let never = Builder::new("ws://localhost/never");
    tokio::select! {
        _ = never.http2(&connection) => panic!("there is no answer"),
        asked = in_time(first.recv()) => asked.unwrap(),
    }
    let answered = Builder::new("ws://localhost/");
    let (mut stream, _) = in_time(answered.http2(&connection)).await.unwrap();
    in_time(stream.write_all(b"still")).await.unwrap();
    in_time(stream.read_exact(&mut [0; 5])).await.unwrap();
}

#[tokio::test]
async fn a_server_that_hangs_up_is_an_error_at_once() {
    let (ours, theirs) = duplex(10_000);
    drop(theirs);
    let error = in_time(builder().http1(ours)).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Http(_)), "{error}");
    let (ours, theirs) = duplex(10_000);
    drop(theirs);
    if let Ok(connection) = Http2::handshake(ours).await {
        let error = in_time(builder().http2(&connection)).await.unwrap_err();
        assert!(
            matches!(error, HandshakeError::Http(_) | HandshakeError::ConnectionClosed),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_http2_server_without_extended_connect_is_told_at_once() {
    for settings in [&b""[..], b"\x00\x03\x00\x00\x00\x64", b"\x00\x08\x00\x00\x00\x00"] {
        let (ours, mut theirs) = duplex(10_000);
        let connection = Http2::handshake(ours).await.unwrap();
        let len = settings.len() as u8;
        let frame = [&[0, 0, len, 4, 0, 0, 0, 0, 0][..], settings].concat();
        theirs.write_all(&frame).await.unwrap();
        let error = in_time(builder().http2(&connection)).await.unwrap_err();
        assert!(matches!(error, HandshakeError::ExtendedConnectUnsupported), "{error}");
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::Unsupported);
    }
}

#[tokio::test]
async fn addresses_and_headers_that_can_not_be_are_refused() {
    for bad in ["ftp://host/", "/path", "ws://", "", "host:80", "http//x"] {
        let (ours, _theirs) = duplex(100);
        let error = in_time(Builder::new(bad).http1(ours)).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Uri), "{bad}: {error}");
        assert_eq!(std::io::Error::from(error).kind(), ErrorKind::InvalidInput);
    }
    for name in [
        "connection",
        "Upgrade",
        "host",
        "sec-websocket-key",
        "Sec-WebSocket-Version",
        "sec-websocket-protocol",
        "sec-websocket-extensions",
        "content-length",
        "transfer-encoding",
        "bad name",
    ] {
        let (ours, _theirs) = duplex(100);
        let error = in_time(builder().header(name, "x").http1(ours)).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Header(_)), "{name}: {error}");
    }
    for names in [&["a b"][..], &["a", "a"], &[""], &["a,b"]] {
        let (ours, _theirs) = duplex(100);
        let builder = builder().subprotocols(names.iter().copied());
        let error = in_time(builder.http1(ours)).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Header(_)), "{names:?}: {error}");
    }
}

#[tokio::test]
async fn credentials_of_the_address_stay_out_of_the_request() {
    let builder = Builder::new("ws://user:secret@server.example.com/");
    let (opened, request) = open(&builder, RESPONSE, b"").await;
    opened.unwrap();
    assert!(!request.contains("secret"), "{request}");
    assert!(request.to_ascii_lowercase().contains("\r\nhost: server.example.com\r\n"));
}

#[tokio::test]
async fn both_versions_carry_the_same_stream() {
    let config = Config::new().half_close(true).payload_type(PayloadType::Text);
    let server = Server::start(Acceptor::new().config(config), echo).await;
    for version in VERSIONS {
        let builder = server.builder().config(config);
        let opened = match version {
            Version::Http1 => builder.http1(server.tcp().await).await,
            Version::Http2 => builder.http2(&server.http2().await).await,
        };
        let (mut stream, _) = opened.unwrap();
        assert_eq!(stream.payload_type(), PayloadType::Text);
        stream.write_all("hello, é".as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut received = String::new();
        in_time(stream.read_to_string(&mut received)).await.unwrap();
        assert_eq!(received, "hello, é");
    }
}

#[tokio::test]
async fn no_masking_is_agreed_by_both_or_not_at_all() {
    // What the client offers, what the server takes, and whether frames are masked then.
    for (scheme, offers, takes, masked) in [
        ("wss", true, true, false),
        ("wss", true, false, true),
        ("wss", false, true, true),
        // Only where the connection is encrypted.
        ("ws", true, true, true),
    ] {
        for version in VERSIONS {
            let acceptor = Acceptor::new().no_masking(takes);
            let (raw, mut frames) = tokio::sync::mpsc::unbounded_channel();
            let server = Server::start(acceptor, move |upgrade| {
                let raw = raw.clone();
                async move {
                    let mut stream = upgrade.await.unwrap();
                    let mut received = [0; 5];
                    stream.read_exact(&mut received).await.unwrap();
                    stream.write_all(&received).await.unwrap();
                    stream.flush().await.unwrap();
                    // What comes next is looked at below the stream.
                    let mut bytes = [0; 2];
                    stream.get_mut().read_exact(&mut bytes).await.unwrap();
                    raw.send(bytes[1] & 0x80 != 0).unwrap();
                }
            })
            .await;
            let builder =
                Builder::new(format!("{scheme}://{}/", server.address)).no_masking(offers);
            let connection = server.http2().await;
            let opened = match version {
                Version::Http1 => builder.http1(server.tcp().await).await,
                Version::Http2 => builder.http2(&connection).await,
            };
            let (mut stream, response) = opened.unwrap();
            let agreed = response.headers().get("sec-websocket-extensions");
            assert_eq!(agreed.map(|e| e.to_str().unwrap()), (!masked).then_some("no-masking"));
            stream.write_all(b"hello").await.unwrap();
            let mut received = [0; 5];
            in_time(stream.read_exact(&mut received)).await.unwrap();
            assert_eq!(&received, b"hello");
            stream.write_all(b"again").await.unwrap();
            stream.flush().await.unwrap();
            assert_eq!(in_time(frames.recv()).await, Some(masked), "{scheme} {offers} {takes}");
        }
    }
}
