//! The guide: a page for each situation, with code that is compiled and run by the tests.
//!
//! | you have | page |
//! |---|---|
//! | a fastwebsockets socket | [`adopting`] |
//! | a server to write | [`serving`] |
//! | a server to connect to | [`connecting`] |
//! | TCP connections to carry, or a relay | [`tunnelling`] |
//! | a database driver, or any client that takes a stream | [`drivers`] |
//! | messages of your own | [`codecs`] |
//! | TLS to run inside of the WebSocket | [`tls_inside`] |
//! | HTTP or gRPC to run inside | [`http_inside`] |
//! | MQTT, or another subprotocol | [`subprotocols`] |
//! | browsers | [`browsers`] |
//! | more load than one machine takes | [`scaling`] |
//! | an end, an error, a timeout | [`closing`] |
//! | to see what happens | [`observability`] |
//! | peers that nobody vouches for | [`security`] |
//! | code for another crate | [`coming_from_0_1`], [`coming_from_tokio_tungstenite`], [`coming_from_ws_stream_tungstenite`], [`coming_from_h2_ws_client`], and the [`comparison`] |
//! | doubts | [`guarantees`], with the test of each |
//! | a question | [`faq`] |
//!
//! This module is there in the documentation only.

macro_rules! pages {
    ($($name:ident)*) => {$(
        pub mod $name {
            #![doc = include_str!(concat!("guide/", stringify!($name), ".md"))]
        }
    )*};
}

pages! {
    adopting serving connecting tunnelling drivers codecs tls_inside http_inside subprotocols
    browsers scaling closing observability guarantees comparison faq
    coming_from_0_1 coming_from_tokio_tungstenite coming_from_ws_stream_tungstenite
    coming_from_h2_ws_client
}

/// What the crate promises, and what is the caller's business: the text of `SECURITY.md`.
///
#[doc = include_str!("../SECURITY.md")]
pub mod security {}
