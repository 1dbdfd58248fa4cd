//! What goes wrong between two ends of a WebSocket, on real sockets: a clear error within a bound,
//! no byte lost before it or delivered twice, no truncated stream that looks complete, and no task
//! or socket left behind.
//!
//! `LONG=1 cargo test --all-features --test faults` has slow peers for a whole minute.
#![cfg(all(feature = "tls", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;
mod handshakes;
#[path = "../http/mod.rs"]
mod http;
mod http2;
mod leftovers;
mod pattern;
mod process;
mod relay;
mod transfers;
