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
    connections: Box<[Mutex<Option<Http2>>]>,
    turn: AtomicUsize,
}

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
    /// A connection that the server has given up (by GOAWAY, or for being idle) may be known for it
    /// only by the request that it refuses. That request is made once more, on a new connection.
    ///
    /// # Errors
    ///
    /// As [`Builder::connect_http2`] and [`Builder::http2`].
    pub async fn open(&self) -> Result<Connected, HandshakeError> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % self.connections.len();
        let (connection, is_new) = self.connection(turn).await?;
        match self.builder.http2(&connection).await {
            Err(HandshakeError::ConnectionClosed | HandshakeError::Http(_)) if !is_new => {
                let (connection, _) = self.connection(turn).await?;
                self.builder.http2(&connection).await
            }
            opened => opened,
        }
    }

    /// A connection that isn't known to have ended, and whether it was made now.
    async fn connection(&self, turn: usize) -> Result<(Http2, bool), HandshakeError> {
        let mut connection = self.connections[turn].lock().await;
        match &*connection {
            Some(connection) if !connection.is_closed() => Ok((connection.clone(), false)),
            _ => Ok((connection.insert(self.builder.connect_http2().await?).clone(), true)),
        }
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
