//! WebSockets as byte streams, over HTTP/1.1 and HTTP/2: `cargo run --example quickstart`.
//!
//! A server and its clients in one process. The server speaks both versions on one port and echoes
//! what comes over its WebSockets. The clients open one WebSocket over HTTP/1.1 (RFC 6455) and
//! three on a single HTTP/2 connection (RFC 8441), beside an ordinary request. Over each goes what
//! has never heard of WebSockets: a codec's messages first, then plain bytes both ways at once.

use bytes::Bytes;
use fastwebsockets_stream::{
    Config, Transport, WebSocketStream,
    client::{Builder, Http2},
    server,
};
use futures_util::{SinkExt, StreamExt, future::try_join_all};
use http_body_util::{BodyExt, Empty, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming};
use rand::RngCore;
use std::{error::Error, io, net::SocketAddr};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, timeout};
use tokio::try_join;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::task::TaskTracker;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;
type Stream = WebSocketStream<Transport>;

const MESSAGES: usize = 1000;
const MIB: usize = 1024 * 1024;

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
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let websockets = tasks.clone();
        tasks.spawn(async move {
            let respond = |request| respond(request, websockets.clone());
            if let Err(error) = server::serve_connection(tcp, respond).await {
                eprintln!("server: a connection failed: {error}");
            }
        });
    }
}

/// Opens a WebSocket for whoever asks for one, and has a page for everybody else.
async fn respond(mut request: Request<Incoming>, websockets: TaskTracker) -> Response<Full<Bytes>> {
    if !server::is_upgrade_request(&request) {
        return page(&request);
    }
    // As on TCP, a client may end its side first and then read the rest of the echo.
    let config = Config::new().half_close(true);
    match server::upgrade(&mut request, config) {
        Err(refused) => refused.response(),
        Ok((response, upgrade)) => {
            // The WebSocket begins once this response is sent, so it has a task of its own.
            websockets.spawn(async move {
                if let Err(error) = echo(upgrade).await {
                    eprintln!("server: a WebSocket failed: {error}");
                }
            });
            response.map(|_| Full::default())
        }
    }
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
async fn echo(upgrade: server::Upgrade) -> io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(upgrade.await?);
    tokio::io::copy(&mut reader, &mut writer).await?;
    writer.shutdown().await
}

// ---- The clients --------------------------------------------------------------------------------

async fn run_clients(address: SocketAddr) -> Result<Vec<Report>> {
    // Random bytes, so that none can be lost, repeated or moved unseen.
    let mut payload = vec![0; 8 * MIB];
    rand::thread_rng().fill_bytes(&mut payload);
    let payload = &Bytes::from(payload);
    let builder = &Builder::new(format!("ws://{address}/"));

    let (stream, _response) = builder.http1(connect(address).await?).await?;
    println!("HTTP/1.1: WebSocket open");
    let mut reports = vec![exercise("HTTP/1.1".into(), stream, payload).await?];

    let connection = &Http2::handshake(connect(address).await?).await?;
    let websockets = (1..=3).map(|number| async move {
        let (stream, _response) = builder.http2(connection).await?;
        println!("HTTP/2, stream {number}: WebSocket open");
        exercise(format!("HTTP/2, stream {number}"), stream, payload).await
    });
    let (http2_reports, ()) = try_join!(try_join_all(websockets), get_page(connection, address))?;
    reports.extend(http2_reports);
    Ok(reports)
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn get_page(connection: &Http2, address: SocketAddr) -> Result<()> {
    let request = Request::get(format!("http://{address}/")).body(Empty::<Bytes>::new())?;
    let response = connection.send_request(request).await?;
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
    stream.close(1000, "done").await?;
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
