//! Accepting WebSockets: one call for HTTP/1.1 and HTTP/2.
//!
//! ```
//! use fastwebsockets_stream::{PayloadType, server};
//! use http_body_util::Empty;
//! use hyper::{Request, Response, body::{Bytes, Incoming}};
//!
//! async fn handle(mut request: Request<Incoming>) -> Response<Empty<Bytes>> {
//!     match server::upgrade(&mut request, PayloadType::Binary) {
//!         Err(refused) => refused.response(),
//!         Ok((response, upgrade)) => {
//!             tokio::spawn(async move {
//!                 let stream = upgrade.await?;
//!                 let (mut reads, mut writes) = tokio::io::split(stream);
//!                 tokio::io::copy(&mut reads, &mut writes).await
//!             });
//!             response
//!         }
//!     }
//! }
//! ```
//!
//! [`serve_connection`] serves a connection with such a handler, and bounds the time to the first
//! request; a [`Builder`] sets that time and other limits, and can stop gracefully. Other servers will
//! do as well, if they serve with upgrades (`serve_connection_with_upgrades`), and over HTTP/2 with
//! `enable_connect_protocol`; [`Windows::apply_to_server`](crate::Windows::apply_to_server) does that
//! and sets windows that fill the path. axum's `serve` does the first two by itself; its route is one
//! for any method.

mod serve;

pub use serve::{Builder, serve_connection};

use super::{
    headers::{self, NO_MASKING, VERSION, WEBSOCKET},
    transport::Transport,
};
use crate::{Config, WebSocketStream, trace};
use fastwebsockets::Role;
use http_body_util::Empty;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri, Version,
    body::Bytes,
    header::{
        ALLOW, CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
        TRANSFER_ENCODING, UPGRADE,
    },
    upgrade::OnUpgrade,
};
use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Whether a request asks for a WebSocket: by `Upgrade: websocket` over HTTP/1.1 (RFC 6455 section
/// 4.2.1), or by an extended CONNECT over HTTP/2 (RFC 8441 section 4).
///
/// It may still be refused, by [`upgrade`].
pub fn is_upgrade_request<B>(request: &Request<B>) -> bool {
    if request.method() == Method::CONNECT {
        return headers::is_connect_protocol(request);
    }
    request.method() == Method::GET && asks_for_upgrade(request.headers())
}

/// Accepts a WebSocket with the defaults of [`Acceptor`]: no subprotocol, and a browser only from a
/// page of the same host.
///
/// # Errors
///
/// As [`Acceptor::accept`].
pub fn upgrade<B>(
    request: &mut Request<B>,
    config: impl Into<Config>,
) -> Result<(Response<Empty<Bytes>>, Upgrade), HandshakeError> {
    Acceptor::new().config(config).accept(request)
}

/// Which WebSockets a server accepts, and how.
///
/// ```
/// use fastwebsockets_stream::{PayloadType, server::Acceptor};
///
/// let acceptor = Acceptor::new()
///     .subprotocols(["mqtt"])
///     .allow_origin("https://app.example.com")
///     .config(PayloadType::Binary);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Acceptor {
    config: Config,
    subprotocols: Vec<String>,
    origins: Origins,
    no_masking: bool,
}

/// Which pages may connect.
#[derive(Debug, Clone)]
enum Origins {
    Any,
    /// The request's own host, and these.
    Same(Vec<String>),
}

impl Default for Origins {
    fn default() -> Self {
        Origins::Same(Vec::new())
    }
}

impl Acceptor {
    /// The defaults, as in [`upgrade`].
    pub fn new() -> Self {
        Self::default()
    }

    /// How the streams behave.
    pub fn config(mut self, config: impl Into<Config>) -> Self {
        self.config = config.into();
        self
    }

    /// The subprotocols that the server speaks, best first (RFC 6455 section 1.9). The first of
    /// them that the client offers is chosen; a client that offers none of them gets none, and can
    /// be told apart by [`Upgrade::subprotocol`].
    pub fn subprotocols(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.subprotocols = names.into_iter().map(Into::into).collect();
        self
    }

    /// Lets pages of another origin connect, such as `https://app.example.com`, beside those of the
    /// server's own host (RFC 6454 section 6.2; compared without regard to case).
    pub fn allow_origin(mut self, origin: impl Into<String>) -> Self {
        if let Origins::Same(others) = &mut self.origins {
            others.push(origin.into());
        }
        self
    }

    /// Lets the pages of any site connect, with the visitor's cookies: for servers that don't rely
    /// on those.
    pub fn allow_any_origin(mut self) -> Self {
        self.origins = Origins::Any;
        self
    }

    /// Accepts the extension `no-masking` (draft-damjanovic-websockets-nomasking) from clients that
    /// offer it: then neither side masks, and a masked frame is the error. Default: off.
    ///
    /// Only for connections that are encrypted, as the draft demands. Whether they are is for the
    /// caller to know: a proxy may have taken TLS off, or put it on.
    pub fn no_masking(mut self, on: bool) -> Self {
        self.no_masking = on;
        self
    }

    /// Checks a request and answers it. The response has to be sent, without changing its status,
    /// before the [`Upgrade`] is done.
    ///
    /// # Errors
    ///
    /// A [`HandshakeError`] for each way in which the request is not one for a WebSocket that this
    /// acceptor takes. Nothing was changed then, and [`HandshakeError::response`] is the answer.
    pub fn accept<B>(
        &self,
        request: &mut Request<B>,
    ) -> Result<(Response<Empty<Bytes>>, Upgrade), HandshakeError> {
        let span = trace::accepting(request);
        let (response, accepted) =
            span.in_scope(|| self.answer(request).inspect_err(trace::refused))?;
        let upgrade = Upgrade { accepted, upgraded: hyper::upgrade::on(request), span };
        Ok((response, upgrade))
    }

    fn answer<B>(
        &self,
        request: &Request<B>,
    ) -> Result<(Response<Empty<Bytes>>, Accepted), HandshakeError> {
        let is_http2 = check_request(request)?;
        self.check_origin(request)?;
        let headers = request.headers();
        let offered = headers::subprotocols(headers)
            .map_err(|headers::Malformed| HandshakeError::Subprotocols)?;
        let chosen = self.subprotocols.iter().find(|name| offered.contains(&name.as_str()));
        let no_masking = headers::extensions(headers)
            .map_err(|headers::Malformed| HandshakeError::Extensions)?
            .iter()
            .any(|extension| self.no_masking && extension.is_no_masking());

        let mut response = Response::new(Empty::new());
        let answer = response.headers_mut();
        if let Some(key) = headers.get(SEC_WEBSOCKET_KEY) {
            answer.insert(SEC_WEBSOCKET_ACCEPT, header(&headers::accept(key.as_bytes()))?);
        }
        if let Some(name) = chosen {
            answer.insert(SEC_WEBSOCKET_PROTOCOL, header(name)?);
        }
        if no_masking {
            answer.insert(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(NO_MASKING));
        }
        if !is_http2 {
            answer.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            answer.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }

        let config = if no_masking { self.config.no_masking(true) } else { self.config };
        trace::accepted(chosen.map(String::as_str), no_masking);
        let accepted =
            Accepted { subprotocol: chosen.cloned(), config, version: request.version() };
        Ok((response, accepted))
    }

    /// Cross-site WebSocket hijacking: browsers send cookies along with the requests of any page,
    /// and say only in `Origin` whose page it is (RFC 6455 section 10.2).
    fn check_origin<B>(&self, request: &Request<B>) -> Result<(), HandshakeError> {
        let Origins::Same(others) = &self.origins else {
            return Ok(());
        };
        if !request.headers().contains_key(ORIGIN) {
            return Ok(());
        }
        let origin = headers::single(request.headers(), ORIGIN).and_then(|o| o.to_str().ok());
        let origin = origin.ok_or(HandshakeError::Origin)?;
        if others.iter().any(|other| other.eq_ignore_ascii_case(origin)) {
            return Ok(());
        }
        match is_same_host(origin, request) {
            Some(true) => Ok(()),
            _ => Err(HandshakeError::Origin),
        }
    }
}

/// Whether a page of this origin comes from the host that the request is for.
fn is_same_host<B>(origin: &str, request: &Request<B>) -> Option<bool> {
    let origin: Uri = origin.parse().ok()?;
    let default_port = match origin.scheme_str()? {
        "https" => 443,
        "http" => 80,
        _ => return None,
    };
    let asked: Uri = match request.uri().authority() {
        Some(authority) => authority.as_str().parse().ok()?,
        None => headers::single(request.headers(), HOST)?.to_str().ok()?.parse().ok()?,
    };
    let same_host = origin.host()?.eq_ignore_ascii_case(asked.host()?);
    let port = |uri: &Uri| uri.port_u16().unwrap_or(default_port);
    Some(same_host && port(&origin) == port(&asked))
}

fn asks_for_upgrade(headers: &HeaderMap) -> bool {
    headers::has_token(headers, CONNECTION, "upgrade")
        && headers::has_token(headers, UPGRADE, WEBSOCKET)
}

/// What a request must have (RFC 6455 section 4.2.1, RFC 8441 section 5). Returns whether it came
/// over HTTP/2.
fn check_request<B>(request: &Request<B>) -> Result<bool, HandshakeError> {
    let headers = request.headers();
    let is_http2 = request.version() >= Version::HTTP_2;
    if is_http2 {
        if request.method() != Method::CONNECT {
            return Err(HandshakeError::Method { http2: true });
        }
        if !headers::is_connect_protocol(request) {
            return Err(HandshakeError::ConnectProtocol);
        }
    } else {
        if request.version() < Version::HTTP_11 {
            return Err(HandshakeError::HttpVersion);
        }
        if request.method() != Method::GET {
            return Err(HandshakeError::Method { http2: false });
        }
        if !headers::has_token(headers, UPGRADE, WEBSOCKET) {
            return Err(HandshakeError::Upgrade);
        }
        if !headers::has_token(headers, CONNECTION, "upgrade") {
            return Err(HandshakeError::Connection);
        }
    }
    if headers::single(headers, SEC_WEBSOCKET_VERSION) != Some(&VERSION) {
        return Err(HandshakeError::WebSocketVersion);
    }
    // Over HTTP/2 there is no key, unless a proxy passed one on (RFC 8441 section 5).
    let needs_key = !is_http2 || headers.contains_key(SEC_WEBSOCKET_KEY);
    if needs_key && !headers::single(headers, SEC_WEBSOCKET_KEY).is_some_and(headers::is_key) {
        return Err(HandshakeError::Key);
    }
    let length = headers.get(CONTENT_LENGTH);
    if headers.contains_key(TRANSFER_ENCODING) || length.is_some_and(|length| length != "0") {
        return Err(HandshakeError::Body);
    }
    if request.extensions().get::<OnUpgrade>().is_none() {
        return Err(HandshakeError::NotUpgradable);
    }
    Ok(is_http2)
}

/// A value that this side made. A subprotocol that was configured may still be no header value.
fn header(value: &str) -> Result<HeaderValue, HandshakeError> {
    HeaderValue::from_str(value).map_err(|_| HandshakeError::Subprotocols)
}

/// A WebSocket that was accepted: a future of its stream, done once the response is sent.
///
/// Await it in a task of its own: the handler has to return the response first.
///
/// # Errors
///
/// If the connection ends before the response is sent, or isn't served with upgrades.
#[derive(Debug)]
#[must_use = "the stream is what it resolves to"]
pub struct Upgrade {
    accepted: Accepted,
    upgraded: OnUpgrade,
    span: trace::Span,
}

/// What was agreed on.
#[derive(Debug)]
struct Accepted {
    subprotocol: Option<String>,
    config: Config,
    version: Version,
}

impl Upgrade {
    /// The subprotocol that was chosen.
    pub fn subprotocol(&self) -> Option<&str> {
        self.accepted.subprotocol.as_deref()
    }

    /// The version of HTTP that the request came over.
    pub fn version(&self) -> Version {
        self.accepted.version
    }
}

impl Future for Upgrade {
    type Output = io::Result<WebSocketStream<Transport>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let upgraded = ready!(Pin::new(&mut self.upgraded).poll(cx));
        self.span.in_scope(|| trace::upgraded(&upgraded));
        let upgraded = upgraded.map_err(io::Error::other)?;
        let Accepted { config, version, .. } = self.accepted;
        let transport = if version == Version::HTTP_2 {
            Transport::http2_server(upgraded)
        } else {
            Transport::new(upgraded)
        };
        Poll::Ready(Ok(WebSocketStream::after_handshake(transport, Role::Server, config)))
    }
}

/// Why a request gets no WebSocket. [`response`](Self::response) is the answer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Not `GET`, or over HTTP/2 not `CONNECT`: 405.
    Method {
        /// Whether the request came over HTTP/2.
        http2: bool,
    },
    /// HTTP/1.0 or older: 505.
    HttpVersion,
    /// `Upgrade` doesn't name `websocket`: 426.
    Upgrade,
    /// `Connection` doesn't name `Upgrade`: 400.
    Connection,
    /// A CONNECT over HTTP/2 whose `:protocol` isn't `websocket`: 501 (RFC 9220 section 3).
    ConnectProtocol,
    /// `Sec-WebSocket-Version` isn't 13: 426, with the version that is.
    WebSocketVersion,
    /// `Sec-WebSocket-Key` isn't there once, or isn't 16 bytes of base64: 400.
    Key,
    /// The request has a body: 400.
    Body,
    /// A page of another site: 403.
    Origin,
    /// `Sec-WebSocket-Protocol` isn't a list of different tokens: 400.
    Subprotocols,
    /// `Sec-WebSocket-Extensions` isn't a list of extensions: 400.
    Extensions,
    /// The connection isn't served with upgrades: 500.
    NotUpgradable,
}

impl HandshakeError {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            HandshakeError::Method { .. } => StatusCode::METHOD_NOT_ALLOWED,
            HandshakeError::HttpVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            HandshakeError::Upgrade | HandshakeError::WebSocketVersion => {
                StatusCode::UPGRADE_REQUIRED
            }
            HandshakeError::ConnectProtocol => StatusCode::NOT_IMPLEMENTED,
            HandshakeError::Origin => StatusCode::FORBIDDEN,
            HandshakeError::NotUpgradable => StatusCode::INTERNAL_SERVER_ERROR,
            HandshakeError::Connection
            | HandshakeError::Key
            | HandshakeError::Body
            | HandshakeError::Subprotocols
            | HandshakeError::Extensions => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer to the request: the status, and the headers that belong to it.
    pub fn response<B: Default>(self) -> Response<B> {
        let mut response = Response::new(B::default());
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        match self {
            HandshakeError::Method { http2 } => {
                let allowed = if http2 { "CONNECT" } else { "GET" };
                headers.insert(ALLOW, HeaderValue::from_static(allowed));
            }
            HandshakeError::Upgrade => {
                headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
                headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            }
            HandshakeError::WebSocketVersion => {
                headers.insert(SEC_WEBSOCKET_VERSION, VERSION);
            }
            _ => {}
        }
        response
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HandshakeError::Method { http2: false } => "the method isn't GET",
            HandshakeError::Method { http2: true } => "the method isn't CONNECT",
            HandshakeError::HttpVersion => "the request is older than HTTP/1.1",
            HandshakeError::Upgrade => "Upgrade doesn't name websocket",
            HandshakeError::Connection => "Connection doesn't name Upgrade",
            HandshakeError::ConnectProtocol => ":protocol isn't websocket",
            HandshakeError::WebSocketVersion => "Sec-WebSocket-Version isn't 13",
            HandshakeError::Key => "Sec-WebSocket-Key isn't there once with 16 bytes of base64",
            HandshakeError::Body => "a request for a WebSocket has no body",
            HandshakeError::Origin => "a page of this Origin may not connect",
            HandshakeError::Subprotocols => "Sec-WebSocket-Protocol isn't a list of tokens",
            HandshakeError::Extensions => "Sec-WebSocket-Extensions isn't a list of extensions",
            HandshakeError::NotUpgradable => "the connection isn't served with upgrades",
        })
    }
}

impl std::error::Error for HandshakeError {}
