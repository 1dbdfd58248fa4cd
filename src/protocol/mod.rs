//! The WebSocket protocol (RFC 6455 section 5) as bytes and state: no I/O, no async, and no
//! allocation that the peer's numbers control.

pub(crate) mod close;
pub(crate) mod decoder;
pub(crate) mod frame;
pub(crate) mod head;
pub(crate) mod mask;
pub(crate) mod utf8;
mod vectors;
pub(crate) mod violation;

/// The longest payload of a control frame (RFC 6455 section 5.5).
pub(crate) const MAX_CONTROL_PAYLOAD: usize = 125;
