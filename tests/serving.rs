//! `serve_connection`: both versions on one connection, and no patience without end.
#![cfg(feature = "handshake")]

mod common;

use common::in_time;
use fastwebsockets_stream::{
    Config, PayloadType, WebSocketStream, Windows,
    client::{Builder, HandshakeError, Http2},
    fastwebsockets::Role,
    server,
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes};
use std::{future::pending, io::ErrorKind, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, copy_bidirectional, duplex, split},
    sync::{Notify, oneshot},
    task::{JoinHandle, yield_now},
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// What a client begins HTTP/2 with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// A connection to a server that echoes, and has a page.
fn connect() -> (DuplexStream, JoinHandle<std::io::Result<()>>) {
    let (ours, theirs) = duplex(100_000);
    (ours, tokio::spawn(server::serve_connection(theirs, respond)))
}

/// The same with a server of these options, which takes no more requests once it is told to stop.
fn connect_until(
    http: server::Builder,
) -> (DuplexStream, JoinHandle<std::io::Result<()>>, oneshot::Sender<()>) {
    let (ours, theirs) = duplex(100_000);
    let (stop, stopped) = oneshot::channel();
    let serving =
        tokio::spawn(async move { http.serve_connection_until(theirs, respond, stopped).await });
    (ours, serving, stop)
}

async fn respond<B>(mut request: Request<B>) -> Response<Full<Bytes>> {
    if request.uri().path() == "/page" {
        return Response::new("a page".into());
    }
    match server::upgrade(&mut request, Config::new().half_close(true)) {
        Err(refused) => refused.response(),
        Ok((response, upgrade)) => {
            tokio::spawn(async move {
                let (mut reads, mut writes) = split(upgrade.await?);
                copy(&mut reads, &mut writes).await?;
                writes.shutdown().await
            });
            response.map(|_| Full::default())
        }
    }
}

#[tokio::test]
async fn websockets_and_ordinary_requests_over_both_versions() {
    let builder = Builder::new("ws://server.example.com/");
    let (http1, served) = connect();
    let (mut stream, _) = in_time(builder.http1(http1)).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    in_time(stream.read_exact(&mut [0; 5])).await.unwrap();
    in_time(stream.close(1000, "")).await.unwrap();
    in_time(served).await.unwrap().unwrap();

    let (http2, served) = connect();
    let connection = in_time(Http2::handshake(http2)).await.unwrap();
    let (mut stream, _) = in_time(builder.http2(&connection)).await.unwrap();
    let page = Request::get("http://server.example.com/page").body(Full::<Bytes>::default());
    let page = in_time(connection.send_request(page.unwrap())).await.unwrap();
    assert_eq!(in_time(page.collect()).await.unwrap().to_bytes(), "a page");
    stream.write_all(b"hello").await.unwrap();
    in_time(stream.read_exact(&mut [0; 5])).await.unwrap();
    in_time(stream.close(1000, "")).await.unwrap();
    drop((stream, connection));
    in_time(served).await.unwrap().unwrap();
}

/// How long the server bears with a client that sends this and no more, and how it ends then.
async fn patience_with(sent: &[u8]) -> (Duration, std::io::Result<()>) {
    let (mut silent, served) = connect();
    let began = Instant::now();
    silent.write_all(sent).await.unwrap();
    let served = served.await.unwrap();
    (began.elapsed(), served)
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asks_for_nothing_is_given_up() {
    for sent in [b"".as_slice(), b"P", &PREFACE[..20], PREFACE, b"GET / HTTP/1.1\r\nHost:"] {
        let (waited, served) = patience_with(sent).await;
        assert!((PATIENCE..PATIENCE + Duration::from_secs(1)).contains(&waited), "{waited:?}");
        assert_eq!(served.unwrap_err().kind(), ErrorKind::TimedOut);
    }
}

#[tokio::test(start_paused = true)]
async fn so_is_one_that_does_not_finish_a_further_request() {
    let (mut slow, served) = connect();
    slow.write_all(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"a page") {
        answer.push(slow.read_u8().await.unwrap());
    }
    slow.write_all(b"GET /page HTTP/1.1\r\nHost:").await.unwrap();
    let began = Instant::now();
    let error = served.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(began.elapsed() <= PATIENCE + Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn the_error_of_the_transport_keeps_its_kind() {
    let io = tokio_test::io::Builder::new()
        .read_error(std::io::Error::from(ErrorKind::ConnectionReset))
        .build();
    let error = in_time(server::serve_connection(io, respond)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn an_idle_websocket_lives_on_over_both_versions() {
    let builder = Builder::new("ws://server.example.com/");
    let (http1, _served) = connect();
    let (one, _) = builder.http1(http1).await.unwrap();
    let (http2, _served) = connect();
    let (two, _) = builder.http2(&Http2::handshake(http2).await.unwrap()).await.unwrap();
    sleep(20 * PATIENCE).await;
    for mut stream in [one, two] {
        stream.write_all(b"hello").await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn an_http2_connection_over_a_dead_route_ends_at_both_ends() {
    let (mut to_server, served) = connect();
    let (client, mut from_client) = duplex(100_000);
    let dead = Arc::new(Notify::new());
    let die = Arc::clone(&dead);
    tokio::spawn(async move {
        tokio::select! {
            _ended = copy_bidirectional(&mut from_client, &mut to_server) => {}
            () = dead.notified() => {}
        }
        // Nothing passes any more, and nothing ends.
        pending::<()>().await;
    });
    let connection = Http2::handshake(client).await.unwrap();
    let builder = Builder::new("ws://server.example.com/");
    let (mut stream, _) = builder.http2(&connection).await.unwrap();
    stream.write_all(b"hello").await.unwrap();
    stream.read_exact(&mut [0; 5]).await.unwrap();
    die.notify_one();
    let mut rest = [0; 5];
    let ends = async { tokio::join!(served, stream.read(&mut rest)) };
    let (served, read) =
        timeout(2 * PATIENCE + Duration::from_secs(1), ends).await.expect("given up in time");
    served.unwrap().unwrap_err();
    read.unwrap_err();
    assert!(connection.is_closed());
}

#[tokio::test]
async fn a_stop_leaves_open_websockets_over_http2_and_takes_no_more() {
    let (http2, served, stop) = connect_until(server::Builder::new());
    let connection = in_time(Http2::handshake(http2)).await.unwrap();
    let builder = Builder::new("ws://server.example.com/");
    let (mut stream, _) = in_time(builder.http2(&connection)).await.unwrap();
    stop.send(()).unwrap();
    let refused = async {
        loop {
            if let Err(refused) = builder.http2(&connection).await {
                return refused;
            }
        }
    };
    let refused = in_time(refused).await;
    let kinds = matches!(refused, HandshakeError::ConnectionClosed | HandshakeError::Http(_));
    assert!(kinds, "{refused:?}");
    // The one after it is told before it is sent.
    in_time(builder.http2(&connection)).await.unwrap_err();
    assert!(connection.is_closed());
    // What is open goes on, both ways, to its own end.
    for _ in 0..3 {
        stream.write_all(b"hello").await.unwrap();
        in_time(stream.read_exact(&mut [0; 5])).await.unwrap();
    }
    assert!(!served.is_finished());
    in_time(stream.close(1000, "")).await.unwrap();
    // The client's end of an HTTP/2 stream ends when it is dropped.
    drop(stream);
    in_time(served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stop_ends_an_idle_connection_of_either_version_and_one_that_asked_for_nothing() {
    let (_silent, served, stop) = connect_until(server::Builder::new());
    stop.send(()).unwrap();
    in_time(served).await.unwrap().unwrap();

    let (mut http1, served, stop) = connect_until(server::Builder::new());
    http1.write_all(b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"a page") {
        answer.push(in_time(http1.read_u8()).await.unwrap());
    }
    stop.send(()).unwrap();
    in_time(served).await.unwrap().unwrap();
    assert_eq!(in_time(http1.read(&mut [0; 9])).await.unwrap(), 0);

    let (http2, served, stop) = connect_until(server::Builder::new());
    let connection = in_time(Http2::handshake(http2)).await.unwrap();
    let page = Request::get("http://server.example.com/page").body(Full::<Bytes>::default());
    let page = in_time(connection.send_request(page.unwrap())).await.unwrap();
    in_time(page.collect()).await.unwrap();
    stop.send(()).unwrap();
    in_time(served).await.unwrap().unwrap();
}

/// Asks for an upgrade at this path, of a server that is told to stop before its handler goes on.
async fn upgrade_while_stopping(path: &str) -> (DuplexStream, JoinHandle<std::io::Result<()>>) {
    let (mut client, theirs) = duplex(100_000);
    let (asked, may_answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (stop, stopped) = oneshot::channel();
    let serving = {
        let (asked, may_answer) = (Arc::clone(&asked), Arc::clone(&may_answer));
        let handle = move |request| {
            let (asked, may_answer) = (Arc::clone(&asked), Arc::clone(&may_answer));
            async move {
                asked.notify_one();
                may_answer.notified().await;
                respond(request).await
            }
        };
        tokio::spawn(async move {
            server::Builder::new().serve_connection_until(theirs, handle, stopped).await
        })
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    client.write_all(request.as_bytes()).await.unwrap();
    in_time(asked.notified()).await;
    stop.send(()).unwrap();
    // The connection's task sees that before its handler goes on.
    yield_now().await;
    may_answer.notify_one();
    (client, serving)
}

/// Some clients take no other `Connection` header than "Upgrade" for an answer.
#[tokio::test]
async fn a_stop_while_an_upgrade_is_being_answered_changes_nothing_about_it() {
    let (mut client, serving) = upgrade_while_stopping("/").await;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(in_time(client.read_u8()).await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(answer.contains("\r\nconnection: upgrade\r\n"), "{answer}");
    in_time(serving).await.unwrap().unwrap();
    let mut stream = WebSocketStream::after_handshake(client, Role::Client, PayloadType::Binary);
    stream.write_all(b"hello").await.unwrap();
    in_time(stream.read_exact(&mut [0; 5])).await.unwrap();
}

#[tokio::test]
async fn a_stop_while_an_upgrade_is_being_refused_ends_the_connection_after_it() {
    let (mut client, serving) = upgrade_while_stopping("/page").await;
    let mut answer = Vec::new();
    in_time(client.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.ends_with(b"a page"));
    in_time(serving).await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn times_are_as_they_were_set() {
    let short = Duration::from_secs(3);
    let http = server::Builder::new().request_timeout(short);
    for sent in [b"".as_slice(), b"GET / HTTP/1.1\r\nHost:"] {
        let (mut silent, served, _stop) = connect_until(http.clone());
        let began = Instant::now();
        silent.write_all(sent).await.unwrap();
        assert_eq!(served.await.unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
        let waited = began.elapsed();
        assert!((short..short + Duration::from_secs(1)).contains(&waited), "{waited:?}");
    }

    // For ever is no time that can't be added to another.
    let patient =
        server::Builder::new().request_timeout(Duration::MAX).keep_alive(short, Duration::MAX);
    for sent in [b"GET / HTTP/1.1\r\nHost:".as_slice(), PREFACE] {
        let (mut silent, served, _stop) = connect_until(patient.clone());
        silent.write_all(sent).await.unwrap();
        sleep(100 * PATIENCE).await;
        assert!(!served.is_finished());
    }

    // A client that then is silent: pinged after the one time, given up after both.
    let http = server::Builder::new().keep_alive(short, 3 * short);
    let (mut silent, served, _stop) = connect_until(http);
    let began = Instant::now();
    silent.write_all(PREFACE).await.unwrap();
    while read_frame(&mut silent).await.0 != PING {}
    let waited = began.elapsed();
    assert!((short..short + Duration::from_secs(1)).contains(&waited), "{waited:?}");
    served.await.unwrap().unwrap_err();
    let waited = began.elapsed();
    assert!((4 * short..4 * short + Duration::from_secs(1)).contains(&waited), "{waited:?}");
}

const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

/// The type and the payload of an HTTP/2 frame (RFC 9113 section 4.1).
async fn read_frame(io: &mut DuplexStream) -> (u8, Vec<u8>) {
    let mut head = [0; 9];
    io.read_exact(&mut head).await.unwrap();
    let mut payload = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    io.read_exact(&mut payload).await.unwrap();
    (head[3], payload)
}

/// What a server of these options tells of itself: SETTINGS (RFC 9113 section 6.5.2, and RFC 8441
/// section 3), and how much it adds to the first window of the connection.
async fn announced(http: server::Builder) -> ([Option<u32>; 4], u32) {
    let (mut client, _served, _stop) = connect_until(http);
    client.write_all(PREFACE).await.unwrap();
    let (kind, settings) = in_time(read_frame(&mut client)).await;
    assert_eq!(kind, SETTINGS);
    let value = |id: u16| {
        let setting = settings.chunks(6).find(|setting| setting[..2] == id.to_be_bytes())?;
        Some(u32::from_be_bytes(setting[2..].try_into().unwrap()))
    };
    // MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, and ENABLE_CONNECT_PROTOCOL.
    let settings = [3, 4, 5, 8].map(value);
    loop {
        let (kind, more) = in_time(read_frame(&mut client)).await;
        if kind == WINDOW_UPDATE {
            return (settings, u32::from_be_bytes(more.try_into().unwrap()));
        }
    }
}

#[tokio::test]
async fn the_limits_of_http2_are_as_they_were_set() {
    let windows = Windows { stream: 100_000, connection: 300_000, frame: 20_000 };
    let announcement = announced(server::Builder::new().windows(windows).max_streams(7)).await;
    let settings = [Some(7), Some(100_000), Some(20_000), Some(1)];
    assert_eq!(announcement, (settings, 300_000 - 65_535));

    // What can't be is the nearest that can.
    let windows = Windows { stream: u32::MAX, connection: u32::MAX, frame: u32::MAX };
    let (settings, more) = announced(server::Builder::new().windows(windows)).await;
    assert_eq!(settings, [Some(1000), Some((1 << 31) - 1), Some((1 << 24) - 1), Some(1)]);
    assert_eq!(more, (1 << 31) - 1 - 65_535);
    let windows = Windows { stream: 0, connection: 300_000, frame: 0 };
    let (settings, _) = announced(server::Builder::new().windows(windows)).await;
    assert_eq!(settings, [Some(1000), Some(0), Some(16_384), Some(1)]);
}
