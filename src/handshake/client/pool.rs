//! A few HTTP/2 connections for any number of WebSockets.

use super::{Builder, Connected, HandshakeError, Http2};
use std::{
    fmt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

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
    slots: Box<[Slot]>,
    turn: AtomicUsize,
}

/// Where one of the connections is, once it is made.
#[derive(Default)]
struct Slot {
    connection: Mutex<Option<Http2>>,
    /// Held by who makes it.
    making: tokio::sync::Mutex<()>,
}

impl Slot {
    /// The connection, unless it is known to have ended.
    fn get(&self) -> Option<Http2> {
        self.lock().clone().filter(|connection| !connection.is_closed())
    }

    /// The connection, and whether it was made now.
    async fn get_or_make(&self, builder: &Builder) -> Result<(Http2, bool), HandshakeError> {
        if let Some(connection) = self.get() {
            return Ok((connection, false));
        }
        let _making = self.making.lock().await;
        // Somebody else may have been faster.
        if let Some(connection) = self.get() {
            return Ok((connection, false));
        }
        let connection = builder.connect_http2().await?;
        *self.lock() = Some(connection.clone());
        Ok((connection, true))
    }

    /// Lets nobody take this connection any more.
    fn discard(&self, connection: &Http2) {
        let mut slot = self.lock();
        if slot.as_ref().is_some_and(|other| other.is_same(connection)) {
            *slot = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Http2>> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Http2Pool {
    /// WebSockets as this builder opens them, on this many connections, at least one.
    ///
    /// One connection carries as many as the server allows at a time, and no more data than one TCP
    /// connection does.
    pub fn new(builder: Builder, connections: usize) -> Self {
        let slots = (0..connections.max(1)).map(|_| Slot::default()).collect();
        Self { builder, slots, turn: AtomicUsize::new(0) }
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
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.slots.len();
        let slot = &self.slots[turn];
        let mut used = None;
        let opened = tokio::time::timeout(self.builder.timeout, self.open_on(slot, &mut used));
        let opened = opened.await.unwrap_or(Err(HandshakeError::TimedOut));
        if let (Err(HandshakeError::TimedOut), Some(connection)) = (&opened, used) {
            slot.discard(&connection);
        }
        opened
    }

    async fn open_on(
        &self,
        slot: &Slot,
        used: &mut Option<Http2>,
    ) -> Result<Connected, HandshakeError> {
        let (connection, is_new) = slot.get_or_make(&self.builder).await?;
        let connection = used.insert(connection);
        match self.builder.http2(connection).await {
            Err(HandshakeError::ConnectionClosed | HandshakeError::Http(_)) if !is_new => {
                slot.discard(connection);
                *connection = slot.get_or_make(&self.builder).await?.0;
                self.builder.http2(connection).await
            }
            opened => opened,
        }
    }
}

impl fmt::Debug for Http2Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Pool")
            .field("builder", &self.builder)
            .field("connections", &self.slots.len())
            .finish_non_exhaustive()
    }
}
