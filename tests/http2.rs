//! Many WebSockets on one HTTP/2 connection.
#![cfg(feature = "handshake")]

mod common;
mod http;

use common::{bytes, in_time};
use fastwebsockets_stream::{
    Config, Windows,
    client::Http2,
    server::{Acceptor, Upgrade},
};
use http::{Server, Stream, echo};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, body::Bytes};
use std::{
    collections::VecDeque,
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
    task::JoinSet,
    time::timeout,
};

fn half_closing() -> Config {
    Config::new().half_close(true)
}

async fn get_page(connection: &Http2, server: &Server) {
    let uri = format!("http://{}/page", server.address);
    let request = Request::get(uri).body(Empty::<Bytes>::new()).unwrap();
    let response = in_time(connection.send_request(request)).await.unwrap();
    let body = in_time(response.into_body().collect()).await.unwrap().to_bytes();
    assert_eq!(body, "a page");
}

/// Sends a message and reads its echo.
async fn ping_pong(stream: &mut Stream, message: &[u8]) {
    stream.write_all(message).await.unwrap();
    stream.flush().await.unwrap();
    let mut received = vec![0; message.len()];
    in_time(stream.read_exact(&mut received)).await.unwrap();
    assert!(received == message);
}

#[tokio::test]
async fn a_thousand_websockets_opened_at_once_beside_ordinary_requests() {
    let server = Server::start(Acceptor::new().config(half_closing()), echo).await;
    let connection = server.http2().await;
    let builder = Arc::new(server.builder().config(half_closing()));
    let mut opening = JoinSet::new();
    for i in 0..1000u32 {
        let (connection, builder) = (connection.clone(), Arc::clone(&builder));
        opening.spawn(async move {
            let (mut stream, _) = builder.http2(&connection).await.unwrap();
            ping_pong(&mut stream, &i.to_be_bytes()).await;
            stream
        });
    }
    get_page(&connection, &server).await;
    let mut streams = in_time(opening.join_all()).await;
    get_page(&connection, &server).await;
    for stream in &mut streams {
        ping_pong(stream, b"all open").await;
    }
    for mut stream in streams {
        stream.shutdown().await.unwrap();
        assert_eq!(in_time(stream.read(&mut [0; 9])).await.unwrap(), 0);
    }
    get_page(&connection, &server).await;
}

#[tokio::test]
async fn what_the_server_does_not_allow_at_a_time_waits_for_room() {
    let server = Server::start(Acceptor::new().config(half_closing()), echo).await;
    let connection = server.http2().await;
    let builder = server.builder().config(half_closing());
    let mut open = VecDeque::new();
    // The test's server allows 1500.
    for _ in 0..1500 {
        open.push_back(builder.http2(&connection).await.unwrap().0);
    }
    let error =
        builder.clone().timeout(Duration::from_millis(100)).http2(&connection).await.unwrap_err();
    assert_eq!(error.to_string(), "the handshake took too long");

    let waiting = builder.http2(&connection);
    let close = async {
        let mut first = open.pop_front().unwrap();
        first.close(1000, "").await.unwrap();
    };
    let (opened, ()) = in_time(async { tokio::join!(waiting, close) }).await;
    ping_pong(&mut opened.unwrap().0, b"room").await;
}

/// Writes small messages at full speed, without flush, towards a reader that begins late.
async fn small_writes_towards_a_late_reader(size: usize) {
    const MESSAGES: usize = 20_000;
    let begin = Arc::new(Notify::new());
    let server = {
        let begin = Arc::clone(&begin);
        Server::start(Acceptor::new(), move |upgrade: Upgrade| {
            let begin = Arc::clone(&begin);
            async move {
                let mut stream = upgrade.await.unwrap();
                match stream.read_u8().await.unwrap() {
                    b'r' => {
                        // Reads late what the client writes.
                        begin.notified().await;
                        let mut received = vec![0; size * MESSAGES];
                        stream.read_exact(&mut received).await.unwrap();
                        assert!(received == vec![7; size * MESSAGES]);
                        stream.write_all(b"!").await.unwrap();
                        stream.close(1000, "").await.unwrap();
                    }
                    b'w' => {
                        for _ in 0..MESSAGES {
                            stream.write_all(&vec![7; size]).await.unwrap();
                        }
                        stream.close(1000, "").await.unwrap();
                    }
                    _ => {
                        stream.write_all(b"?").await.unwrap();
                        stream.close(1000, "").await.unwrap();
                    }
                }
            }
        })
        .await
    };
    let connection = server.http2().await;
    let open = async |kind: &[u8]| {
        let (mut stream, _) = server.builder().http2(&connection).await.unwrap();
        stream.write_all(kind).await.unwrap();
        stream.flush().await.unwrap();
        stream
    };
    let mut other = open(b"o").await;

    let mut writer = open(b"r").await;
    for _ in 0..MESSAGES {
        // When the stream takes no more, it is time for the reader.
        let message = vec![7; size];
        if timeout(Duration::from_millis(100), writer.write_all(&message)).await.is_err() {
            begin.notify_one();
            writer.write_all(&message).await.unwrap();
        }
    }
    begin.notify_one();
    writer.flush().await.unwrap();
    assert_eq!(in_time(writer.read_u8()).await.unwrap(), b'!');

    let mut reader = open(b"w").await;
    // Its first bytes have come, and many more with them.
    in_time(reader.read_u8()).await.unwrap();
    get_page(&connection, &server).await;
    let mut received = Vec::new();
    in_time(reader.read_to_end(&mut received)).await.unwrap();
    assert!(received == vec![7; size * MESSAGES - 1]);

    assert_eq!(in_time(other.read_u8()).await.unwrap(), b'?', "another stream lives on");
    get_page(&connection, &server).await;
}

#[tokio::test(flavor = "current_thread")]
async fn small_writes_do_not_kill_the_connection_on_the_current_thread_runtime() {
    for size in [16, 64, 128] {
        small_writes_towards_a_late_reader(size).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_writes_do_not_kill_the_connection_on_the_multi_thread_runtime() {
    for size in [16, 64, 128] {
        small_writes_towards_a_late_reader(size).await;
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_the_writer() {
    const ON_OUR_SIDE: usize = 512 * 1024;
    let held = Arc::new(Semaphore::new(0));
    let server = Server::start(Acceptor::new(), move |upgrade: Upgrade| {
        let held = Arc::clone(&held);
        async move {
            let _stream = upgrade.await.unwrap();
            let _never = held.acquire().await;
        }
    })
    .await;
    let connection = server.http2().await;
    for size in [500, 10_000, 64 * 1024, 4 << 20] {
        let (mut stream, _) = server.builder().http2(&connection).await.unwrap();
        let message = vec![1; size];
        let mut accepted = 0;
        while let Ok(n) = timeout(Duration::from_millis(200), stream.write(&message)).await {
            accepted += n.unwrap();
            let bound = Windows::default().stream as usize + ON_OUR_SIDE;
            assert!(accepted < bound, "{accepted} bytes in writes of {size}");
        }
    }
}

#[tokio::test]
async fn stalled_streams_stall_nobody_else() {
    let go = Arc::new(Notify::new());
    let server = {
        let go = Arc::clone(&go);
        Server::start(Acceptor::new().config(half_closing()), move |upgrade: Upgrade| {
            let go = Arc::clone(&go);
            async move {
                let mut stream = upgrade.await.unwrap();
                match stream.read_u8().await.unwrap() {
                    b's' => {
                        // Writes as much as it can to a client that doesn't read.
                        let chunk = vec![1; 1 << 20];
                        while timeout(Duration::from_millis(100), stream.write_all(&chunk))
                            .await
                            .is_ok()
                        {}
                        go.notify_one();
                        std::future::pending::<()>().await;
                    }
                    _ => loop {
                        let Ok(byte) = stream.read_u8().await else { return };
                        stream.write_all(&[byte]).await.unwrap();
                        stream.flush().await.unwrap();
                    },
                }
            }
        })
        .await
    };
    let connection = server.http2().await;
    let mut stalled = Vec::new();
    for _ in 0..8 {
        let (mut stream, _) = server.builder().http2(&connection).await.unwrap();
        stream.write_all(b"s").await.unwrap();
        stream.flush().await.unwrap();
        in_time(go.notified()).await;
        stalled.push(stream);
    }
    let (mut ninth, _) = server.builder().http2(&connection).await.unwrap();
    ninth.write_all(b"e").await.unwrap();
    let start = Instant::now();
    for _ in 0..100 {
        ping_pong(&mut ninth, b"x").await;
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

/// Passes bytes on, each after this long.
async fn delayed<R, W>(mut from: R, mut to: W, delay: Duration)
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (send, mut receive) =
        tokio::sync::mpsc::unbounded_channel::<(tokio::time::Instant, Vec<u8>)>();
    let read = async move {
        let mut buffer = vec![0; 256 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            let due = tokio::time::Instant::now() + delay;
            if send.send((due, buffer[..n].to_vec())).is_err() {
                break;
            }
        }
    };
    let write = async move {
        while let Some((due, bytes)) = receive.recv().await {
            tokio::time::sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(read, write);
}

/// An address that leads to the server, with this round-trip time.
async fn distant(server: &Server, round_trip: Duration) -> (TcpStream, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap());
    let (accepted, near) = tokio::join!(listener.accept(), near);
    let (accepted, far) = (accepted.unwrap().0, server.tcp().await);
    for tcp in [&accepted, &far] {
        tcp.set_nodelay(true).unwrap();
    }
    let (reads, writes) = accepted.into_split();
    let (far_reads, far_writes) = far.into_split();
    let mut relay = JoinSet::new();
    relay.spawn(delayed(reads, far_writes, round_trip / 2));
    relay.spawn(delayed(far_reads, writes, round_trip / 2));
    (near.unwrap(), relay)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_fills_a_path_of_50_milliseconds() {
    const LEN: usize = 32 << 20;
    let server = Server::start(Acceptor::new().config(half_closing()), move |upgrade| async move {
        let mut stream = upgrade.await.unwrap();
        let received = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.unwrap();
        stream.write_all(&vec![0; received as usize]).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let (near, _relay) = distant(&server, Duration::from_millis(50)).await;
    let connection = Http2::handshake(near).await.unwrap();
    let (mut stream, _) = server.builder().config(half_closing()).http2(&connection).await.unwrap();
    let start = Instant::now();
    stream.write_all(&bytes(LEN)).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut received = vec![0; 1 << 20];
    let mut total = 0;
    while let n @ 1.. = in_time(stream.read(&mut received)).await.unwrap() {
        total += n;
    }
    assert_eq!(total, LEN);
    let rate = 2.0 * LEN as f64 / 1e6 / start.elapsed().as_secs_f64();
    println!("{rate:.0} MB/s over 50 ms");
    // 160 is what the window allows; hyper's own windows give 19 to 36. The bound leaves room for
    // a debug build on a busy machine, and none for those.
    assert!(rate > 45.0, "{rate:.0} MB/s");
}

/// A server that accepts a WebSocket and does then what it is told to.
async fn misbehaving<F>(
    misbehave: impl FnOnce(h2::RecvStream, h2::SendStream<Bytes>) -> F + Send + 'static,
) -> (Http2, Stream)
where
    F: Future<Output = ()> + Send,
{
    let (ours, theirs) = tokio::io::duplex(100_000);
    tokio::spawn(async move {
        let mut builder = h2::server::Builder::new();
        builder.enable_connect_protocol();
        let mut connection = builder.handshake::<_, Bytes>(theirs).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let send = respond.send_response(hyper::Response::new(()), false).unwrap();
        let misbehaviour = misbehave(request.into_body(), send);
        let connection = async { while let Some(Ok(_)) = connection.accept().await {} };
        tokio::join!(misbehaviour, connection);
    });
    let connection = Http2::handshake(ours).await.unwrap();
    let builder = fastwebsockets_stream::client::Builder::new("ws://localhost/");
    let (stream, _) = in_time(builder.http2(&connection)).await.unwrap();
    (connection, stream)
}

#[tokio::test]
async fn a_stream_that_is_reset_is_never_an_end_of_file() {
    for reason in [h2::Reason::CANCEL, h2::Reason::NO_ERROR, h2::Reason::INTERNAL_ERROR] {
        let (_connection, mut stream) = misbehaving(move |_, mut send| async move {
            send.send_data(Bytes::from_static(b"\x82\x04part"), false).unwrap();
            // Not before that has gone out.
            send.reserve_capacity(1);
            tokio::task::yield_now().await;
            send.send_reset(reason);
        })
        .await;
        let mut received = Vec::new();
        let error = in_time(stream.read_to_end(&mut received)).await.unwrap_err();
        assert!(b"part".starts_with(&received[..]), "{reason:?}: {error}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_close_is_never_an_end_of_file() {
    let (_connection, mut stream) = misbehaving(|_, mut send| async move {
        send.send_data(Bytes::from_static(b"\x82\x04part"), true).unwrap();
    })
    .await;
    let mut received = Vec::new();
    let error = in_time(stream.read_to_end(&mut received)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    assert_eq!(received, b"part");
}

#[tokio::test]
async fn however_a_stream_ends_after_close_it_is_a_clean_end() {
    const CLOSE: &[u8] = b"\x82\x03all\x88\x02\x03\xe8";
    for ending in ["END_STREAM", "END_STREAM later", "NO_ERROR", "CANCEL", "nothing"] {
        let arrived = Arc::new(Notify::new());
        let told = Arc::clone(&arrived);
        let (_connection, mut stream) = misbehaving(move |mut receive, mut send| async move {
            // The client's Close comes first.
            while let Some(Ok(data)) = receive.data().await {
                receive.flow_control().release_capacity(data.len()).unwrap();
                if data[0] == 0x88 {
                    break;
                }
            }
            send.send_data(Bytes::from_static(CLOSE), ending == "END_STREAM").unwrap();
            match ending {
                "END_STREAM later" => send.send_data(Bytes::new(), true).unwrap(),
                "NO_ERROR" | "CANCEL" => {
                    // Not before the Close has arrived, which comes with the payload.
                    told.notified().await;
                    let no_error = ending == "NO_ERROR";
                    let reason = if no_error { h2::Reason::NO_ERROR } else { h2::Reason::CANCEL };
                    send.send_reset(reason);
                }
                "nothing" => std::future::pending().await,
                _ => {}
            }
        })
        .await;
        in_time(stream.shutdown()).await.unwrap();
        let mut received = [0; 3];
        in_time(stream.read_exact(&mut received)).await.expect(ending);
        assert_eq!(&received, b"all", "{ending}");
        arrived.notify_one();
        tokio::task::yield_now().await;
        assert_eq!(in_time(stream.read(&mut [0; 9])).await.expect(ending), 0);
        in_time(stream.close(1000, "")).await.expect(ending);
    }
}

#[tokio::test]
async fn goaway_leaves_open_streams_working() {
    let (ours, theirs) = tokio::io::duplex(100_000);
    let go_away = Arc::new(Notify::new());
    let told = Arc::clone(&go_away);
    tokio::spawn(async move {
        let mut http =
            hyper::server::conn::http2::Builder::new(hyper_util::rt::TokioExecutor::new());
        Windows::default().apply_to_http2_server(&mut http);
        let service = hyper::service::service_fn(async |mut request| {
            let upgraded = fastwebsockets_stream::server::upgrade(&mut request, half_closing());
            let (response, upgrade) = upgraded.unwrap();
            tokio::spawn(echo(upgrade));
            Ok::<_, std::convert::Infallible>(response)
        });
        let io = hyper_util::rt::TokioIo::new(theirs);
        let mut connection = std::pin::pin!(http.serve_connection(io, service));
        tokio::select! {
            _ = connection.as_mut() => {}
            () = told.notified() => {
                connection.as_mut().graceful_shutdown();
                let _ended = connection.await;
            }
        }
    });
    let connection = Http2::handshake(ours).await.unwrap();
    let builder =
        fastwebsockets_stream::client::Builder::new("ws://localhost/").config(half_closing());
    let (mut stream, _) = in_time(builder.http2(&connection)).await.unwrap();
    ping_pong(&mut stream, b"before").await;
    go_away.notify_one();
    // New ones are refused once it has come, or never answered; this one goes on.
    let refused = async {
        while builder.clone().timeout(Duration::from_millis(100)).http2(&connection).await.is_ok() {
        }
    };
    in_time(refused).await;
    for _ in 0..10 {
        ping_pong(&mut stream, &bytes(10_000)).await;
    }
    stream.shutdown().await.unwrap();
    assert_eq!(in_time(stream.read(&mut [0; 9])).await.unwrap(), 0);
}

#[tokio::test]
async fn what_is_not_a_request_for_a_websocket_is_refused_with_its_status() {
    use hyper::{Method, ext::Protocol};
    let server = Server::start(Acceptor::new(), echo).await;
    let connection = server.http2().await;
    in_time(server.builder().http2(&connection)).await.unwrap();
    let request = |method: Method, protocol: Option<&'static str>| {
        let uri = format!("http://{}/", server.address);
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(protocol) = protocol {
            request = request.extension(Protocol::from_static(protocol));
        }
        request.header("sec-websocket-version", "13")
    };
    let connect = || request(Method::CONNECT, Some("websocket"));
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    for (request, expected) in [
        (connect(), 200),
        (request(Method::CONNECT, Some("WebSocket")), 200),
        // A proxy may pass a key on; it is answered.
        (connect().header("sec-websocket-key", key), 200),
        (connect().header("sec-websocket-key", "short"), 400),
        (connect().header("sec-websocket-version", "13"), 426),
        (connect().header("origin", "https://evil.example.com"), 403),
        (connect().header("origin", format!("http://{}", server.address)), 200),
        (request(Method::CONNECT, Some("connect-udp")), 501),
        (request(Method::GET, None), 405),
    ] {
        let asked = format!("{request:?}");
        let has_key = asked.contains(key);
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = in_time(connection.send_request(request)).await.unwrap();
        assert_eq!(response.status(), expected, "{asked}");
        let accept = response.headers().get("sec-websocket-accept");
        assert_eq!(accept.is_some(), has_key && expected == 200, "{asked}");
    }
}

#[tokio::test]
async fn a_connection_made_with_hyper_will_do() {
    let server = Server::start(Acceptor::new(), echo).await;
    let io = hyper_util::rt::TokioIo::new(server.tcp().await);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Empty<Bytes>>(executor, io).await.unwrap();
    tokio::spawn(connection);
    let (mut stream, _) = in_time(server.builder().http2_with(&mut sender)).await.unwrap();
    ping_pong(&mut stream, b"hello").await;
    stream.close(1000, "").await.unwrap();
}

#[tokio::test]
async fn streams_and_handles_that_are_gone_end_the_connection() {
    let server = Server::start(Acceptor::new(), echo).await;
    let (near, mut relay) = distant(&server, Duration::ZERO).await;
    let connection = Http2::handshake(near).await.unwrap();
    let (mut stream, _) = server.builder().http2(&connection).await.unwrap();
    ping_pong(&mut stream, b"x").await;
    drop(connection);
    ping_pong(&mut stream, b"without the handle").await;
    stream.close(1000, "").await.unwrap();
    drop(stream);
    // The relay's connections end with it.
    in_time(relay.join_next()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_that_is_lost_is_an_error_of_its_streams() {
    let server = Server::start(Acceptor::new(), echo).await;
    let (near, mut relay) = distant(&server, Duration::ZERO).await;
    let connection = Http2::handshake(near).await.unwrap();
    let mut streams = Vec::new();
    for _ in 0..3 {
        streams.push(server.builder().http2(&connection).await.unwrap().0);
    }
    relay.shutdown().await;
    for mut stream in streams {
        assert!(in_time(stream.read(&mut [0; 9])).await.is_err(), "never an end of file");
    }
    assert!(in_time(server.builder().http2(&connection)).await.is_err());
}
