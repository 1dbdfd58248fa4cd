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
    future::{Future, pending, poll_fn},
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

/// How long a client may take to ask, be silent, and take to answer a ping, unless it is set.
const PATIENCE: Duration = Duration::from_secs(30);

/// For ever: what is longer can't be added to a time everywhere.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Serves one connection, over HTTP/1.1 or HTTP/2, whichever the client speaks, until it ends or all
/// that is left of it is a WebSocket. TLS, if any, is the transport's, and should offer `h2` and
/// `http/1.1`.
///
/// This is [`Builder::serve_connection`] with all defaults; [`Builder`] says what they are.
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
/// For its errors and its cancel safety see there.
pub async fn serve_connection<S, H, F, B>(io: S, handler: H) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Request<Incoming>) -> F,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    Builder::new().serve_connection(io, handler).await
}

/// How connections are served on which WebSockets are opened, beside ordinary requests.
///
/// It is hyper-util's [`auto`] server for HTTP/1.1 and HTTP/2, with upgrades and extended CONNECT, and
/// with an end to what a client may do before there is a WebSocket. The runtime needs its timer for
/// that. For anything else, set up a server with hyper and [`Windows::apply_to_server`].
///
/// ```
/// use fastwebsockets_stream::{Windows, server};
/// use hyper::{Request, Response, body::Incoming};
/// use std::{future::Future, io, time::Duration};
/// use tokio::net::TcpListener;
///
/// async fn handle(request: Request<Incoming>) -> Response<String> {
///     Response::new(format!("there is nothing at {}", request.uri().path()))
/// }
///
/// async fn serve(listener: TcpListener) -> io::Result<()> {
///     let http = server::Builder::new()
///         .windows(Windows::MANY)
///         .max_streams(10_000)
///         .request_timeout(Duration::from_secs(10));
///     loop {
///         let (tcp, _) = listener.accept().await?;
///         let http = http.clone();
///         tokio::spawn(async move { http.serve_connection(tcp, handle).await });
///     }
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    windows: Windows,
    max_streams: u32,
    request_timeout: Duration,
    keep_alive_interval: Duration,
    keep_alive_timeout: Duration,
}

impl Builder {
    /// With all defaults.
    pub fn new() -> Self {
        Self {
            windows: Windows::default(),
            max_streams: 1000,
            request_timeout: PATIENCE,
            keep_alive_interval: PATIENCE,
            keep_alive_timeout: PATIENCE,
        }
    }

    /// Flow control of HTTP/2. Default: [`Windows::FAST`].
    pub fn windows(mut self, windows: Windows) -> Self {
        self.windows = windows;
        self
    }

    /// How many streams of HTTP/2 a client may have open at a time on a connection (RFC 9113 section
    /// 5.1.2). Default: 1000.
    pub fn max_streams(mut self, streams: u32) -> Self {
        self.max_streams = streams;
        self
    }

    /// How long a client may take to its first request, over both versions, and with the head of each
    /// one over HTTP/1.1. Default: 30 seconds.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.min(NEVER);
        self
    }

    /// How long nothing may come from a client over HTTP/2 before it is pinged (RFC 9113 section 6.7),
    /// and how long it may take to answer. Default: 30 seconds each.
    ///
    /// It is the connection that is pinged, whatever its streams do. Over HTTP/1.1, and where a proxy
    /// is in between, [`Config::keep_alive`](crate::Config::keep_alive) is for that.
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive_interval = interval.min(NEVER);
        self.keep_alive_timeout = timeout.min(NEVER);
        self
    }

    /// Serves one connection, over HTTP/1.1 or HTTP/2, whichever the client speaks, until it ends or
    /// all that is left of it is a WebSocket. TLS, if any, is the transport's, and should offer `h2`
    /// and `http/1.1`.
    ///
    /// # Errors
    ///
    /// `TimedOut` if a request didn't come in time, and the kind of the transport's error, if that is
    /// what ended it; otherwise `Other`. hyper's error is inside.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the connection, with all WebSockets over HTTP/2 on it. One that was
    /// opened by an upgrade of HTTP/1.1 has left it.
    pub async fn serve_connection<S, H, F, B>(&self, io: S, handler: H) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        self.serve_connection_until(io, handler, pending::<()>()).await
    }

    /// [`serve_connection`](Self::serve_connection) that takes no further request once `stop` is
    /// ready, and ends when those that it took have ended.
    ///
    /// A client learns it over HTTP/2 by a GOAWAY (RFC 9113 section 6.8): what it has open goes on,
    /// WebSockets included, for as long as they last, and the next WebSocket takes another connection.
    /// Over HTTP/1.1 the connection is closed after the response that is under way. How long that may
    /// take is for the caller to say: dropping the future ends it.
    ///
    /// # Errors and cancel safety
    ///
    /// Those of `serve_connection`. Once `stop` was ready, only `TimedOut` is an error: what else
    /// happens to the connection is one of the WebSockets that are still open on it.
    pub async fn serve_connection_until<S, H, F, B>(
        &self,
        io: S,
        handler: H,
        stop: impl Future,
    ) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        H: Fn(Request<Incoming>) -> F,
        F: Future<Output = Response<B>> + Send + 'static,
        B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
    {
        let http = self.http();
        let asked = AtomicBool::new(false);
        let service = service_fn(|request| {
            asked.store(true, Ordering::Relaxed);
            let response = handler(request);
            async { Ok::<_, Infallible>(response.await) }
        });
        let mut serving = pin!(http.serve_connection_with_upgrades(TokioIo::new(io), service));
        // hyper's times begin once it knows which version of HTTP it is.
        let mut deadline = pin!(sleep(self.request_timeout));
        let mut stop = pin!(stop);
        let mut stopped = false;
        poll_fn(|cx| {
            if !stopped && stop.as_mut().poll(cx).is_ready() {
                stopped = true;
                serving.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(served) = serving.as_mut().poll(cx) {
                // Who isn't served any more may go first. And hyper-util calls it an error if it
                // didn't know the version of HTTP yet.
                return Poll::Ready(if stopped { Ok(()) } else { served.map_err(io_error) });
            }
            if asked.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
        })
        .await
    }

    fn http(&self) -> auto::Builder<TokioExecutor> {
        let mut http = auto::Builder::new(TokioExecutor::new());
        self.windows.apply_to_server(&mut http);
        http.http1().timer(TokioTimer::new()).header_read_timeout(self.request_timeout);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.keep_alive_interval)
            .keep_alive_timeout(self.keep_alive_timeout)
            .max_concurrent_streams(self.max_streams);
        http
    }
}

impl Default for Builder {
    fn default() -> Self {
        Self::new()
    }
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
