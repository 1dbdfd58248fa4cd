//! The WebSocket handshake over HTTP/1.1 (RFC 6455 section 4) and HTTP/2 (RFC 8441).

pub mod client;
mod headers;
pub mod server;
mod transport;
mod windows;

pub use transport::Transport;
pub use windows::Windows;
