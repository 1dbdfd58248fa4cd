//! Serving a connection on which WebSockets are opened.

use crate::Windows;
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use std::{
    convert::Infallible,
    error::Error,
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

/// How long a client may take to its first request, and with the head of each one over HTTP/1.1.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may be silent over HTTP/2 before it is pinged, and how long it may take to
/// answer.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// Streams of HTTP/2 that a client may have open at a time.
const MAX_STREAMS: u32 = 1000;

/// Serves one connection, over HTTP/1.1 or HTTP/2, whichever the client speaks, until it ends or all
/// that is left of it is a WebSocket. TLS, if any, is the transport's, and should offer `h2` and
/// `http/1.1`.
///
/// It is hyper-util's [`auto`] server, set up for WebSockets beside ordinary requests: with upgrades,
/// extended CONNECT, the default [`Windows`] and 1000 streams of HTTP/2 at a time. A client has 30
/// seconds to its first request, over HTTP/2 as well, and for the head of each one over HTTP/1.1; one
/// with HTTP/2 is pinged when nothing was read from it for 30 seconds, and has another 30 to answer.
/// The runtime needs its timer for that. For anything else, set up a server with hyper and
/// [`Windows::apply_to_server`].
///
/// ```
/// use fastwebsockets_stream::{PayloadType, server};
/// use http_body_util::Empty;
/// use hyper::{Request, Response, body::{Bytes, Incoming}};
/// use tokio::net::TcpListener;
///
/// async fn handle(mut request: Request<Incoming>) -> Response<Empty<Bytes>> {
///     match server::upgrade(&mut request, PayloadType::Binary) {
///         Err(refused) => refused.response(),
///         Ok((response, upgrade)) => {
///             tokio::spawn(async move { upgrade.await?.close(1000, "hello").await });
///             response
///         }
///     }
/// }
///
/// async fn serve(listener: TcpListener) -> std::io::Result<()> {
///     loop {
///         let (tcp, _) = listener.accept().await?;
///         tokio::spawn(server::serve_connection(tcp, handle));
///     }
/// }
/// ```
///
/// # Errors
///
/// `TimedOut` if a request didn't come in time, and the kind of the transport's error, if that is what
/// ended it; otherwise `Other`. hyper's error is inside.
///
/// # Cancel safety
///
/// Dropping the future drops the connection, with all WebSockets over HTTP/2 on it. One that was
/// opened by an upgrade of HTTP/1.1 has left it.
pub async fn serve_connection<S, H, F, B>(io: S, handler: H) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    let mut http = auto::Builder::new(TokioExecutor::new());
    Windows::default().apply_to_server(&mut http);
    http.http1().timer(TokioTimer::new()).header_read_timeout(REQUEST_TIMEOUT);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .max_concurrent_streams(MAX_STREAMS);
    let asked = AtomicBool::new(false);
    let service = service_fn(|request| {
        asked.store(true, Ordering::Relaxed);
        let response = handler(request);
        async { Ok::<_, Infallible>(response.await) }
    });
    let mut serving = pin!(http.serve_connection_with_upgrades(TokioIo::new(io), service));
    // hyper's times begin once it knows which version of HTTP it is.
    let mut deadline = pin!(sleep(REQUEST_TIMEOUT));
    poll_fn(|cx| {
        if let Poll::Ready(served) = serving.as_mut().poll(cx) {
            return Poll::Ready(served.map_err(io_error));
        }
        if asked.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    })
    .await
}

/// hyper's error, with the kind of what is behind it.
fn io_error(error: Box<dyn Error + Send + Sync>) -> io::Error {
    let is_timeout = error.downcast_ref().is_some_and(hyper::Error::is_timeout);
    let cause = error.downcast_ref().or_else(|| error.source()?.downcast_ref());
    let kind = match cause.map(io::Error::kind) {
        _ if is_timeout => io::ErrorKind::TimedOut,
        Some(kind) => kind,
        None => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}
