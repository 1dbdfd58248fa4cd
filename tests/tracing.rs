//! What the feature `tracing` tells: handshakes, Closes and errors, and nothing for a frame.

mod common;
mod http;

use common::{
    bytes,
    frames::{self, BINARY, PING},
    in_time, stream,
};
use fastwebsockets_stream::{
    PayloadType, client::Builder, fastwebsockets::Role, server, server::Acceptor,
};
use futures_util::FutureExt;
use http::{Server, VERSIONS, Version, echo};
use std::{
    fmt::{self, Write},
    io::ErrorKind,
    sync::{Arc, Mutex},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id},
    subscriber::DefaultGuard,
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
};

/// Everything that the crate has told on this thread: a line an event, after the spans it is in.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    /// Listens for as long as the guard lives.
    fn listen() -> (Self, DefaultGuard) {
        let told = Self::default();
        let subscriber = tracing_subscriber::registry().with(told.clone());
        (told, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    /// Asserts that there is one line with all of these words, and returns it.
    fn one(&self, words: &[&str]) -> String {
        let lines = self.lines();
        let found: Vec<_> =
            lines.iter().filter(|line| words.iter().all(|word| line.contains(word))).collect();
        assert_eq!(found.len(), 1, "{words:?} in {lines:#?}");
        found[0].clone()
    }
}

struct Words(String);

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Told {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut words = Words(attributes.metadata().name().to_owned());
        attributes.record(&mut words);
        context.span(id).unwrap().extensions_mut().insert(words);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        if event.metadata().target() != "fastwebsockets_stream" {
            return;
        }
        assert_eq!(*event.metadata().level(), Level::DEBUG);
        let mut line = Words(String::new());
        for span in context.event_scope(event).into_iter().flat_map(|scope| scope.from_root()) {
            write!(line.0, "{}: ", span.extensions().get::<Words>().unwrap().0).unwrap();
        }
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

#[tokio::test]
async fn both_ends_of_a_handshake_are_told_with_host_path_and_subprotocol() {
    for (version, name) in VERSIONS.into_iter().zip(["HTTP/1.1", "HTTP/2"]) {
        let (told, _listening) = Told::listen();
        let server = Server::start(Acceptor::new().subprotocols(["chat"]), echo).await;
        let builder = Builder::new(format!("ws://{}/room?token=secret", server.address))
            .subprotocols(["chat"])
            .header("authorization", "secret");
        let opened = match version {
            Version::Http1 => in_time(builder.http1(server.tcp().await)).await,
            Version::Http2 => in_time(builder.http2(&server.http2().await)).await,
        };
        let (mut stream, _) = opened.unwrap();
        in_time(stream.close(1000, "")).await.unwrap();
        told.one(&["accept", "path=\"/room\"", "accepted", "subprotocol=\"chat\""]);
        told.one(&["accept", "path=\"/room\"", "message=open"]);
        told.one(&["open", name, "127.0.0.1", "path=\"/room\"", "message=open", "chat"]);
        let lines = told.lines();
        assert!(!lines.iter().any(|line| line.contains("secret")), "{lines:#?}");
    }
}

#[cfg(feature = "connect")]
#[tokio::test]
async fn a_connect_is_told_once_however_it_ends() {
    let (told, _listening) = Told::listen();
    let server = Server::start(Acceptor::new(), echo).await;
    in_time(server.builder().connect()).await.unwrap();
    told.one(&["open how=\"connect\"", "message=open", "HTTP/1.1"]);
    in_time(server.builder().connect_http2()).await.unwrap();
    told.one(&["open how=\"connect for HTTP/2\"", "connected"]);
    // A port that is taken, and on which nobody listens.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let nobody = Builder::new(format!("ws://{}/", taken.local_addr().unwrap()));
    in_time(nobody.connect()).await.unwrap_err();
    told.one(&["open how=\"connect\"", "not open", "no connection"]);
    in_time(nobody.connect_http2()).await.unwrap_err();
    told.one(&["open how=\"connect for HTTP/2\"", "not open", "no connection"]);
}

#[tokio::test]
async fn a_refusal_is_told_at_both_ends() {
    let (told, _listening) = Told::listen();
    let server = Server::start(Acceptor::new(), echo).await;
    let builder = server.builder().origin("https://elsewhere.example");
    in_time(builder.http1(server.tcp().await)).await.unwrap_err();
    told.one(&["accept", "refused", "status=403", "Origin"]);
    told.one(&["open", "not open", "answered 403"]);
}

#[tokio::test]
async fn a_response_that_was_never_sent_is_told() {
    let (told, _listening) = Told::listen();
    let server = Server::start(Acceptor::new(), async |upgrade: server::Upgrade| {
        upgrade.await.unwrap_err();
    })
    .await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut tcp = server.tcp().await;
    tcp.set_zero_linger().unwrap();
    tcp.write_all(request.as_bytes()).await.unwrap();
    drop(tcp);
    let not_open = || told.lines().iter().any(|line| line.contains("not open"));
    in_time(async {
        while !not_open() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    told.one(&["accept", "not open", "error="]);
}

#[tokio::test]
async fn the_end_of_an_http2_connection_is_told() {
    let (told, _listening) = Told::listen();
    let server = Server::start(Acceptor::new(), echo).await;
    let connection = server.http2().await;
    drop(in_time(server.builder().http2(&connection)).await.unwrap());
    drop(server);
    in_time(async {
        while !connection.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    told.one(&["an HTTP/2 connection has ended"]);
}

#[tokio::test]
async fn closes_are_told_with_code_reason_and_figures_and_frames_are_not() {
    let (told, _listening) = Told::listen();
    let (mut stream, peer) = stream(Role::Server, PayloadType::Binary);
    for _ in 0..1000 {
        peer.send(&frames::masked(BINARY, &bytes(10)));
        peer.send(&frames::masked(PING, b""));
        in_time(stream.read_exact(&mut [0; 10])).await.unwrap();
        in_time(stream.write_all(&bytes(10))).await.unwrap();
    }
    assert_eq!(told.lines().len(), 0);
    peer.send(&frames::close_to(Role::Server, 4001, "enough"));
    assert_eq!(in_time(stream.read(&mut [0; 10])).await.unwrap(), 0);
    told.one(&["the peer has closed", "code=4001", "enough", "bytes_read: 10000"]);
    told.one(&["closing", "code=4001"]);
    assert_eq!(told.lines().len(), 2);
}

#[tokio::test]
async fn every_error_is_told_once() {
    let (told, _listening) = Told::listen();
    let (mut violated, peer) = stream(Role::Server, PayloadType::Binary);
    peer.send(&frames::unmasked(BINARY, b"x"));
    for _ in 0..3 {
        in_time(violated.read(&mut [0; 10])).await.unwrap_err();
    }
    told.one(&["reading has failed", "broke the WebSocket protocol", "mask"]);
    told.one(&["closing", "code=1002"]);

    let (told, _listening) = Told::listen();
    let (mut truncated, peer) = stream(Role::Client, PayloadType::Binary);
    peer.end();
    for _ in 0..3 {
        in_time(truncated.read(&mut [0; 10])).await.unwrap_err();
    }
    told.one(&["reading has failed", "ended without a Close"]);
    assert_eq!(told.lines().len(), 1);

    let (told, _listening) = Told::listen();
    let (mut broken, peer) = stream(Role::Client, PayloadType::Binary);
    peer.fail_writes(ErrorKind::ConnectionReset);
    for _ in 0..3 {
        in_time(broken.write(b"x")).await.unwrap_err();
    }
    told.one(&["writing has failed", "connection reset"]);
    assert_eq!(told.lines().len(), 1);
}

#[tokio::test]
async fn a_transport_that_fails_is_told_once_whoever_asks_how_often() {
    for payload in [&b"lost"[..], b""] {
        let (mut stream, peer) = stream(Role::Server, PayloadType::Binary);
        let (told, _guard) = Told::listen();
        peer.take_only(1);
        in_time(stream.write_all(payload)).await.unwrap();
        peer.send(&frames::masked(PING, b"?"));
        peer.fail_writes(ErrorKind::ConnectionReset);
        for _ in 0..2 {
            assert!(stream.read_u8().now_or_never().is_none());
            in_time(stream.flush()).await.unwrap_err();
            in_time(stream.write(b"x")).await.unwrap_err();
            in_time(stream.shutdown()).await.unwrap_err();
            in_time(stream.close(1000, "")).await.unwrap_err();
        }
        told.one(&["writing has failed", "connection reset"]);
    }
}

#[tokio::test]
async fn what_happens_to_a_stream_is_told_in_the_span_of_whoever_polls_it() {
    let (told, _listening) = Told::listen();
    let (mut stream, peer) = stream(Role::Client, PayloadType::Binary);
    peer.end();
    let span = tracing::info_span!("session", number = 7);
    let read = async { stream.read(&mut [0; 10]).await };
    in_time(tracing::Instrument::instrument(read, span)).await.unwrap_err();
    told.one(&["session number=7: ", "reading has failed"]);
}
