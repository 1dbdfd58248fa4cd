//! The axum example, over both versions of HTTP.
#![cfg(feature = "handshake")]

mod common;
#[path = "../examples/axum.rs"]
#[allow(dead_code, unreachable_pub, reason = "it is a program of its own")]
mod example;

use common::{bytes, in_time};
use fastwebsockets_stream::{
    Config,
    client::{Builder, HandshakeError, Http2},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test]
async fn a_router_serves_websockets_over_both_versions() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(async { axum::serve(listener, example::router()).await });
    let connect = async || TcpStream::connect(address).await.unwrap();
    let connection = Http2::handshake(connect().await).await.unwrap();

    let builder =
        Builder::new(format!("ws://{address}/echo")).config(Config::new().half_close(true));
    let (http1, _) = in_time(builder.http1(connect().await)).await.unwrap();
    let (http2, _) = in_time(builder.http2(&connection)).await.unwrap();
    let sent = bytes(1 << 20);
    for stream in [http1, http2] {
        let (mut reads, mut writes) = tokio::io::split(stream);
        let write = async {
            writes.write_all(&sent).await.unwrap();
            writes.shutdown().await.unwrap();
        };
        let mut received = Vec::new();
        let ((), read) =
            in_time(async { tokio::join!(write, reads.read_to_end(&mut received)) }).await;
        read.unwrap();
        assert!(received == sent);
    }

    // Its other routes, and pages of other sites, are no WebSockets.
    for builder in [
        Builder::new(format!("ws://{address}/")),
        Builder::new(format!("ws://{address}/echo")).origin("https://evil.example.com"),
    ] {
        let error = in_time(builder.http2(&connection)).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Refused(_)), "{error}");
    }
    serving.abort();
}
