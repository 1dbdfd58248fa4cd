//! What people run over a byte stream, run over ours, over both versions of HTTP: it must notice no
//! difference from TCP.
//!
//! Real servers of MQTT, PostgreSQL and Redis are in `tests/protocols/run`.
#![cfg(feature = "handshake")]

mod adapters;
#[path = "../common/mod.rs"]
mod common;
mod grpc;
#[path = "../http/mod.rs"]
mod http;
mod http_inside;
mod protobuf;
#[cfg(feature = "tls")]
mod tls_inside;

use common::in_time;
use fastwebsockets_stream::{Config, server::Acceptor};
use http::{Server, Stream, VERSIONS, Version};
use tokio::sync::mpsc;

/// Runs a test with both ends of a WebSocket: over each version of HTTP, and with either end as the
/// first.
async fn each_way(config: impl Into<Config>, test: impl AsyncFn(Stream, Stream)) {
    let config = config.into();
    for version in VERSIONS {
        for reversed in [false, true] {
            println!("{version:?}, the WebSocket's server is the first end: {reversed}");
            let (client, server, _http) = in_time(open(version, config)).await;
            let (one, other) = if reversed { (server, client) } else { (client, server) };
            in_time(test(one, other)).await;
        }
    }
}

/// Both ends of a WebSocket, and who serves HTTP to them as long as it is there.
async fn open(version: Version, config: Config) -> (Stream, Stream, Server) {
    let (sender, mut opened) = mpsc::channel(1);
    let http = Server::start(Acceptor::new().config(config), move |upgrade| {
        let sender = sender.clone();
        async move { sender.send(upgrade.await.unwrap()).await.unwrap() }
    })
    .await;
    let builder = http.builder().config(config);
    let client = match version {
        Version::Http1 => builder.http1(http.tcp().await).await,
        Version::Http2 => builder.http2(&http.http2().await).await,
    };
    (client.unwrap().0, opened.recv().await.unwrap(), http)
}
