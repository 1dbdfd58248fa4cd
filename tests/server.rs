//! The server's side of the handshake, with requests made byte by byte.
#![cfg(feature = "handshake")]

mod common;
mod http;

use common::in_time;
use fastwebsockets_stream::{Config, server::Acceptor};
use http::{Server, echo, serve_connection};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

const REQUEST: &str = "GET /chat HTTP/1.1\r\n\
    Host: server.example.com\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";

/// A connection to a server with this acceptor that echoes.
fn connect(acceptor: Acceptor) -> DuplexStream {
    let (ours, theirs) = duplex(100_000);
    tokio::spawn(serve_connection(theirs, Arc::new(acceptor), echo));
    ours
}

/// The head of the response to a request, in lower case.
async fn response_to(acceptor: &Acceptor, request: &str) -> String {
    let mut connection = connect(acceptor.clone());
    connection.write_all(request.as_bytes()).await.unwrap();
    response_head(&mut connection).await
}

async fn response_head(connection: &mut DuplexStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(in_time(connection.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap().to_ascii_lowercase()
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_rfcs_own_example_is_accepted() {
    let head = response_to(&Acceptor::new(), REQUEST).await;
    assert_eq!(status(&head), 101);
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    let accept = "\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n".to_ascii_lowercase();
    assert!(head.contains(&accept), "{head}");
    assert!(!head.contains("sec-websocket-protocol") && !head.contains("extensions"), "{head}");
}

#[tokio::test]
async fn frames_that_come_with_the_request_are_not_lost() {
    let mut connection = connect(Acceptor::new().config(Config::new().half_close(true)));
    let frames = [common::frames::masked(2, b"early"), common::frames::masked(8, b"")].concat();
    connection.write_all(&[REQUEST.as_bytes(), &frames].concat()).await.unwrap();
    assert_eq!(status(&response_head(&mut connection).await), 101);
    let mut received = Vec::new();
    in_time(connection.read_to_end(&mut received)).await.unwrap();
    assert_eq!(received, b"\x82\x05early\x88\x00");
}

#[tokio::test]
async fn token_lists_in_any_case_and_order_are_accepted() {
    for (header, replaced) in [
        ("Connection: Upgrade", "connection: keep-alive, UPGRADE"),
        ("Connection: Upgrade", "Connection: close\r\nConnection: upgrade"),
        ("Upgrade: websocket", "UPGRADE: h2c,WebSocket"),
        ("Upgrade: websocket", "Upgrade: foo/2\r\nUpgrade: WEBSOCKET"),
        ("Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 0"),
    ] {
        let head = response_to(&Acceptor::new(), &REQUEST.replace(header, replaced)).await;
        assert_eq!(status(&head), 101, "{replaced}");
    }
}

#[tokio::test]
async fn what_is_not_a_request_for_a_websocket_is_refused_with_its_status() {
    for (header, replaced, expected) in [
        ("GET", "POST", 405),
        ("GET", "HEAD", 405),
        ("HTTP/1.1", "HTTP/1.0", 505),
        ("Upgrade: websocket\r\n", "", 426),
        ("Upgrade: websocket", "Upgrade: h2c", 426),
        ("Connection: Upgrade\r\n", "", 400),
        ("Connection: Upgrade", "Connection: keep-alive", 400),
        ("Connection: Upgrade", "Connection: upgraded", 400),
        ("Sec-WebSocket-Version: 13\r\n", "", 426),
        ("Version: 13", "Version: 8", 426),
        ("Version: 13", "Version: 13\r\nSec-WebSocket-Version: 13", 426),
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25j", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "", 400),
        ("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZSBub25jZQ", 400),
        ("Key: ", "Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: ", 400),
        ("Upgrade: websocket", "Upgrade: websocket\r\nContent-Length: 5", 400),
        ("Upgrade: websocket", "Upgrade: websocket\r\nTransfer-Encoding: chunked", 400),
        ("Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Protocol: a,,b", 400),
        ("Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Protocol: a b", 400),
        ("Upgrade: websocket", "Upgrade: websocket\r\nSec-WebSocket-Extensions: ;", 400),
    ] {
        let head = response_to(&Acceptor::new(), &REQUEST.replace(header, replaced)).await;
        assert_eq!(status(&head), expected, "{header:?} replaced by {replaced:?}");
        match expected {
            405 => assert!(head.contains("\r\nallow: get\r\n"), "{head}"),
            426 => assert!(
                head.contains("\r\nsec-websocket-version: 13\r\n")
                    || head.contains("\r\nupgrade: websocket\r\n"),
                "{head}"
            ),
            _ => {}
        }
    }
}

#[tokio::test]
async fn pages_of_other_sites_are_refused_unless_allowed() {
    let same = Acceptor::new();
    let listed = Acceptor::new().allow_origin("https://app.example.org");
    let any = Acceptor::new().allow_any_origin();
    let request = |origin: &str| {
        REQUEST.replace("Upgrade: websocket", &format!("Upgrade: websocket\r\nOrigin: {origin}"))
    };
    for (origin, by_same, by_listed) in [
        ("http://server.example.com", 101, 101),
        ("https://server.example.com", 101, 101),
        ("https://SERVER.example.com:443", 101, 101),
        ("http://server.example.com:80", 101, 101),
        ("https://server.example.com:8443", 403, 403),
        ("https://app.example.org", 403, 101),
        ("HTTPS://app.example.org", 403, 101),
        ("https://app.example.org:444", 403, 403),
        ("https://evil.example.net", 403, 403),
        ("https://server.example.com.evil.net", 403, 403),
        ("null", 403, 403),
        ("", 403, 403),
        ("file://", 403, 403),
        ("http://server.example.com\r\nOrigin: http://evil.example.net", 403, 403),
    ] {
        let request = request(origin);
        assert_eq!(status(&response_to(&same, &request).await), by_same, "{origin}");
        assert_eq!(status(&response_to(&listed, &request).await), by_listed, "{origin} listed");
        assert_eq!(status(&response_to(&any, &request).await), 101, "{origin} of any");
    }
    let with_port = request("https://server.example.com:8443")
        .replace("Host: server.example.com", "Host: Server.Example.Com:8443");
    assert_eq!(status(&response_to(&same, &with_port).await), 101);
}

#[tokio::test]
async fn the_servers_favourite_of_the_offered_subprotocols_is_chosen() {
    let acceptor = Acceptor::new().subprotocols(["v2.chat", "v1.chat"]);
    for (offered, chosen) in [
        ("v1.chat", Some("v1.chat")),
        ("v1.chat, v2.chat", Some("v2.chat")),
        ("x, v1.chat\r\nSec-WebSocket-Protocol: v2.chat", Some("v2.chat")),
        ("V2.chat", None),
        ("x", None),
    ] {
        let header = format!("Upgrade: websocket\r\nSec-WebSocket-Protocol: {offered}");
        let head = response_to(&acceptor, &REQUEST.replace("Upgrade: websocket", &header)).await;
        assert_eq!(status(&head), 101);
        match chosen {
            Some(name) => {
                assert!(
                    head.contains(&format!("\r\nsec-websocket-protocol: {name}\r\n")),
                    "{head}"
                );
            }
            None => assert!(!head.contains("sec-websocket-protocol"), "{head}"),
        }
    }
}

#[tokio::test]
async fn extensions_are_declined_by_silence_unless_asked_for() {
    let offers = "Upgrade: websocket\r\n\
        Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, no-masking";
    let request = REQUEST.replace("Upgrade: websocket", offers);
    let head = response_to(&Acceptor::new(), &request).await;
    assert!(status(&head) == 101 && !head.contains("extensions"), "{head}");
    let head = response_to(&Acceptor::new().no_masking(true), &request).await;
    assert!(head.contains("\r\nsec-websocket-extensions: no-masking\r\n"), "{head}");
    let head = response_to(&Acceptor::new().no_masking(true), REQUEST).await;
    assert!(status(&head) == 101 && !head.contains("extensions"), "{head}");
}

#[tokio::test]
async fn an_upgrade_tells_what_was_agreed() {
    let acceptor = Acceptor::new().subprotocols(["echo"]);
    let (agreed, mut told) = tokio::sync::mpsc::unbounded_channel();
    let server = Server::start(acceptor, move |upgrade| {
        agreed.send((upgrade.subprotocol().map(str::to_owned), upgrade.version())).unwrap();
        echo(upgrade)
    })
    .await;
    let builder = server.builder().subprotocols(["other", "echo"]);
    let (_stream, response) = in_time(builder.http1(server.tcp().await)).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "echo");
    let (_stream, response) = in_time(builder.http2(&server.http2().await)).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "echo");
    let echo = Some("echo".to_owned());
    assert_eq!(told.recv().await.unwrap(), (echo.clone(), hyper::Version::HTTP_11));
    assert_eq!(told.recv().await.unwrap(), (echo, hyper::Version::HTTP_2));
}
