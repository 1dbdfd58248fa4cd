//! `Http2Pool`: WebSockets on connections that come and go.
#![cfg(feature = "connect")]

mod common;
mod http;

use common::in_time;
use fastwebsockets_stream::{
    client::{Builder, HandshakeError, Http2Pool},
    server::Acceptor,
};
use http::{Stream, echo};
use http_body_util::Empty;
use hyper::{Response, body::Bytes, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

/// How a server is done with a connection.
enum End {
    /// At once.
    Cut,
    /// By GOAWAY: its streams live on, and it takes no new ones.
    GoAway,
}

/// A server whose connections can be counted and ended.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    connections: std::sync::mpsc::Receiver<oneshot::Sender<End>>,
    _accepting: JoinSet<()>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let (made, connections) = std::sync::mpsc::channel();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut serving = JoinSet::new();
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let (end, ended) = oneshot::channel();
                made.send(end).unwrap();
                serving.spawn(serve(tcp, ended));
            }
        });
        Self { address, accepted, connections, _accepting: accepting }
    }

    fn pool(&self, connections: usize) -> Http2Pool {
        Http2Pool::new(Builder::new(format!("ws://{}/", self.address)), connections)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Ends the oldest connection that was not ended yet.
    fn end(&self, how: End) {
        assert!(self.connections.try_recv().unwrap().send(how).is_ok());
    }
}

async fn serve(tcp: TcpStream, end: oneshot::Receiver<End>) {
    let service = service_fn(async |mut request| {
        let (response, upgrade) = Acceptor::new().accept(&mut request).unwrap();
        tokio::spawn(echo(upgrade));
        Ok::<Response<Empty<Bytes>>, Infallible>(response)
    });
    let mut http = http2::Builder::new(TokioExecutor::new());
    http.enable_connect_protocol();
    let mut serving = pin!(http.serve_connection(TokioIo::new(tcp), service));
    tokio::select! {
        _ended = &mut serving => {}
        Ok(end) = end => if let End::GoAway = end {
            serving.as_mut().graceful_shutdown();
            let _ended = serving.await;
        }
    }
}

async fn open(pool: &Http2Pool) -> Stream {
    in_time(pool.open()).await.unwrap().0
}

async fn works(stream: &mut Stream) {
    stream.write_all(b"hello").await.unwrap();
    stream.flush().await.unwrap();
    in_time(stream.read_exact(&mut [0; 5])).await.unwrap();
}

#[tokio::test]
async fn connections_are_made_when_they_are_needed_and_taken_in_turns() {
    for (connections, expected) in [(0, 1), (1, 1), (3, 3), (20, 6)] {
        let server = Server::start().await;
        let pool = server.pool(connections);
        assert_eq!(server.accepted(), 0);
        let mut streams = Vec::new();
        for _ in 0..6 {
            streams.push(open(&pool).await);
        }
        assert_eq!(server.accepted(), expected);
        for stream in &mut streams {
            works(stream).await;
        }
    }
}

#[tokio::test]
async fn many_at_once_wait_for_the_same_connection() {
    let server = Server::start().await;
    let pool = Arc::new(server.pool(1));
    let mut opening = JoinSet::new();
    for _ in 0..50 {
        let pool = Arc::clone(&pool);
        opening.spawn(async move { works(&mut open(&pool).await).await });
    }
    assert_eq!(opening.join_all().await.len(), 50);
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_connection_that_has_ended_is_made_anew() {
    let server = Server::start().await;
    let pool = server.pool(1);
    for round in 1..=3 {
        let mut stream = open(&pool).await;
        works(&mut stream).await;
        assert_eq!(server.accepted(), round);
        server.end(End::Cut);
        if round == 1 {
            // Otherwise the next one may find out by itself.
            in_time(stream.read(&mut [0; 1])).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn a_connection_that_the_server_gives_up_keeps_its_streams_and_gets_no_more() {
    let server = Server::start().await;
    let pool = server.pool(1);
    let mut stream = open(&pool).await;
    server.end(End::GoAway);
    // Until the GOAWAY has come, the server still takes some.
    while server.accepted() == 1 {
        works(&mut open(&pool).await).await;
    }
    works(&mut stream).await;
    in_time(stream.close(1000, "")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let timeout = std::time::Duration::from_secs(10);
    // It accepts, and says nothing.
    let pool = Http2Pool::new(Builder::new(format!("ws://{address}/")).timeout(timeout), 1);
    let began = tokio::time::Instant::now();
    let opened = futures_util::future::join_all((0..10).map(|_| pool.open())).await;
    for opened in opened {
        assert!(matches!(opened, Err(HandshakeError::TimedOut)));
    }
    assert!(began.elapsed() < 2 * timeout, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_meanwhile_is_no_error_of_the_next_websocket() {
    let server = Server::start().await;
    let pool = server.pool(1);
    for _ in 0..100 {
        works(&mut open(&pool).await).await;
        server.end(End::Cut);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_and_later_there() {
    let reserved = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = reserved.local_addr().unwrap();
    drop(reserved);
    let pool = Http2Pool::new(Builder::new(format!("ws://{address}/")), 1);
    let error = in_time(pool.open()).await.unwrap_err();
    assert!(matches!(error, HandshakeError::Connect(_)), "{error}");
    let listener = TcpListener::bind(address).await.unwrap();
    let (_end, ended) = oneshot::channel();
    tokio::spawn(async move { serve(listener.accept().await.unwrap().0, ended).await });
    works(&mut open(&pool).await).await;
}
