//! What carries a WebSocket after its handshake.

use crate::trace;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    runtime::Handle,
    time::timeout,
};

/// How long a dropped HTTP/2 stream may take to bring out what it was given.
const LINGER: Duration = Duration::from_secs(30);

/// The connection or HTTP/2 stream that carries a WebSocket after its handshake.
///
/// It can be dropped as a TCP socket can: what was written still goes out. The kernel does that
/// for TCP. For HTTP/2, a dropped stream goes on in a task of its own until the peer has ended it,
/// 30 seconds at most: hyper's client would forget what it has not sent yet, and hyper's server
/// would reset a stream that its client is still busy with.
///
/// It is `Send`, `Sync` and `Unpin`.
pub struct Transport {
    /// There until it is dropped. Never locked: the mutex makes it `Sync`, which a TCP socket is
    /// and `Upgraded` isn't, so that futures that hold a `&` to a stream are `Send`.
    io: Mutex<Option<TokioIo<Upgraded>>>,
    vectored: bool,
    linger: Option<Linger>,
}

/// What the task of a dropped stream needs.
struct Linger {
    runtime: Handle,
    /// Whether the peer ends the stream first: it is the server, and our Close was handed over.
    peer_ends_first: Arc<AtomicBool>,
}

impl Transport {
    /// A transport that can simply be dropped.
    pub(super) fn new(io: Upgraded) -> Self {
        Self::with_linger(io, None)
    }

    /// A stream of hyper's HTTP/2 client. The flag is set once our Close was given to it.
    pub(super) fn http2_client(io: Upgraded, close_sent: Arc<AtomicBool>) -> Self {
        Self::lingering(io, close_sent)
    }

    /// A stream of hyper's HTTP/2 server.
    pub(super) fn http2_server(io: Upgraded) -> Self {
        Self::lingering(io, Arc::default())
    }

    fn lingering(io: Upgraded, peer_ends_first: Arc<AtomicBool>) -> Self {
        let linger = Handle::try_current().ok().map(|runtime| Linger { runtime, peer_ends_first });
        Self::with_linger(io, linger)
    }

    fn with_linger(io: Upgraded, linger: Option<Linger>) -> Self {
        let io = TokioIo::new(io);
        Self { vectored: io.is_write_vectored(), io: Mutex::new(Some(io)), linger }
    }

    fn peer_ends_first(&self) -> bool {
        self.linger.as_ref().is_some_and(|linger| linger.peer_ends_first.load(Ordering::Relaxed))
    }

    fn io(&mut self) -> Pin<&mut TokioIo<Upgraded>> {
        Pin::new(self.slot().as_mut().expect("only dropping takes it"))
    }

    fn slot(&mut self) -> &mut Option<TokioIo<Upgraded>> {
        self.io.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        let peer_ends_first = self.peer_ends_first();
        if let (Some(io), Some(linger)) = (self.slot().take(), self.linger.take()) {
            linger.runtime.spawn(async move {
                if timeout(LINGER, end(io, peer_ends_first)).await.is_err() {
                    trace::let_go();
                }
            });
        }
    }
}

/// Ends our direction of an HTTP/2 stream and waits for the peer to end its own: then everything
/// has arrived, and nothing is reset.
///
/// After a Close it is the server that ends first, as on TCP (RFC 6455 section 7.1.1). Some break
/// the whole connection when END_STREAM comes for a stream that they are done with.
async fn end(mut io: TokioIo<Upgraded>, peer_ends_first: bool) -> io::Result<()> {
    if !peer_ends_first {
        io.shutdown().await?;
    }
    let mut dropped = vec![0; 4096];
    while io.read(&mut dropped).await? > 0 {}
    io.shutdown().await
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.io().poll_read(cx, buf)
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.io().poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.peer_ends_first() {
            return Poll::Ready(Ok(()));
        }
        self.io().poll_shutdown(cx)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").finish_non_exhaustive()
    }
}
