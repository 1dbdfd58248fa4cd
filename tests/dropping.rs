//! A stream can be dropped right after its last flush or shutdown: everything arrives.
//!
//! `DROPS=200 cargo test --release --test dropping` repeats each case 200 times.
#![cfg(feature = "handshake")]

mod common;
mod http;

use common::{bytes, in_time};
use fastwebsockets_stream::server::Acceptor;
use http::{Server, Stream, VERSIONS, Version};
use std::{io::ErrorKind, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Last {
    Flush,
    Shutdown,
}

fn repetitions(size: usize) -> usize {
    let asked = std::env::var("DROPS").ok().and_then(|times| times.parse().ok());
    asked.unwrap_or(if size > 1 << 20 { 5 } else { 40 })
}

async fn write_and_drop(mut stream: Stream, sent: &[u8], last: Last) {
    stream.write_all(sent).await.unwrap();
    match last {
        Last::Flush => stream.flush().await.unwrap(),
        Last::Shutdown => stream.shutdown().await.unwrap(),
    }
}

/// What was read, and whether it ended with a Close.
async fn read_to_end(mut stream: Stream) -> (Vec<u8>, bool) {
    let mut received = Vec::new();
    let end = stream.read_to_end(&mut received).await;
    if let Err(error) = &end {
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
    }
    (received, end.is_ok())
}

async fn the_client_drops(version: Version, size: usize, last: Last) {
    let (report, mut reports) = mpsc::unbounded_channel();
    let server = Server::start(Acceptor::new(), move |upgrade| {
        let report = report.clone();
        async move { report.send(read_to_end(upgrade.await.unwrap()).await).unwrap() }
    })
    .await;
    let connection = server.http2().await;
    let sent = bytes(size);
    for _ in 0..repetitions(size) {
        let stream = match version {
            Version::Http1 => server.open(version).await,
            Version::Http2 => server.builder().http2(&connection).await.unwrap().0,
        };
        write_and_drop(stream, &sent, last).await;
        let (received, closed) = in_time(reports.recv()).await.unwrap();
        assert!(received == sent, "{} of {size} bytes, {version:?}, {last:?}", received.len());
        assert_eq!(closed, last == Last::Shutdown);
    }
}

async fn the_server_drops(version: Version, size: usize, last: Last) {
    let sent = Arc::new(bytes(size));
    let expected = Arc::clone(&sent);
    let server = Server::start(Acceptor::new(), move |upgrade| {
        let sent = Arc::clone(&sent);
        async move { write_and_drop(upgrade.await.unwrap(), &sent, last).await }
    })
    .await;
    let connection = server.http2().await;
    for _ in 0..repetitions(size) {
        let stream = match version {
            Version::Http1 => server.open(version).await,
            Version::Http2 => server.builder().http2(&connection).await.unwrap().0,
        };
        let (received, closed) = in_time(read_to_end(stream)).await;
        assert!(received == *expected, "{} of {size} bytes, {version:?}, {last:?}", received.len());
        assert_eq!(closed, last == Last::Shutdown);
    }
}

async fn all_cases() {
    for version in VERSIONS {
        for size in [100, 10_000, 3_000_000] {
            for last in [Last::Flush, Last::Shutdown] {
                the_client_drops(version, size, last).await;
                the_server_drops(version, size, last).await;
            }
        }
    }
}

#[tokio::test(flavor = "current_thread")]
async fn dropping_loses_nothing_on_the_current_thread_runtime() {
    all_cases().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_loses_nothing_on_the_multi_thread_runtime() {
    all_cases().await;
}
