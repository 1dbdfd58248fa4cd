//! What only HTTP/2 has: GOAWAY and RST_STREAM.

use crate::{
    common::{
        bytes,
        frames::{self, BINARY},
    },
    http::Stream,
    leftovers::{alone, leaves_nothing},
    pattern::BOUND,
};
use bytes::Bytes;
use fastwebsockets_stream::client::{Builder, HandshakeError, Http2};
use h2::{Reason, SendStream, server::Connection};
use hyper::Response;
use std::{io::ErrorKind, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, timeout},
};

/// A WebSocket as the server has it: both directions of its stream.
type Opened = (SendStream<Bytes>, h2::RecvStream);

/// What the test has of an HTTP/2 server: WebSockets as they are opened, and commands for it.
struct Server {
    opened: tokio::sync::mpsc::UnboundedReceiver<Opened>,
    goaway: tokio::sync::mpsc::UnboundedSender<Option<Reason>>,
    connection: JoinHandle<()>,
}

impl Server {
    /// A connection, and the server that serves it.
    async fn start() -> (Http2, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let tcp = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        Self::serve(tcp, listener.accept().await.unwrap().0).await
    }

    async fn serve<C, S>(client: C, server: S) -> (Http2, Self)
    where
        C: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (accepted, opened) = tokio::sync::mpsc::unbounded_channel();
        let (goaway, mut goaways) = tokio::sync::mpsc::unbounded_channel();
        let connection = tokio::spawn(async move {
            let mut builder = h2::server::Builder::new();
            let mut http: Connection<S, Bytes> =
                builder.enable_connect_protocol().handshake(server).await.unwrap();
            loop {
                tokio::select! {
                    request = http.accept() => {
                        let Some(Ok((request, mut respond))) = request else { return };
                        let send = respond.send_response(Response::new(()), false).unwrap();
                        accepted.send((send, request.into_body())).unwrap();
                    }
                    Some(goaway) = goaways.recv() => match goaway {
                        None => http.graceful_shutdown(),
                        Some(reason) => http.abrupt_shutdown(reason),
                    },
                }
            }
        });
        let connection_of_client = Http2::handshake(client).await.unwrap();
        (connection_of_client, Self { opened, goaway, connection })
    }

    async fn open(&mut self, http2: &Http2) -> (Stream, Opened) {
        let builder = builder();
        let (stream, opened) = tokio::join!(builder.http2(http2), self.opened.recv());
        (stream.unwrap().0, opened.unwrap())
    }
}

fn builder() -> Builder {
    Builder::new("ws://localhost/")
}

fn send(stream: &mut SendStream<Bytes>, bytes: Vec<u8>) {
    stream.send_data(bytes.into(), false).unwrap();
}

/// A message of which the last bytes are missing.
fn part() -> Vec<u8> {
    let mut frame = frames::unmasked(BINARY, &bytes(1000));
    frame.truncate(frame.len() - 10);
    frame
}

/// Reads exactly what came before the fault, then this error, again and again.
async fn expect_part_and(stream: &mut Stream, kind: ErrorKind) {
    let mut received = Vec::new();
    for _ in 0..2 {
        let read = timeout(BOUND, stream.read_to_end(&mut received)).await.expect("in time");
        let error = read.expect_err("a truncated stream isn't complete");
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert!(received == bytes(990), "{} bytes", received.len());
    let error = timeout(BOUND, stream.write(b"x")).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

#[test]
fn a_stream_that_is_reset_in_a_message_is_never_complete() {
    for (reason, kind) in [
        (Reason::INTERNAL_ERROR, ErrorKind::Other),
        (Reason::REFUSED_STREAM, ErrorKind::Other),
        // hyper makes an end of file of these two.
        (Reason::CANCEL, ErrorKind::UnexpectedEof),
        (Reason::NO_ERROR, ErrorKind::UnexpectedEof),
    ] {
        leaves_nothing(async {
            let (http2, mut server) = Server::start().await;
            let (mut stream, (mut sends, receives)) = server.open(&http2).await;
            let (mut other, mut other_opened) = server.open(&http2).await;
            send(&mut sends, part());
            // A reset discards what h2 has not sent yet, so the part has to arrive before it.
            let mut first = [0; 990];
            timeout(BOUND, stream.read_exact(&mut first)).await.unwrap().unwrap();
            assert!(first[..] == bytes(990));
            sends.send_reset(reason);
            for _ in 0..2 {
                let read = timeout(BOUND, stream.read(&mut [0; 9])).await.expect("in time");
                let error = read.expect_err("a truncated stream isn't complete");
                assert_eq!(error.kind(), kind, "{reason:?}: {error}");
            }
            let error = timeout(BOUND, stream.write(b"x")).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            // The other stream doesn't notice.
            send(&mut other_opened.0, frames::unmasked(BINARY, b"alive"));
            let mut alive = [0; 5];
            timeout(BOUND, other.read_exact(&mut alive)).await.unwrap().unwrap();
            assert_eq!(&alive, b"alive");
            drop((stream, receives, other, other_opened));
            drop(http2);
            server.connection.abort();
        });
    }
}

#[test]
fn a_stream_that_ends_in_a_message_is_never_complete() {
    leaves_nothing(async {
        let (http2, mut server) = Server::start().await;
        let (mut stream, (mut sends, _receives)) = server.open(&http2).await;
        sends.send_data(part().into(), true).unwrap();
        expect_part_and(&mut stream, ErrorKind::UnexpectedEof).await;
        drop((stream, http2));
        server.connection.abort();
    });
}

#[test]
fn goaway_lets_open_streams_end_and_refuses_new_ones() {
    leaves_nothing(async {
        let (http2, mut server) = Server::start().await;
        let (mut stream, (mut sends, mut receives)) = server.open(&http2).await;
        server.goaway.send(None).unwrap();
        // Until the GOAWAY has come, the server still takes some.
        let mut before = Vec::new();
        let refused = async {
            loop {
                let timed = builder().timeout(Duration::from_secs(5));
                match timed.http2(&http2).await {
                    Ok((stream, _)) => before.push(stream),
                    Err(error) => return error,
                }
            }
        };
        let error = timeout(BOUND, refused).await.expect("GOAWAY arrives");
        assert!(
            matches!(error, HandshakeError::Http(_) | HandshakeError::ConnectionClosed),
            "{error:?}"
        );
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        drop(before);
        while server.opened.try_recv().is_ok() {}

        let sent = bytes(100_000);
        for chunk in sent.chunks(10_000) {
            send(&mut sends, frames::unmasked(BINARY, chunk));
        }
        sends.send_data(frames::unmasked(frames::CLOSE, b"").into(), true).unwrap();
        let mut received = Vec::new();
        timeout(BOUND, stream.read_to_end(&mut received)).await.unwrap().unwrap();
        assert!(received == sent);
        // Our Close arrives as well.
        let close = timeout(BOUND, receives.data()).await.unwrap().unwrap().unwrap();
        assert_eq!(frames::parse(&close)[0].opcode, frames::CLOSE);
        drop((stream, http2, receives));
        timeout(BOUND, server.connection).await.expect("the connection ends").unwrap();
    });
}

#[test]
fn an_abrupt_goaway_is_an_error_of_every_stream() {
    leaves_nothing(async {
        let (http2, mut server) = Server::start().await;
        let mut streams = Vec::new();
        for _ in 0..10 {
            let (mut stream, mut opened) = server.open(&http2).await;
            send(&mut opened.0, part());
            let mut first = [0; 990];
            timeout(BOUND, stream.read_exact(&mut first)).await.unwrap().unwrap();
            assert!(first[..] == bytes(990));
            streams.push((stream, opened));
        }
        server.goaway.send(Some(Reason::INTERNAL_ERROR)).unwrap();
        for (stream, _) in &mut streams {
            let read = timeout(BOUND, stream.read(&mut [0; 9])).await.expect("in time");
            let error = read.expect_err("none is complete");
            assert!(
                // What hyper makes of a connection that failed.
                matches!(error.kind(), ErrorKind::Other | ErrorKind::BrokenPipe),
                "{:?} {error}",
                error.kind()
            );
            let error = timeout(BOUND, stream.write(b"x")).await.unwrap().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
        }
        assert!(timeout(BOUND, builder().http2(&http2)).await.unwrap().is_err());
    });
}

/// `src/handshake/transport.rs`: 30 seconds, on time that is paused.
#[test]
fn a_dropped_stream_that_the_server_never_ends_lingers_for_30_seconds() {
    let _alone = alone();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(linger());
}

async fn linger() {
    let (client, server): (DuplexStream, DuplexStream) = duplex(1 << 20);
    let (http2, mut server) = Server::serve(client, server).await;
    let (mut stream, (mut sends, mut receives)) = server.open(&http2).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    stream.write_all(b"all of it").await.unwrap();
    let start = Instant::now();
    drop(stream);
    // What was written arrives, and the end of our direction.
    let mut received = Vec::new();
    while let Some(data) = receives.data().await {
        received.extend(data.unwrap());
    }
    assert_eq!(frames::payload(&frames::parse(&received)), b"all of it");
    assert!(start.elapsed() < Duration::from_secs(1));
    let lingering = tasks();
    // The server doesn't end its own. Time jumps to the next timer.
    let reason = std::future::poll_fn(|cx| sends.poll_reset(cx)).await.unwrap();
    let lingered = start.elapsed();
    assert_eq!(reason, Reason::CANCEL);
    assert!((30..31).contains(&lingered.as_secs()), "{lingered:?}");
    assert!(tasks() < lingering, "and no longer");
}
