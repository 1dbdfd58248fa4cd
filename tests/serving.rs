//! `serve_connection`: both versions on one connection, and no patience without end.
#![cfg(feature = "handshake")]

mod common;

use common::in_time;
use fastwebsockets_stream::{
    Config, Windows,
    client::{Builder, HandshakeError, Http2},
    server,
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes};
use std::{future::pending, io::ErrorKind, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, copy_bidirectional, duplex, split},
    sync::{Notify, oneshot},
    task::JoinHandle,
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

#[tokio::test]
async fn a_websocket_over_http1_outlives_the_stop_of_its_connection() {
    let (http1, served, stop) = connect_until(server::Builder::new());
    let builder = Builder::new("ws://server.example.com/");
    let (mut stream, _) = in_time(builder.http1(http1)).await.unwrap();
    in_time(served).await.unwrap().unwrap();
    stop.send(()).unwrap_err();
    stream.write_all(b"hello").await.unwrap();
    in_time(stream.read_exact(&mut [0; 5])).await.unwrap();
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

    // A client that has asked, and then is silent: pinged after the one time, given up after both.
    let http = server::Builder::new().keep_alive(short, 2 * short);
    let (mut silent, served, _stop) = connect_until(http);
    silent.write_all(PREFACE).await.unwrap();
    let began = Instant::now();
    served.await.unwrap().unwrap_err();
    let waited = began.elapsed();
    assert!((3 * short..3 * short + Duration::from_secs(1)).contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn the_limits_of_http2_are_as_they_were_set() {
    let windows = Windows { stream: 100_000, connection: 300_000, frame: 20_000 };
    let http = server::Builder::new().windows(windows).max_streams(7);
    let (mut client, _served, _stop) = connect_until(http);
    client.write_all(PREFACE).await.unwrap();
    let mut head = [0; 9];
    in_time(client.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[3], 4, "SETTINGS (RFC 9113 section 6.5)");
    let mut settings = vec![0; usize::from(head[2])];
    in_time(client.read_exact(&mut settings)).await.unwrap();
    let value = |id: u16| {
        settings
            .chunks(6)
            .find(|setting| setting[..2] == id.to_be_bytes())
            .map(|setting| u32::from_be_bytes(setting[2..].try_into().unwrap()))
    };
    // MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, and ENABLE_CONNECT_PROTOCOL.
    let values = [3, 4, 5, 8].map(value);
    assert_eq!(values, [Some(7), Some(100_000), Some(20_000), Some(1)]);
}
