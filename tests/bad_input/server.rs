//! A server as its user would make it who has heard of bad peers.

use crate::{GONE_IN_TIME, http::echo};
use fastwebsockets_stream::{Windows, server::Acceptor};
use http_body_util::Full;
use hyper::{Request, Response, body::Bytes, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    runtime::{Handle, Runtime},
    sync::Notify,
    time::{sleep, timeout},
};

/// The most bytes of a request's headers.
pub(crate) const MAX_HEADERS: usize = 16 * 1024;

/// WebSockets on one HTTP/2 connection.
const MAX_STREAMS: u32 = 200;

/// Bytes of a socket's buffers in the system, small ones, so that what a peer doesn't read gets to
/// be the server's concern soon. (The system doubles them.)
pub(crate) const SOCKET_BUFFER: u32 = 64 * 1024;

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    runtime: Handle,
}

impl Server {
    /// A peer may take as long as `patience` to say what it wants. The server ends with the runtime.
    pub(crate) fn start(runtime: &Runtime, patience: Duration) -> Self {
        let listener = {
            let _inside = runtime.enter();
            listen()
        };
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                tcp.set_nodelay(true).unwrap();
                tokio::spawn(serve(tcp, patience));
            }
        });
        Self { address, runtime: runtime.handle().clone() }
    }

    /// Waits until all connections and everything that served them is gone: one task is left, which
    /// accepts.
    pub(crate) async fn has_no_connections(&self) {
        let start = Instant::now();
        loop {
            let tasks = self.runtime.metrics().num_alive_tasks();
            if tasks == 1 {
                return;
            }
            assert!(start.elapsed() < GONE_IN_TIME, "{tasks} tasks");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

fn listen() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(SOCKET_BUFFER).unwrap();
    socket.set_recv_buffer_size(SOCKET_BUFFER).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    socket.listen(1024).unwrap()
}

/// What comes before a WebSocket is open is HTTP's business, and so the caller's: how long headers
/// may take, how large they may be, how many streams there may be on a connection, and when a
/// connection on which nothing happens is given up. hyper has an option for each, and needs a timer
/// for those that are times.
async fn serve(tcp: TcpStream, patience: Duration) {
    let mut http = auto::Builder::new(TokioExecutor::new());
    Windows::MANY.apply_to_server(&mut http);
    http.http1().timer(TokioTimer::new()).header_read_timeout(patience).max_buf_size(MAX_HEADERS);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(patience)
        .keep_alive_timeout(10 * patience)
        .max_header_list_size(MAX_HEADERS as u32)
        .max_concurrent_streams(MAX_STREAMS);
    let requested = Arc::new(Notify::new());
    let service = service_fn(|request| {
        requested.notify_one();
        async { Ok::<_, Infallible>(respond(request)) }
    });
    let mut serving = pin!(http.serve_connection_with_upgrades(TokioIo::new(tcp), service));
    // hyper's times begin once it knows which version of HTTP it is. A peer that doesn't get so
    // far, or to a first request, is given up here.
    tokio::select! {
        _ended = &mut serving => return,
        requested = timeout(patience, requested.notified()) => {
            if requested.is_err() {
                return;
            }
        }
    }
    let _ended = serving.await;
}

fn respond(mut request: Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
    match Acceptor::new().accept(&mut request) {
        Ok((response, upgrade)) => {
            tokio::spawn(echo(upgrade));
            response.map(|_| Full::default())
        }
        Err(refused) => refused.response(),
    }
}
