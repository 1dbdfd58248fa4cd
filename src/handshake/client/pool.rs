//! A few HTTP/2 connections for any number of WebSockets.

use super::{Builder, Connected, HandshakeError, Http2};
use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
};
use tokio::sync::Mutex;

/// HTTP/2 connections to one server that WebSockets take in turns: each is made when it is first
/// needed, and made anew when it has ended.
///
/// ```no_run
/// use fastwebsockets_stream::client::{Builder, Http2Pool};
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Http2Pool::new(Builder::new("wss://example.com/chat"), 2);
/// let (one, _response) = pool.open().await?;
/// let (two, _response) = pool.open().await?;
/// # Ok(())
/// # }
/// ```
pub struct Http2Pool {
    builder: Builder,
    connections: Box<[Slot]>,
    turn: AtomicUsize,
}

type Slot = Mutex<Option<Http2>>;

impl Http2Pool {
    /// WebSockets as this builder opens them, on this many connections, at least one.
    ///
    /// One connection carries as many as the server allows at a time, and no more data than one TCP
    /// connection does.
    pub fn new(builder: Builder, connections: usize) -> Self {
        let connections = (0..connections.max(1)).map(|_| Mutex::default()).collect();
        Self { builder, connections, turn: AtomicUsize::new(0) }
    }

    /// Opens a WebSocket on the connection whose turn it is.
    ///
    /// It waits for a new connection, if one is being made, and for room among the streams that the
    /// server allows at a time. That the server has given up a connection, by GOAWAY or for being idle,
    /// may be known only when a request fails: so one that fails without an answer is made once more,
    /// on a new connection. After that, and after one that wasn't answered in time, the old connection
    /// keeps its streams, and gets no new ones.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect_http2`] and [`Builder::http2`], and
    /// [`TimedOut`](HandshakeError::TimedOut) if it takes longer than [`Builder::timeout`] in all.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives up this WebSocket only.
    pub async fn open(&self) -> Result<Connected, HandshakeError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let slot = &self.connections[turn];
        let opened = tokio::time::timeout(self.builder.timeout, async {
            let (connection, is_new) = self.connection(slot).await?;
            match self.builder.http2(&connection).await {
                Err(HandshakeError::ConnectionClosed | HandshakeError::Http(_)) if !is_new => {
                    discard(slot, &connection).await;
                    let (connection, _) = self.connection(slot).await?;
                    self.builder.http2(&connection).await
                }
                opened => opened,
            }
        });
        match opened.await {
            Ok(Err(HandshakeError::TimedOut)) | Err(_) => {
                // Whoever is making a connection keeps the slot until it is made.
                if let Ok(mut slot) = slot.try_lock() {
                    *slot = None;
                }
                Err(HandshakeError::TimedOut)
            }
            Ok(opened) => opened,
        }
    }

    /// A connection that isn't known to have ended, and whether it was made now.
    async fn connection(&self, slot: &Slot) -> Result<(Http2, bool), HandshakeError> {
        let mut slot = slot.lock().await;
        match &*slot {
            Some(connection) if !connection.is_closed() => Ok((connection.clone(), false)),
            _ => Ok((slot.insert(self.builder.connect_http2().await?).clone(), true)),
        }
    }
}

/// Lets nobody else take this connection.
async fn discard(slot: &Slot, connection: &Http2) {
    let mut slot = slot.lock().await;
    if slot.as_ref().is_some_and(|other| other.is_same(connection)) {
        *slot = None;
    }
}

impl fmt::Debug for Http2Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Pool")
            .field("builder", &self.builder)
            .field("connections", &self.connections.len())
            .finish_non_exhaustive()
    }
}
