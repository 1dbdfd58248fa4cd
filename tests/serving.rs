//! `serve_connection`: both versions on one connection, and no patience without end.
#![cfg(feature = "handshake")]

mod common;

use common::in_time;
use fastwebsockets_stream::{
    Config,
    client::{Builder, Http2},
    server,
};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes};
use std::{future::pending, io::ErrorKind, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, copy, copy_bidirectional, duplex, split},
    sync::Notify,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A connection to a server that echoes, and has a page.
fn connect() -> (DuplexStream, JoinHandle<std::io::Result<()>>) {
    let (ours, theirs) = duplex(100_000);
    (ours, tokio::spawn(server::serve_connection(theirs, respond)))
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
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
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
