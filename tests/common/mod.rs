//! What the tests share: raw frames, and transports named for how they behave.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod frames;
pub(crate) mod transports;

use fastwebsockets_stream::{Config, Error, WebSocketStream, fastwebsockets::Role};
use std::{future::Future, io, time::Duration};
use transports::{Peer, Wire};

/// Both roles, for tests that hold in each.
pub(crate) const ROLES: [Role; 2] = [Role::Server, Role::Client];

/// A stream over a wire whose other end is in the test's hand.
pub(crate) fn stream(role: Role, config: impl Into<Config>) -> (WebSocketStream<Wire>, Peer) {
    let (wire, peer) = Wire::new();
    (WebSocketStream::after_handshake(wire, role, config), peer)
}

/// Nothing in a test may take longer than this.
pub(crate) async fn in_time<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("took too long")
}

/// The typed cause of an error of the crate.
pub(crate) fn cause(error: &io::Error) -> &Error {
    let inner = error.get_ref().expect("an error with a cause");
    inner.downcast_ref().expect("an error of this crate")
}

/// Bytes that differ from their neighbours, for comparing what arrives.
pub(crate) fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}
