//! WebSockets as byte streams, over HTTP/1.1 and HTTP/2: `cargo run --example quickstart`.
//!
//! A server and its clients in one process. The server speaks both versions on one port and echoes
//! what comes over its WebSockets. The clients open one WebSocket over HTTP/1.1 (RFC 6455) and
//! three on a single HTTP/2 connection (RFC 8441), beside ordinary requests. Over each goes what
//! has never heard of WebSockets: a codec's messages first, then plain bytes both ways at once.

use bytes::Bytes;
use fastwebsockets_stream::{Config, PayloadType, WebSocketStream, fastwebsockets::Role};
use futures_util::{SinkExt, StreamExt, future::try_join_all};
use headers::{Connection, HeaderMapExt, SecWebsocketAccept, SecWebsocketKey, Upgrade};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Incoming,
    client::conn::{http1, http2},
    ext::Protocol,
    header::{CONNECTION, HOST, SEC_WEBSOCKET_VERSION, UPGRADE},
    service::service_fn,
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rand::RngCore;
use std::{convert::Infallible, error::Error, io, net::SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, timeout};
use tokio::try_join;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::task::TaskTracker;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;
type Stream = WebSocketStream<TokioIo<Upgraded>>;
type Http2 = http2::SendRequest<Empty<Bytes>>;

const MESSAGES: usize = 1000;
const MIB: usize = 1024 * 1024;

// HTTP/2 sends no more than a window per round trip, and hyper's defaults are small. The
// connection's is the larger one, so that a stream that nobody reads doesn't stop the others.
const STREAM_WINDOW: u32 = 2 * 1024 * 1024;
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;

#[tokio::main]
async fn main() -> Result<()> {
    timeout(Duration::from_secs(30), run()).await.map_err(|_| "not done after 30 seconds")?
}

async fn run() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    println!("server: listening on http://{address}/ for HTTP/1.1 and HTTP/2");

    let server_tasks = TaskTracker::new();
    let reports = tokio::select! {
        reports = run_clients(address) => reports?,
        Err(error) = serve(&listener, &server_tasks) => return Err(error.into()),
    };
    server_tasks.close();
    server_tasks.wait().await;
    println!("server: all its connections have ended");

    print_table(&reports);
    Ok(())
}

// ---- The server ---------------------------------------------------------------------------------

/// Serves connections until it is dropped. It returns only if no more can be accepted.
async fn serve(listener: &TcpListener, tasks: &TaskTracker) -> io::Result<()> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http2()
        .enable_connect_protocol()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (http, websockets) = (http.clone(), tasks.clone());
        tasks.spawn(async move {
            let service = service_fn(|request| respond(request, websockets.clone()));
            let connection = http.serve_connection_with_upgrades(TokioIo::new(tcp), service);
            if let Err(error) = connection.await {
                eprintln!("server: a connection failed: {error}");
            }
        });
    }
}

/// Opens a WebSocket for whoever asks for one, and has a page for everybody else.
async fn respond(
    mut request: Request<Incoming>,
    websockets: TaskTracker,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let Some(response) = accept_websocket(&request) else {
        return Ok(page(&request));
    };
    // The WebSocket begins when this answer is sent, so a task of its own has to wait for it.
    let upgrade = hyper::upgrade::on(&mut request);
    websockets.spawn(async move {
        if let Err(error) = echo(upgrade).await {
            eprintln!("server: a WebSocket failed: {error}");
        }
    });
    Ok(response)
}

/// The answer to a request for a WebSocket. A server that browsers may reach checks `Origin` too.
fn accept_websocket(request: &Request<Incoming>) -> Option<Response<Full<Bytes>>> {
    let headers = request.headers();
    if headers.get(SEC_WEBSOCKET_VERSION)? != "13" {
        return None;
    }
    let mut response = Response::default();
    if request.method() == Method::CONNECT {
        let protocol = request.extensions().get::<Protocol>()?;
        return protocol.as_str().eq_ignore_ascii_case("websocket").then_some(response);
    }
    if request.method() != Method::GET || !is_upgrade(headers) {
        return None;
    }
    let key = headers.typed_get::<SecWebsocketKey>()?;
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().typed_insert(Connection::upgrade());
    response.headers_mut().typed_insert(Upgrade::websocket());
    response.headers_mut().typed_insert(SecWebsocketAccept::from(key));
    Some(response)
}

/// Whether an HTTP/1.1 request or response changes the protocol to WebSocket.
fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.typed_get::<Connection>().is_some_and(|connection| connection.contains(UPGRADE))
        && headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn page(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if request.method() == Method::GET && request.uri().path() == "/" {
        return Response::new("an ordinary page".into());
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// Sends back what comes, until the client has ended its side.
async fn echo(upgrade: OnUpgrade) -> Result<()> {
    let io = TokioIo::new(upgrade.await?);
    // As on TCP, a client may end its side first and then read the rest of the echo.
    let config = Config::new().payload_type(PayloadType::Binary).half_close(true);
    let stream = WebSocketStream::after_handshake(io, Role::Server, config);
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::io::copy(&mut reader, &mut writer).await?;
    Ok(writer.shutdown().await?)
}

// ---- The clients --------------------------------------------------------------------------------

async fn run_clients(address: SocketAddr) -> Result<Vec<Report>> {
    // Random bytes, so that none can be lost, repeated or moved unseen.
    let mut payload = vec![0; 8 * MIB];
    rand::thread_rng().fill_bytes(&mut payload);
    let payload = &Bytes::from(payload);

    let stream = open_over_http1(address).await?;
    let mut reports = vec![exercise("HTTP/1.1".into(), stream, payload).await?];

    let sender = &connect_http2(address).await?;
    let websockets = (1..=3).map(|number| async move {
        let stream = open_over_http2(sender.clone(), address).await?;
        exercise(format!("HTTP/2, stream {number}"), stream, payload).await
    });
    let (http2_reports, ()) =
        try_join!(try_join_all(websockets), get_page(sender.clone(), address))?;
    reports.extend(http2_reports);
    Ok(reports)
}

/// A WebSocket on a connection of its own (RFC 6455 section 4.1).
async fn open_over_http1(address: SocketAddr) -> Result<Stream> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(tcp)).await?;
    tokio::spawn(connection.with_upgrades());

    let key = SecWebsocketKey::from(rand::random::<[u8; 16]>());
    let mut request = Request::get("/")
        .header(HOST, address.to_string())
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::<Bytes>::new())?;
    request.headers_mut().typed_insert(key.clone());
    let response = sender.send_request(request).await?;

    let status = response.status();
    let upgrades = status == StatusCode::SWITCHING_PROTOCOLS && is_upgrade(response.headers());
    ensure(upgrades, format!("no WebSocket: {status}"))?;
    let accept = response.headers().typed_get::<SecWebsocketAccept>();
    ensure(accept == Some(key.into()), "Sec-WebSocket-Accept doesn't fit our key")?;
    println!("HTTP/1.1: WebSocket open, Sec-WebSocket-Accept verified");
    after_handshake(response).await
}

/// A connection for ordinary requests and WebSockets alike.
async fn connect_http2(address: SocketAddr) -> Result<Http2> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let (sender, mut connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .handshake(TokioIo::new(tcp))
        .await?;

    // No WebSocket may be asked for before the server has said that it takes them (RFC 8441
    // section 3). It says so in its first frame: with an answer to anything, we have that too.
    tokio::select! {
        page = get_page(sender.clone(), address) => page?,
        ended = &mut connection => return Err(format!("no HTTP/2 connection: {ended:?}").into()),
    }
    ensure(connection.is_extended_connect_protocol_enabled(), "no WebSockets over HTTP/2")?;
    println!("HTTP/2: the server takes WebSockets");
    tokio::spawn(connection);
    Ok(sender)
}

/// A WebSocket on one stream of a connection (RFC 8441 section 5).
async fn open_over_http2(mut sender: Http2, address: SocketAddr) -> Result<Stream> {
    let request = Request::connect(format!("http://{address}/"))
        .extension(Protocol::from_static("websocket"))
        .header(SEC_WEBSOCKET_VERSION, "13")
        .body(Empty::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    ensure(status == StatusCode::OK, format!("no WebSocket: {status}"))?;
    after_handshake(response).await
}

async fn after_handshake(response: Response<Incoming>) -> Result<Stream> {
    let io = TokioIo::new(hyper::upgrade::on(response).await?);
    Ok(WebSocketStream::after_handshake(io, Role::Client, PayloadType::Binary))
}

async fn get_page(mut sender: Http2, address: SocketAddr) -> Result<()> {
    let request = Request::get(format!("http://{address}/")).body(Empty::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    ensure(status == StatusCode::OK, format!("no page: {status}"))?;
    let body = response.into_body().collect().await?.to_bytes();
    println!("HTTP/2: GET /: {status}, {body:?}");
    Ok(())
}

// ---- What goes over a WebSocket -----------------------------------------------------------------

struct Report {
    transport: String,
    bytes: usize,
    elapsed: Duration,
}

async fn exercise(transport: String, mut stream: Stream, payload: &Bytes) -> Result<Report> {
    let start = Instant::now();
    let in_messages = exchange_messages(&mut stream, payload).await?;
    println!("{transport}: {MESSAGES} messages came back as they were");
    exchange_bytes(&mut stream, payload).await?;
    println!("{transport}: {} MiB went both ways at once", payload.len() / MIB);

    // Whoever drops a stream before the peer's end of file may lose what is still on its way.
    stream.shutdown().await?;
    ensure(stream.read(&mut [0]).await? == 0, "more came back than was sent")?;
    println!("{transport}: closed");
    Ok(Report { transport, bytes: in_messages + payload.len(), elapsed: start.elapsed() })
}

/// Sends messages and compares their echo, through a codec that was made for TCP.
async fn exchange_messages(stream: &mut Stream, payload: &Bytes) -> Result<usize> {
    let message = |number: usize| payload.slice(number..number + number * 4099 % 5000);
    let (mut sink, mut source) = Framed::new(stream, LengthDelimitedCodec::new()).split();
    let send = async {
        for number in 0..MESSAGES {
            sink.send(message(number)).await?;
        }
        Ok(())
    };
    let receive = async {
        let mut bytes = 0;
        for number in 0..MESSAGES {
            let reply = source.next().await.ok_or("the stream ended early")??;
            ensure(reply == message(number), format!("message {number} came back changed"))?;
            bytes += reply.len();
        }
        Ok(bytes)
    };
    // Both at once: two sides that write first and read later may wait for each other for ever.
    try_join!(send, receive).map(|((), bytes)| bytes)
}

/// Writes and reads at the same time, as on any tokio stream.
async fn exchange_bytes(stream: &mut Stream, payload: &Bytes) -> Result<()> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut echo = vec![0; payload.len()];
    try_join!(writer.write_all(payload), reader.read_exact(&mut echo))?;
    ensure(echo == *payload, "bytes came back changed")
}

fn ensure(condition: bool, otherwise: impl Into<Box<dyn Error + Send + Sync>>) -> Result<()> {
    if condition { Ok(()) } else { Err(otherwise.into()) }
}

fn print_table(reports: &[Report]) {
    println!("\ntransport           messages  bytes each way   MB/s each way");
    for Report { transport, bytes, elapsed } in reports {
        let rate = *bytes as f64 / 1e6 / elapsed.as_secs_f64();
        println!("{transport:<18} {MESSAGES:>9} {bytes:>15} {rate:>15.1}");
    }
}
