//! Who is measured: a file each.

#[cfg(feature = "peers")]
pub mod async_tungstenite;
pub mod bare;
pub mod fastwebsockets;
pub mod ours;
#[cfg(feature = "peers")]
pub mod published;
#[cfg(feature = "peers")]
pub mod tokio_websockets;
#[cfg(feature = "peers")]
pub mod ws_stream_tungstenite;
#[cfg(feature = "peers")]
pub mod yawc;

use crate::payload::Check;
pub use ::fastwebsockets::Role;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a contestant runs on: the handshake is done.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Transport for S {}

/// What a contestant is compared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The transport itself: what everyone is measured against.
    Bare,
    /// This crate.
    Ours,
    /// A byte stream, as this crate is.
    Peer,
    /// A loop over messages, for orientation.
    Loop,
}

/// One end of a connection, as far as all contestants have it.
pub trait Link: Send + 'static {
    /// Receives what has come and shows it to the check. Returns the bytes.
    fn receive(
        &mut self,
        buf: &mut [u8],
        check: &mut Check,
    ) -> impl Future<Output = io::Result<usize>> + Send;

    /// Sends these bytes, without a flush.
    fn send(&mut self, bytes: &[u8]) -> impl Future<Output = io::Result<()>> + Send;

    fn flush(&mut self) -> impl Future<Output = io::Result<()>> + Send;
}

pub trait Contestant: 'static {
    const NAME: &'static str;
    const KIND: Kind;
    type Link<S: Transport>: Link;

    /// `None` if it has no such thing.
    fn link<S: Transport>(io: S, role: Role, text: bool) -> Option<Self::Link<S>>;
}

/// A contestant whose link is a byte stream.
pub trait ByteStream: 'static {
    const NAME: &'static str;
    const KIND: Kind = Kind::Peer;
    type Stream<S: Transport>: Transport;

    /// `None` if it has no such thing.
    fn stream<S: Transport>(io: S, role: Role, text: bool) -> Option<Self::Stream<S>>;
}

/// The link of a byte stream.
pub struct Bytes<T>(pub T);

impl<T: Transport> Link for Bytes<T> {
    async fn receive(&mut self, buf: &mut [u8], check: &mut Check) -> io::Result<usize> {
        let n = self.0.read(buf).await?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        check.take(&buf[..n])?;
        Ok(n)
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }
}

impl<C: ByteStream> Contestant for C {
    const NAME: &'static str = <C as ByteStream>::NAME;
    const KIND: Kind = <C as ByteStream>::KIND;
    type Link<S: Transport> = Bytes<C::Stream<S>>;

    fn link<S: Transport>(io: S, role: Role, text: bool) -> Option<Self::Link<S>> {
        C::stream(io, role, text).map(Bytes)
    }
}

/// Calls a macro with the type of each byte stream, the bare transport first.
#[macro_export]
macro_rules! for_each_stream {
    ($call:ident) => {
        $call!($crate::contestants::bare::Bare);
        $call!($crate::contestants::ours::Ours);
        #[cfg(feature = "peers")]
        $call!($crate::contestants::published::Published);
        #[cfg(feature = "peers")]
        $call!($crate::contestants::ws_stream_tungstenite::WsStreamTungstenite);
        #[cfg(feature = "peers")]
        $call!($crate::contestants::async_tungstenite::AsyncTungstenite);
        #[cfg(feature = "peers")]
        $call!($crate::contestants::tokio_websockets::TokioWebsockets);
    };
}

/// Calls a macro with the type of each message loop.
#[macro_export]
macro_rules! for_each_loop {
    ($call:ident) => {
        $call!($crate::contestants::fastwebsockets::Fastwebsockets);
        #[cfg(feature = "peers")]
        $call!($crate::contestants::yawc::Yawc);
    };
}
