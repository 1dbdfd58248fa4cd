//! One HTTP/2 connection for many WebSockets.

use super::HandshakeError;
use crate::{handshake::windows::Windows, trace};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Body, Bytes, Incoming},
    client::conn::http2::{Builder, Connection, SendRequest},
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    error::Error,
    fmt,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, watch},
};

/// How long a server may be silent before it is pinged, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

type BoxError = Box<dyn Error + Send + Sync>;
type BoxBody = UnsyncBoxBody<Bytes, BoxError>;

/// A handle on an HTTP/2 connection, on which any number of WebSockets can be opened beside
/// ordinary requests. Clones share the connection.
///
/// A task drives the connection. It ends by itself when the last handle and the last stream are
/// gone. When nothing was read from the server for 30 seconds, it is pinged (RFC 9113 section 6.7),
/// so that nothing on the way thinks the connection idle; if it doesn't answer for another 30, the
/// connection ends, and every stream on it.
#[derive(Clone)]
pub struct Http2 {
    sender: SendRequest<BoxBody>,
    state: watch::Receiver<State>,
}

/// What is known of the server.
#[derive(Clone)]
enum State {
    /// Its SETTINGS have not come.
    Connecting,
    /// It takes extended CONNECT.
    Open,
    /// It doesn't.
    NoExtendedConnect,
    /// The connection has ended.
    Ended(Option<Arc<hyper::Error>>),
}

impl Http2 {
    /// Starts HTTP/2 on a connected transport, with the default [`Windows`]. TLS, if any, is the
    /// transport's, and must have negotiated `h2`.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Http`] if the connection fails at once. It doesn't wait for the server.
    pub async fn handshake<S>(io: S) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        Self::handshake_with(io, Windows::default()).await
    }

    /// Like [`handshake`](Self::handshake), with other windows.
    ///
    /// # Errors
    ///
    /// As for [`handshake`](Self::handshake).
    pub async fn handshake_with<S>(io: S, windows: Windows) -> Result<Self, HandshakeError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let progress = Executor::default();
        let mut builder = Builder::new(progress.clone());
        windows.apply_to_http2_client(&mut builder);
        // Nothing is sent before the server's SETTINGS: they say how many streams may be opened.
        builder.initial_max_send_streams(0);
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let made = builder.handshake(TokioIo::new(io)).await;
        let (sender, connection) = made.map_err(HandshakeError::http)?;
        let (publish, state) = watch::channel(State::Connecting);
        tokio::spawn(drive(connection, progress, publish));
        Ok(Self { sender, state })
    }

    /// Sends an ordinary request. Its URI is absolute.
    ///
    /// # Errors
    ///
    /// hyper's, if the connection or the stream fails.
    pub async fn send_request<B>(&self, request: Request<B>) -> hyper::Result<Response<Incoming>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut sender = self.sender.clone();
        sender.ready().await?;
        sender.send_request(request.map(|body| body.map_err(Into::into).boxed_unsync())).await
    }

    /// Whether the connection has ended, or is known to take no more requests.
    ///
    /// After a server's GOAWAY it becomes so only when the last stream has ended, or when a request or
    /// two have been refused: they were the first to learn of it, and can be sent on another connection.
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed() || matches!(*self.state.borrow(), State::Ended(_))
    }

    /// Whether both are handles on the same connection.
    #[cfg(feature = "connect")]
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.state.same_channel(&other.state)
    }

    /// Waits for the server's SETTINGS (RFC 8441 section 3).
    pub(super) async fn wait_for_extended_connect(&self) -> Result<(), HandshakeError> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, State::Connecting)).await;
        match known.as_deref() {
            Ok(State::Open) => Ok(()),
            Ok(State::NoExtendedConnect) => Err(HandshakeError::ExtendedConnectUnsupported),
            Ok(State::Ended(Some(error))) => Err(HandshakeError::Http(Arc::clone(error))),
            Ok(State::Ended(None) | State::Connecting) | Err(_) => {
                Err(HandshakeError::ConnectionClosed)
            }
        }
    }
}

/// Drives the connection, and publishes what is known of the server.
async fn drive<S>(
    mut connection: Connection<TokioIo<S>, BoxBody, Executor>,
    progress: Executor,
    publish: watch::Sender<State>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut made = pin!(progress.made.notified());
    let ended = poll_fn(|cx| {
        let polled = Pin::new(&mut connection).poll(cx);
        while progress.is_watched() {
            let state = if connection.is_extended_connect_protocol_enabled() {
                State::Open
            } else if connection.current_max_send_streams() > 0 {
                State::NoExtendedConnect
            } else if made.as_mut().poll(cx).is_ready() {
                made.set(progress.made.notified());
                continue;
            } else {
                break;
            };
            progress.unwatch();
            publish.send_replace(state);
        }
        polled
    })
    .await;
    trace::http2_ended(ended.as_ref().err());
    publish.send_replace(State::Ended(ended.err().map(Arc::new)));
}

/// Spawns hyper's tasks, of which one reads the server's frames. hyper tells nobody when SETTINGS
/// come, so each poll of a task is reported until they have.
#[derive(Clone, Default)]
struct Executor {
    made: Arc<Notify>,
    settings_known: Arc<AtomicBool>,
}

impl Executor {
    fn is_watched(&self) -> bool {
        !self.settings_known.load(Ordering::Relaxed)
    }

    fn unwatch(&self) {
        self.settings_known.store(true, Ordering::Relaxed);
    }
}

impl<F> hyper::rt::Executor<F> for Executor
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let progress = self.clone();
        tokio::spawn(async move {
            let mut task = pin!(task);
            poll_fn(|cx| {
                let polled = task.as_mut().poll(cx);
                if progress.is_watched() {
                    progress.made.notify_one();
                }
                polled
            })
            .await
        });
    }
}

impl fmt::Debug for Http2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2").field("is_closed", &self.is_closed()).finish_non_exhaustive()
    }
}
