// The README's links into the guide, for here: of two definitions the first counts.
#![cfg_attr(feature = "tls", doc = include_str!("guide/links.md"))]
#![cfg_attr(feature = "handshake", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "handshake"), doc = "A WebSocket as a byte stream.")]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![deny(unsafe_code)]

mod close_frame;
mod config;
mod error;
#[cfg(all(any(doc, doctest), feature = "tls"))]
#[cfg_attr(docsrs, doc(auto_cfg = false))]
pub mod guide;
#[cfg(feature = "handshake")]
mod handshake;
mod protocol;
mod stats;
mod stream;
mod trace;

pub use close_frame::CloseFrame;
pub use config::{Config, PayloadType};
pub use error::Error;
pub use fastwebsockets;
#[cfg(feature = "handshake")]
#[cfg_attr(docsrs, doc(cfg(feature = "handshake")))]
pub use handshake::{Transport, Windows, client, server};
pub use protocol::violation::Violation;
pub use stats::Stats;
pub use stream::WebSocketStream;

/// As long as anybody waits; a timer can't count further than its clock.
const FOR_EVER: std::time::Duration = std::time::Duration::from_secs(30 * 365 * 24 * 60 * 60);
