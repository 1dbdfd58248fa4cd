//! Serving a connection on which WebSockets are opened.

use crate::{FOR_EVER, Windows};
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    header::UPGRADE,
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
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};

/// With less, a ping would follow upon a ping.
const SHORTEST: Duration = Duration::from_millis(1);

/// How long a client may take to ask, be silent, and take to answer a ping, unless it is set.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves one connection, over HTTP/1.1 or HTTP/2, whichever the client speaks, until it ends or all
/// that is left of it is a WebSocket. TLS, if any, is the transport's, and should offer `h2` and
/// `http/1.1`.
///
/// This is [`Builder::serve_connection`], with its errors and its cancel safety, and with all defaults;
/// [`Builder`] says what they are.
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
/// use std::{io, time::Duration};
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

    /// How long a client may take to its first request, over both versions, and over HTTP/1.1 from the
    /// end of a response to the end of the next one's head, so it bounds an idle connection as well.
    /// Default: 30 seconds.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout.min(FOR_EVER);
        self
    }

    /// How long nothing may come from a client over HTTP/2 before it is pinged (RFC 9113 section 6.7),
    /// and how long it may take to answer. Default: 30 seconds each. At least a millisecond each;
    /// `Duration::MAX` is never.
    ///
    /// It is the connection that is pinged, whatever its streams do. Over HTTP/1.1, and where a proxy
    /// is in between, [`Config::keep_alive`](crate::Config::keep_alive) is for that.
    pub fn keep_alive(mut self, interval: Duration, timeout: Duration) -> Self {
        self.keep_alive_interval = interval.clamp(SHORTEST, FOR_EVER);
        self.keep_alive_timeout = timeout.clamp(SHORTEST, FOR_EVER);
        self
    }

    /// Serves one connection, over HTTP/1.1 or HTTP/2, whichever the client speaks, until it ends or
    /// all that is left of it is a WebSocket. TLS, if any, is the transport's, and should offer `h2`
    /// and `http/1.1`.
    ///
    /// # Errors
    ///
    /// `TimedOut` if a request or the answer to a ping didn't come in time, and the kind of the
    /// transport's error, if that is what ended it; otherwise `Other`. hyper's error is inside.
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

    /// [`serve_connection`](Self::serve_connection) that tells the client to go once `stop` is ready,
    /// and ends when what it has open has ended.
    ///
    /// Over HTTP/2 the client gets a GOAWAY (RFC 9113 section 6.8). What it asks for until it has
    /// acknowledged that is served; after that nothing is. What is open goes on, WebSockets included,
    /// for as long as it lasts. Over HTTP/1.1 the connection is closed after the response that is under
    /// way, unless it opens a WebSocket. How long all that may take is for the caller to say: dropping
    /// the future ends it.
    ///
    /// # Errors and cancel safety
    ///
    /// Those of `serve_connection`. Once `stop` was ready, only `TimedOut` is an error: a client may be
    /// the first to leave a connection that is being given up.
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
        let upgrading = Arc::new(AtomicBool::new(false));
        let service = service_fn(|request: Request<Incoming>| {
            asked.store(true, Ordering::Relaxed);
            // There is no such header over HTTP/2, and over HTTP/1.1 one request at a time.
            upgrading.store(request.headers().contains_key(UPGRADE), Ordering::Relaxed);
            let (response, upgrading) = (handler(request), Arc::clone(&upgrading));
            async move {
                let response = response.await;
                upgrading.store(false, Ordering::Relaxed);
                Ok::<_, Infallible>(response)
            }
        });
        let mut serving = pin!(http.serve_connection_with_upgrades(TokioIo::new(io), service));
        // hyper's times begin once it knows which version of HTTP it is.
        let mut deadline = pin!(sleep(self.request_timeout));
        let mut stop = pin!(stop);
        let (mut stopped, mut told) = (false, false);
        poll_fn(|cx| {
            stopped = stopped || stop.as_mut().poll(cx).is_ready();
            loop {
                if let Poll::Ready(served) = serving.as_mut().poll(cx) {
                    return Poll::Ready(match served.map_err(io_error) {
                        Err(error) if stopped && error.kind() != io::ErrorKind::TimedOut => Ok(()),
                        served => served,
                    });
                }
                // hyper would add "close" to the Connection header of the response to an upgrade, where
                // many clients expect nothing but "Upgrade".
                if !stopped || told || upgrading.load(Ordering::Relaxed) {
                    break;
                }
                serving.as_mut().graceful_shutdown();
                told = true;
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
