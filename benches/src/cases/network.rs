//! What connects two ends, and how time is taken.

use bytes::Bytes;
use cpu_time::ThreadTime;
use fastwebsockets_stream::Windows;
use http_body_util::Empty;
use hyper::{
    Method, Request, Response, body::Incoming, client, ext::Protocol, server, service::service_fn,
    upgrade::Upgraded,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{io, net::Ipv4Addr, time::Duration};
use tokio::{
    io::{DuplexStream, duplex},
    net::{TcpSocket, TcpStream},
    runtime::{Builder, Runtime},
    sync::mpsc,
    time::timeout,
};

use crate::contestants::Transport;

/// A contestant that gets stuck has failed.
const LIMIT: Duration = Duration::from_secs(10);

/// How many bytes `tokio::io::duplex` holds.
const DUPLEX: usize = 64 << 10;

/// KiB that the kernel is asked to hold for each end of a TCP connection, by rounds. Left to itself
/// it would decide by what has happened so far, for each contestant differently; and with any one
/// size, some pattern of writes and reads just fits, and another just doesn't.
const SOCKET_BUFFERS: [u32; 7] = [160, 256, 400, 640, 1024, 1600, 2500];

/// Connects clients with servers. Everything ends with the runtime that it was called in.
pub trait Network: Clone + Send + 'static {
    const NAME: &'static str;
    type Io: Transport;

    /// So many pairs of a client's and a server's end; over HTTP/2 on one connection.
    fn connect(
        count: usize,
        round: usize,
    ) -> impl Future<Output = io::Result<Vec<(Self::Io, Self::Io)>>> + Send;
}

/// One pair.
pub async fn pair<N: Network>(round: usize) -> io::Result<(N::Io, N::Io)> {
    N::connect(1, round).await?.pop().ok_or_else(|| io::ErrorKind::NotConnected.into())
}

#[derive(Clone)]
pub struct Duplex;

impl Network for Duplex {
    const NAME: &'static str = "duplex";
    type Io = DuplexStream;

    async fn connect(count: usize, _round: usize) -> io::Result<Vec<(DuplexStream, DuplexStream)>> {
        Ok((0..count).map(|_| duplex(DUPLEX)).collect())
    }
}

#[derive(Clone)]
pub struct Tcp;

impl Network for Tcp {
    const NAME: &'static str = "tcp";
    type Io = TcpStream;

    async fn connect(count: usize, round: usize) -> io::Result<Vec<(TcpStream, TcpStream)>> {
        let listener = socket(round)?;
        listener.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = listener.listen(1)?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            let client = socket(round)?.connect(listener.local_addr()?).await?;
            let (server, _) = listener.accept().await?;
            client.set_nodelay(true)?;
            server.set_nodelay(true)?;
            pairs.push((client, server));
        }
        Ok(pairs)
    }
}

/// A socket with this round's buffers, as far as the system's limits allow.
fn socket(round: usize) -> io::Result<TcpSocket> {
    let bytes = SOCKET_BUFFERS[round % SOCKET_BUFFERS.len()] << 10;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(bytes)?;
    socket.set_send_buffer_size(bytes)?;
    Ok(socket)
}

/// Streams of extended CONNECT (RFC 8441), as hyper gives them.
#[derive(Clone)]
pub struct Http2;

impl Network for Http2 {
    const NAME: &'static str = "http2";
    type Io = TokioIo<Upgraded>;

    async fn connect(count: usize, round: usize) -> io::Result<Vec<(Self::Io, Self::Io)>> {
        let (client, server) = pair::<Tcp>(round).await?;
        let mut accepted = serve(server);
        let mut http = client::conn::http2::Builder::new(TokioExecutor::new());
        Windows::default().apply_to_http2_client(&mut http);
        let (mut requests, connection) =
            http.handshake(TokioIo::new(client)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        // With a response, the server's SETTINGS have come, and extended CONNECT is allowed.
        let page = Request::get("http://localhost/").body(Empty::<Bytes>::new());
        requests.send_request(page.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        let mut pairs = Vec::new();
        for _ in 0..count {
            let request = Request::builder()
                .method(Method::CONNECT)
                .uri("http://localhost/")
                .extension(Protocol::from_static("websocket"))
                .body(Empty::new())
                .map_err(io::Error::other)?;
            let response = requests.send_request(request).await.map_err(io::Error::other)?;
            let client = hyper::upgrade::on(response).await.map_err(io::Error::other)?;
            let server = accepted.recv().await.ok_or(io::ErrorKind::NotConnected)?;
            pairs.push((TokioIo::new(client), TokioIo::new(server)));
        }
        Ok(pairs)
    }
}

/// Accepts every CONNECT.
fn serve(tcp: TcpStream) -> mpsc::UnboundedReceiver<Upgraded> {
    let (sender, accepted) = mpsc::unbounded_channel();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let sender = sender.clone();
        async move {
            if request.method() == Method::CONNECT {
                let upgrade = hyper::upgrade::on(&mut request);
                tokio::spawn(async move {
                    if let Ok(upgraded) = upgrade.await {
                        // Nobody waits for it if the other end has failed.
                        let _nobody = sender.send(upgraded);
                    }
                });
            }
            hyper::Result::Ok(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut http = server::conn::http2::Builder::new(TokioExecutor::new());
    Windows::default().apply_to_http2_server(&mut http);
    tokio::spawn(http.serve_connection(TokioIo::new(tcp), service));
    accepted
}

pub fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Connects on one thread, and takes the CPU time of what is done then, with both ends.
pub fn cpu_time<N: Network, F>(
    streams: usize,
    round: usize,
    work: impl FnOnce(Vec<(N::Io, N::Io)>) -> Option<F>,
) -> io::Result<Option<Duration>>
where
    F: Future<Output = io::Result<()>>,
{
    runtime()?.block_on(in_time(async {
        let pairs = N::connect(streams, round).await?;
        let Some(work) = work(pairs) else { return Ok(None) };
        let start = ThreadTime::now();
        work.await?;
        Ok(Some(start.elapsed()))
    }))
}

/// Nothing may take longer than the limit.
pub async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(LIMIT, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "stuck")),
    }
}

/// Awaits a task.
pub async fn join<T>(task: tokio::task::JoinHandle<io::Result<T>>) -> io::Result<T> {
    task.await.map_err(io::Error::other)?
}
