//! Opening WebSockets, over HTTP/1.1 and HTTP/2.
//!
//! ```no_run
//! use fastwebsockets_stream::{PayloadType, client::{Builder, Http2}};
//! use tokio::{io::AsyncWriteExt, net::TcpStream};
//!
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! let builder = Builder::new("ws://127.0.0.1:8080/echo").config(PayloadType::Binary);
//!
//! // A connection of its own, by an upgrade of HTTP/1.1.
//! let (mut stream, _response) =
//!     builder.http1(TcpStream::connect("127.0.0.1:8080").await?).await?;
//! stream.write_all(b"hello").await?;
//!
//! // Any number of them on one connection of HTTP/2.
//! let connection = Http2::handshake(TcpStream::connect("127.0.0.1:8080").await?).await?;
//! let (one, two) = tokio::try_join!(builder.http2(&connection), builder.http2(&connection))?;
//! # Ok(())
//! # }
//! ```
//!
//! With the feature `connect` there is `Builder::connect`, from an address to a stream,
//! `connect_http2`, from an address to a connection for many, and `Http2Pool`, which keeps a few of
//! those; with `tls` for `wss` and `https` as well.
//!
//! A handshake spawns a task for its connection, so it needs a runtime of tokio, with time enabled
//! for its timeout.

#[cfg(feature = "connect")]
mod connect;
mod error;
mod http2;
#[cfg(feature = "connect")]
mod pool;
#[cfg(feature = "tls")]
mod tls;

pub use error::{HandshakeError, Refusal};
pub use http2::Http2;
#[cfg(feature = "connect")]
#[cfg_attr(docsrs, doc(cfg(feature = "connect")))]
pub use pool::Http2Pool;
/// The TLS library, for a configuration of one's own: [`Builder::tls_config`].
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use tokio_rustls::rustls;

use super::{
    headers::{self, NO_MASKING, VERSION, WEBSOCKET},
    transport::Transport,
};
use crate::{
    Config, WebSocketStream,
    trace::{self, Instrument},
};
use fastwebsockets::Role;
use http_body_util::Empty;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::{Body, Bytes, Incoming},
    client::conn,
    ext::Protocol,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
        TRANSFER_ENCODING, UPGRADE,
    },
};
use hyper_util::rt::TokioIo;
use std::{
    future::Future,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a handshake may take, unless configured.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Headers that the handshake itself sets.
const OWN_HEADERS: [HeaderName; 10] = [
    CONNECTION,
    CONTENT_LENGTH,
    HOST,
    SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_EXTENSIONS,
    SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// What comes of a handshake: the stream, and the server's response with its version of HTTP and its
/// headers (the subprotocol is in `sec-websocket-protocol`).
pub type Connected = (WebSocketStream<Transport>, Response<()>);

/// A WebSocket to open. The same one can be opened any number of times.
///
/// What can be wrong with it is reported when it is opened.
///
/// ```
/// use fastwebsockets_stream::{Config, client::Builder};
/// use std::time::Duration;
///
/// let builder = Builder::new("wss://example.com/mqtt")
///     .subprotocols(["mqtt"])
///     .header("authorization", "Bearer 123")
///     .config(Config::new().half_close(true))
///     .timeout(Duration::from_secs(10));
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    uri: Result<Uri, HandshakeError>,
    config: Config,
    subprotocols: Vec<String>,
    headers: HeaderMap,
    bad_header: Option<HandshakeError>,
    timeout: Duration,
    no_masking: bool,
    #[cfg(feature = "tls")]
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Builder {
    /// A WebSocket at this address: `ws`, `wss`, `http` or `https`, with a host.
    pub fn new(uri: impl TryInto<Uri>) -> Self {
        let uri = uri.try_into().ok().filter(|uri| {
            matches!(uri.scheme_str(), Some("ws" | "wss" | "http" | "https"))
                && uri.host().is_some_and(|host| !host.is_empty())
        });
        Self {
            uri: uri.ok_or(HandshakeError::Uri),
            config: Config::default(),
            subprotocols: Vec::new(),
            headers: HeaderMap::new(),
            bad_header: None,
            timeout: TIMEOUT,
            no_masking: false,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// How the stream behaves.
    pub fn config(mut self, config: impl Into<Config>) -> Self {
        self.config = config.into();
        self
    }

    /// The subprotocols to offer, best first (RFC 6455 section 1.9).
    pub fn subprotocols(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// A header of the request besides those that belong to the handshake, which are refused
    /// ([`HandshakeError::Header`]).
    pub fn header(
        mut self,
        name: impl TryInto<HeaderName>,
        value: impl TryInto<HeaderValue>,
    ) -> Self {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) if !OWN_HEADERS.contains(&name) => {
                self.headers.append(name, value);
            }
            (Ok(name), _) => self.bad_header = Some(HandshakeError::Header(Some(name))),
            (Err(_), _) => self.bad_header = Some(HandshakeError::Header(None)),
        }
        self
    }

    /// The `Origin` of the request (RFC 6455 section 4.1). Only browsers have to send one.
    pub fn origin(self, origin: impl TryInto<HeaderValue>) -> Self {
        self.header(ORIGIN, origin)
    }

    /// How long the whole handshake may take. Default: 30 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Offers the extension `no-masking` (draft-damjanovic-websockets-nomasking): if the server
    /// accepts it, neither side masks. Default: off.
    ///
    /// It is offered for `wss` and `https` only, as the draft demands: a frame that isn't masked
    /// can confuse a proxy that doesn't know WebSockets (RFC 6455 section 10.3).
    pub fn no_masking(mut self, on: bool) -> Self {
        self.no_masking = on;
        self
    }

    /// Opens it over a connected transport of its own, by an upgrade of HTTP/1.1 (RFC 6455
    /// section 4.1). TLS, if any, is the transport's.
    ///
    /// # Errors
    ///
    /// As [`HandshakeError`] says. The transport is closed then.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the transport.
    pub async fn http1<S>(&self, io: S) -> Result<Connected, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.open("HTTP/1.1", self.upgrade_http1(io)).await
    }

    /// Opens it as a stream of an HTTP/2 connection (RFC 8441), beside others and beside ordinary
    /// requests. It waits for the server's SETTINGS, and for room among the streams that the server
    /// allows at a time.
    ///
    /// # Errors
    ///
    /// As [`HandshakeError`] says; the connection and its other streams live on.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up this stream only.
    pub async fn http2(&self, connection: &Http2) -> Result<Connected, HandshakeError> {
        self.open("HTTP/2", self.connect_on(connection)).await
    }

    /// Like [`http2`](Self::http2), on a connection that was made with hyper. Whoever made it has
    /// to know that the server takes extended CONNECT: `SendRequest` can't tell. Others reset the
    /// stream.
    ///
    /// # Errors
    ///
    /// As [`HandshakeError`] says.
    pub async fn http2_with<B>(
        &self,
        sender: &mut conn::http2::SendRequest<B>,
    ) -> Result<Connected, HandshakeError>
    where
        B: Body + Default + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.open("HTTP/2", async {
            sender.ready().await.map_err(HandshakeError::http)?;
            self.extended_connect(|request| sender.send_request(request.map(|_| B::default())))
                .await
        })
        .await
    }

    async fn upgrade_http1<S>(&self, io: S) -> Result<Connected, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let key = headers::new_key();
        let request = self.http1_request(&key)?;
        let (mut sender, connection) =
            conn::http1::handshake(TokioIo::new(io)).await.map_err(HandshakeError::http)?;
        // It ends with the response, or passes the transport on; its errors are the response's.
        tokio::spawn(connection.with_upgrades());
        let response = sender.send_request(request).await.map_err(HandshakeError::http)?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(HandshakeError::refused(Refusal::read(response).await));
        }
        check_http1_response(response.headers(), &key)?;
        let config = self.check_negotiation(response.headers())?;
        let (parts, upgraded) = upgrade(response).await?;
        let transport = Transport::new(upgraded);
        let stream = WebSocketStream::after_handshake(transport, Role::Client, config);
        Ok((stream, parts))
    }

    async fn connect_on(&self, connection: &Http2) -> Result<Connected, HandshakeError> {
        connection.wait_for_extended_connect().await?;
        self.extended_connect(|request| connection.send_request(request)).await
    }

    async fn extended_connect<F>(
        &self,
        send: impl FnOnce(Request<Empty<Bytes>>) -> F,
    ) -> Result<Connected, HandshakeError>
    where
        F: Future<Output = hyper::Result<Response<Incoming>>>,
    {
        let response = send(self.http2_request()?).await.map_err(HandshakeError::http)?;
        // hyper gives the stream for this status only, of all that RFC 9110 allows.
        if response.status() != StatusCode::OK {
            return Err(HandshakeError::refused(Refusal::read(response).await));
        }
        let config = self.check_negotiation(response.headers())?;
        let (parts, upgraded) = upgrade(response).await?;
        let close_sent = Arc::new(AtomicBool::new(false));
        let transport = Transport::http2_client(upgraded, Arc::clone(&close_sent));
        let mut stream = WebSocketStream::after_handshake(transport, Role::Client, config);
        stream.tell_close(close_sent);
        Ok((stream, parts))
    }

    /// A handshake that brings a stream.
    fn open(
        &self,
        how: &'static str,
        handshake: impl Future<Output = Result<Connected, HandshakeError>>,
    ) -> impl Future<Output = Result<Connected, HandshakeError>> {
        self.in_time(how, handshake, |(_, response)| trace::opened(response))
    }

    /// Boxed: a task that opens a WebSocket and then serves it would keep the room of the handshake.
    fn in_time<T>(
        &self,
        how: &'static str,
        handshake: impl Future<Output = Result<T, HandshakeError>>,
        opened: fn(&T),
    ) -> impl Future<Output = Result<T, HandshakeError>> {
        let done = tokio::time::timeout(self.timeout, Box::pin(handshake));
        let traced = async move {
            let done = done.await.unwrap_or(Err(HandshakeError::TimedOut));
            match &done {
                Ok(done) => opened(done),
                Err(error) => trace::not_opened(error),
            }
            done
        };
        traced.instrument(trace::opening(self.uri.as_ref().ok(), how))
    }

    fn http1_request(&self, key: &str) -> Result<Request<Empty<Bytes>>, HandshakeError> {
        let uri = self.uri()?;
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = path_of(uri)?;
        let headers = request.headers_mut();
        headers.insert(HOST, header(authority_of(uri)?)?);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        headers.insert(SEC_WEBSOCKET_KEY, header(key)?);
        self.add_headers(headers)?;
        Ok(request)
    }

    /// Without key, `Connection` and `Upgrade` (RFC 8441 section 5).
    fn http2_request(&self) -> Result<Request<Empty<Bytes>>, HandshakeError> {
        let uri = self.uri()?;
        let scheme = if is_encrypted(uri) { "https" } else { "http" };
        let uri = Uri::builder()
            .scheme(scheme)
            .authority(authority_of(uri)?)
            .path_and_query(path_of(uri)?.path_and_query().map_or("/", |path| path.as_str()))
            .build()
            .map_err(|_| HandshakeError::Uri)?;
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::CONNECT;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        request.extensions_mut().insert(Protocol::from_static(WEBSOCKET));
        self.add_headers(request.headers_mut())?;
        Ok(request)
    }

    fn add_headers(&self, headers: &mut HeaderMap) -> Result<(), HandshakeError> {
        if let Some(error) = &self.bad_header {
            return Err(error.clone());
        }
        headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
        if !self.subprotocols.is_empty() {
            let offered = header(&self.subprotocols.join(", "))?;
            headers.insert(SEC_WEBSOCKET_PROTOCOL, offered);
            let offered = headers::subprotocols(headers).map(|offered| offered.len());
            if offered != Ok(self.subprotocols.len()) {
                return Err(HandshakeError::Header(Some(SEC_WEBSOCKET_PROTOCOL)));
            }
        }
        if self.offers_no_masking() {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(NO_MASKING));
        }
        headers.extend(self.headers.clone());
        Ok(())
    }

    fn uri(&self) -> Result<&Uri, HandshakeError> {
        self.uri.as_ref().map_err(Clone::clone)
    }

    fn offers_no_masking(&self) -> bool {
        self.no_masking && self.uri.as_ref().is_ok_and(is_encrypted)
    }

    /// A server may only answer what was offered (RFC 6455 section 4.1).
    fn check_negotiation(&self, headers: &HeaderMap) -> Result<Config, HandshakeError> {
        let malformed = |headers::Malformed| HandshakeError::Subprotocol;
        match headers::subprotocols(headers).map_err(malformed)?[..] {
            [] => {}
            [name] if self.subprotocols.iter().any(|offered| offered == name) => {}
            _ => return Err(HandshakeError::Subprotocol),
        }
        let malformed = |headers::Malformed| HandshakeError::Extension;
        match &headers::extensions(headers).map_err(malformed)?[..] {
            [] => Ok(self.config),
            [extension] if self.offers_no_masking() && extension.is_no_masking() => {
                Ok(self.config.no_masking(true))
            }
            _ => Err(HandshakeError::Extension),
        }
    }
}

/// RFC 6455 section 4.1: what the client must verify.
fn check_http1_response(headers: &HeaderMap, key: &str) -> Result<(), HandshakeError> {
    if !headers::has_token(headers, UPGRADE, WEBSOCKET) {
        return Err(HandshakeError::Upgrade);
    }
    if !headers::has_token(headers, CONNECTION, "upgrade") {
        return Err(HandshakeError::Connection);
    }
    let accept = headers::single(headers, SEC_WEBSOCKET_ACCEPT);
    if accept.is_none_or(|accept| accept.as_bytes() != headers::accept(key.as_bytes()).as_bytes()) {
        return Err(HandshakeError::Accept);
    }
    Ok(())
}

async fn upgrade(
    response: Response<Incoming>,
) -> Result<(Response<()>, hyper::upgrade::Upgraded), HandshakeError> {
    let (mut parts, body) = response.into_parts();
    let on_upgrade = parts.extensions.remove::<hyper::upgrade::OnUpgrade>();
    drop(body);
    let on_upgrade = on_upgrade.ok_or(HandshakeError::Upgrade)?;
    let upgraded = on_upgrade.await.map_err(HandshakeError::http)?;
    Ok((Response::from_parts(parts, ()), upgraded))
}

fn is_encrypted(uri: &Uri) -> bool {
    matches!(uri.scheme_str(), Some("wss" | "https"))
}

fn path_of(uri: &Uri) -> Result<Uri, HandshakeError> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    path.parse().map_err(|_| HandshakeError::Uri)
}

/// Host and port, without what may come before an `@`: it doesn't belong into a request.
fn authority_of(uri: &Uri) -> Result<&str, HandshakeError> {
    let authority = uri.authority().ok_or(HandshakeError::Uri)?.as_str();
    Ok(authority.rsplit('@').next().unwrap_or(authority))
}

fn header(value: &str) -> Result<HeaderValue, HandshakeError> {
    HeaderValue::from_str(value).map_err(|_| HandshakeError::Header(None))
}
