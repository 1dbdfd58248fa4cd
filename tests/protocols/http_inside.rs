//! HTTP inside of a WebSocket: hyper's server and client, on either end.

use crate::{
    Stream,
    common::bytes,
    each_way,
    http::{echo, serve_connection},
};
use fastwebsockets_stream::{
    Config,
    client::{Builder, Http2},
    server::Acceptor,
};
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, body::Incoming, client, server, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::Arc;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    join,
    task::JoinHandle,
};

/// Answers with the body of the request, once it has come whole.
async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    Ok(Response::new(request.into_body().collect().await?.to_bytes().into()))
}

fn request(body: Vec<u8>) -> Request<Full<Bytes>> {
    Request::post("http://inside/").header("host", "inside").body(body.into()).unwrap()
}

async fn body_of(response: Response<Incoming>) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn http1_requests_one_after_the_other() {
    each_way(Config::new(), async |one, other| {
        let serving = tokio::spawn(
            server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(other), service_fn(answer)),
        );
        let (mut sender, connection) =
            client::conn::http1::handshake(TokioIo::new(one)).await.unwrap();
        let connection = tokio::spawn(connection);
        for len in [0, 1, 3 << 20, 1000] {
            let response = sender.send_request(request(bytes(len))).await.unwrap();
            assert!(body_of(response).await == bytes(len));
        }
        drop(sender);
        connection.await.unwrap().unwrap();
        serving.await.unwrap().unwrap();
    })
    .await;
}

/// The end of the request is the end of the client's direction, as with `nc -N`.
#[tokio::test]
async fn an_http1_client_may_end_its_direction_before_the_answer() {
    each_way(Config::new().half_close(true), async |mut one, other| {
        let body = bytes(3000);
        let head =
            format!("POST / HTTP/1.1\r\nhost: inside\r\ncontent-length: {}\r\n\r\n", body.len());
        one.write_all(&[head.as_bytes(), &body].concat()).await.unwrap();
        one.shutdown().await.unwrap();
        // While an answer is awaited, hyper looks whether the client is still there.
        let answer_later = async |request| {
            tokio::task::yield_now().await;
            answer(request).await
        };
        let serving = server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(TokioIo::new(other), service_fn(answer_later));
        let mut response = Vec::new();
        let (served, read) = join!(serving, one.read_to_end(&mut response));
        served.unwrap();
        read.unwrap();
        assert!(response.starts_with(b"HTTP/1.1 200 OK\r\n") && response.ends_with(&body));
    })
    .await;
}

async fn http2_client(
    io: Stream,
) -> (client::conn::http2::SendRequest<Full<Bytes>>, JoinHandle<hyper::Result<()>>) {
    let (sender, connection) =
        client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io)).await.unwrap();
    (sender, tokio::spawn(connection))
}

#[tokio::test]
async fn http2_requests_at_the_same_time() {
    each_way(Config::new(), async |one, other| {
        let serving = tokio::spawn(
            server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(other), service_fn(answer)),
        );
        let (sender, connection) = http2_client(one).await;
        let requests = (0..20).map(|number| {
            let mut sender = sender.clone();
            async move {
                let len = number * 30_000;
                let response = sender.send_request(request(bytes(len))).await.unwrap();
                assert!(body_of(response).await == bytes(len));
            }
        });
        join_all(requests).await;
        drop(sender);
        connection.await.unwrap().unwrap();
        serving.await.unwrap().unwrap();
    })
    .await;
}

#[tokio::test]
async fn websockets_inside_of_http_inside_of_a_websocket() {
    let exchange = async |mut inner: Stream| {
        inner.write_all(b"deep").await.unwrap();
        inner.shutdown().await.unwrap();
        let mut received = String::new();
        inner.read_to_string(&mut received).await.unwrap();
        assert_eq!(received, "deep");
    };
    each_way(Config::new(), async |one, other| {
        let config = Config::new().half_close(true);
        let acceptor = Arc::new(Acceptor::new().config(config));
        tokio::spawn(serve_connection(other, acceptor, echo));
        let builder = Builder::new("ws://inside/");
        let connection = Http2::handshake(one).await.unwrap();
        exchange(builder.http2(&connection).await.unwrap().0).await;
        exchange(builder.http2(&connection).await.unwrap().0).await;
    })
    .await;
    each_way(Config::new(), async |one, other| {
        let config = Config::new().half_close(true);
        let acceptor = Arc::new(Acceptor::new().config(config));
        tokio::spawn(serve_connection(other, acceptor, echo));
        exchange(Builder::new("ws://inside/").http1(one).await.unwrap().0).await;
    })
    .await;
}
