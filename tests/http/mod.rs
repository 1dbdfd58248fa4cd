//! Servers and clients of HTTP for the tests.
#![allow(dead_code, reason = "each test binary uses its own part")]

use fastwebsockets_stream::{
    Transport, WebSocketStream, Windows,
    client::{Builder, Http2},
    server::{Acceptor, Upgrade},
};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

pub(crate) type Stream = WebSocketStream<Transport>;

/// Both versions of HTTP.
pub(crate) const VERSIONS: [Version; 2] = [Version::Http1, Version::Http2];

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Version {
    Http1,
    Http2,
}

/// A server of both versions, with plain pages beside its WebSockets. It ends with its value.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _accepting: JoinSet<()>,
}

impl Server {
    /// Serves each WebSocket that the acceptor takes.
    pub(crate) async fn start<F>(
        acceptor: Acceptor,
        serve: impl Fn(Upgrade) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let acceptor = Arc::new(acceptor);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tcp.set_nodelay(true).unwrap();
                connections.spawn(serve_connection(tcp, Arc::clone(&acceptor), serve.clone()));
            }
        });
        Self { address, _accepting: accepting }
    }

    pub(crate) fn builder(&self) -> Builder {
        Builder::new(format!("ws://{}/path?query", self.address))
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        let tcp = TcpStream::connect(self.address).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp
    }

    pub(crate) async fn http2(&self) -> Http2 {
        Http2::handshake(self.tcp().await).await.unwrap()
    }

    /// Opens a WebSocket on a connection of its own.
    pub(crate) async fn open(&self, version: Version) -> Stream {
        let builder = self.builder();
        let opened = match version {
            Version::Http1 => builder.http1(self.tcp().await).await,
            Version::Http2 => builder.http2(&self.http2().await).await,
        };
        opened.unwrap().0
    }
}

/// Serves one connection, of either version.
pub(crate) async fn serve_connection<S, F>(
    io: S,
    acceptor: Arc<Acceptor>,
    serve: impl Fn(Upgrade) -> F + Clone + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new());
    Windows::default().apply_to_server(&mut http);
    http.http2().max_concurrent_streams(1500);
    serve_with(http, io, acceptor, serve).await;
}

/// A server of both versions that takes WebSockets over HTTP/1.1 only.
pub(crate) async fn serve_without_extended_connect<S, F>(
    io: S,
    serve: impl Fn(Upgrade) -> F + Clone + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let http = auto::Builder::new(TokioExecutor::new());
    serve_with(http, io, Arc::new(Acceptor::new()), serve).await;
}

/// Serves one connection with a builder of one's own.
pub(crate) async fn serve_with<S, F>(
    http: auto::Builder<TokioExecutor>,
    io: S,
    acceptor: Arc<Acceptor>,
    serve: impl Fn(Upgrade) -> F + Clone + Send + 'static,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let service = service_fn(move |mut request: Request<_>| {
        let (acceptor, serve) = (Arc::clone(&acceptor), serve.clone());
        async move { Ok::<_, Infallible>(respond(&mut request, &acceptor, serve)) }
    });
    // That a client drops the connection is its right.
    let _ended = http.serve_connection_with_upgrades(TokioIo::new(io), service).await;
}

fn respond<B, F>(
    request: &mut Request<B>,
    acceptor: &Acceptor,
    serve: impl Fn(Upgrade) -> F,
) -> Response<Full<Bytes>>
where
    F: Future<Output = ()> + Send + 'static,
{
    if request.uri().path() == "/page" {
        return Response::new("a page".into());
    }
    match acceptor.accept(request) {
        Ok((response, upgrade)) => {
            tokio::spawn(serve(upgrade));
            response.map(|_| Full::default())
        }
        Err(refused) => refused.response(),
    }
}

/// Sends back what comes, until the end.
pub(crate) async fn echo(upgrade: Upgrade) {
    if let Ok(stream) = upgrade.await {
        let (mut reads, mut writes) = tokio::io::split(stream);
        if tokio::io::copy(&mut reads, &mut writes).await.is_ok() {
            let _ended = tokio::io::AsyncWriteExt::shutdown(&mut writes).await;
        }
    }
}
