//! The kinds of bad peers: how many there are, and what each may cost.

use crate::{
    Stage,
    bad_frames::BadFrames::{
        self, CloseAndStay, EmptyFragments, HugeClaim, NotMasked, PingFlood, UnreadEcho,
    },
    over_http1, over_http2,
};
use std::net::SocketAddr;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    /// Without a WebSocket, over TCP or HTTP/1.1.
    Tcp(over_http1::Bad),
    /// Without a WebSocket that lasts, over HTTP/2.
    Http2(over_http2::Bad),
    /// In a WebSocket over HTTP/1.1.
    Upgraded(BadFrames),
    /// In many WebSockets on a connection of HTTP/2.
    Streams(BadFrames),
}

use Kind::{Http2, Streams, Tcp, Upgraded};

/// How many of each kind there are among the thousand.
pub(crate) const KINDS: [(Kind, usize); 26] = [
    (Tcp(over_http1::Bad::Nothing), 65),
    (Tcp(over_http1::Bad::Garbage), 65),
    (Tcp(over_http1::Bad::HalfOfTheHandshake), 65),
    (Tcp(over_http1::Bad::StalledHeaders), 65),
    (Tcp(over_http1::Bad::HugeHeader), 65),
    (Tcp(over_http1::Bad::ManyHeaders), 65),
    (Upgraded(HugeClaim), 75),
    (Upgraded(EmptyFragments), 75),
    (Upgraded(PingFlood), 75),
    (Upgraded(UnreadEcho), 75),
    (Upgraded(NotMasked), 75),
    (Upgraded(CloseAndStay), 75),
    (Http2(over_http2::Bad::HalfOfThePreface), 20),
    (Http2(over_http2::Bad::OnlyThePreface), 20),
    (Http2(over_http2::Bad::GarbageAfterThePreface), 30),
    (Http2(over_http2::Bad::StalledHeaders), 20),
    (Http2(over_http2::Bad::PingFlood), 20),
    (Http2(over_http2::Bad::HugeHeader), 18),
    (Http2(over_http2::Bad::RequestsAndResets), 10),
    (Http2(over_http2::Bad::OpensAndResets), 10),
    (Streams(HugeClaim), 2),
    (Streams(EmptyFragments), 2),
    (Streams(PingFlood), 2),
    (Streams(UnreadEcho), 2),
    (Streams(NotMasked), 2),
    (Streams(CloseAndStay), 2),
];

impl Kind {
    /// Does its worst, and sees that the server answers as it should.
    pub(crate) async fn run(self, address: SocketAddr, stage: Stage) {
        match self {
            Tcp(bad) => bad.run(address, stage).await,
            Http2(bad) => bad.run(address, stage).await,
            Upgraded(bad) => over_http1::upgraded(bad, address, stage).await,
            Streams(bad) => over_http2::streams(bad, address, stage).await,
        }
    }

    /// WebSockets on one connection.
    pub(crate) fn streams(self) -> usize {
        if matches!(self, Streams(_)) { over_http2::STREAMS } else { 1 }
    }

    /// Peers of a kind that are alone with the server.
    pub(crate) fn many_enough_to_measure(self) -> usize {
        if matches!(self, Streams(_)) { 2 } else { 50 }
    }

    /// The most bytes of the server's heap for each connection, or for each of its WebSockets. The
    /// 8 KiB that `tokio::io::copy` reads into are in it.
    pub(crate) fn memory(self) -> usize {
        const KIB: usize = 1024;
        match self {
            // The headers may have 16 KiB, in a buffer that grew by doubling.
            Tcp(_) => 48 * KIB,
            // h2 takes a few frames of headers, of the size that the server allows
            // (`Windows::MANY`: 16 KiB), whatever the limit of headers is.
            Http2(over_http2::Bad::StalledHeaders) => 256 * KIB,
            // And the same decoded, for as long as that takes.
            Http2(over_http2::Bad::HugeHeader) => 448 * KIB,
            Http2(_) => 64 * KIB,
            // What was accepted for a peer that doesn't read: 64 KiB of frames, in a buffer that
            // grew by doubling.
            Upgraded(UnreadEcho) => 144 * KIB,
            Upgraded(_) => 32 * KIB,
            // The window of the stream besides (`Windows::MANY`), and hyper's own buffers.
            Streams(UnreadEcho) => 512 * KIB,
            Streams(PingFlood) => 192 * KIB,
            Streams(_) => 32 * KIB,
        }
    }
}
