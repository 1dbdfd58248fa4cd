//! A stream of an HTTP/2 connection of hyper's, opened by extended CONNECT (RFC 8441).

use super::{
    Boxed,
    tasks::{self, Executor},
};
use http_body_util::Empty;
use hyper::{
    Method, Request, Response,
    body::Bytes,
    client::conn::http2::handshake,
    ext::Protocol,
    server::conn::http2,
    service::service_fn,
    upgrade::{self, OnUpgrade},
};
use hyper_util::rt::TokioIo;
use std::{convert::Infallible, sync::mpsc};

pub(super) fn connect(client: Boxed, server: Boxed) -> (Boxed, Boxed) {
    let (opened, open) = mpsc::channel::<OnUpgrade>();
    let service = service_fn(move |mut request: Request<_>| {
        opened.send(upgrade::on(&mut request)).unwrap();
        async { Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())) }
    });
    let serving = http2::Builder::new(Executor)
        .enable_connect_protocol()
        .serve_connection(TokioIo::new(server), service);
    tasks::spawn(async {
        let _ended = serving.await;
    });
    tasks::run(async {
        let (mut sender, connection) = handshake(Executor, TokioIo::new(client)).await.unwrap();
        tasks::spawn(async {
            let _ended = connection.await;
        });
        // The server's settings have to be there before it may be asked.
        tokio::task::yield_now().await;
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = "http://inside/".parse().unwrap();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let response = sender.send_request(request).await.unwrap();
        let client = upgrade::on(response).await.unwrap();
        let server = open.try_recv().unwrap().await.unwrap();
        (Box::new(TokioIo::new(client)) as Boxed, Box::new(TokioIo::new(server)) as Boxed)
    })
}
