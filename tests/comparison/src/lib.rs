//! The guide's pages for those who come from other crates, with their code for those crates.
//!
//! The pages belong to `fastwebsockets-stream`, whose own tests compile the rest of their code.
//! `tests/claims.rs` checks what the comparison says.

#[doc = include_str!("../../../src/guide/coming_from_0_1.md")]
pub mod coming_from_0_1 {}

#[doc = include_str!("../../../src/guide/coming_from_h2_ws_client.md")]
pub mod coming_from_h2_ws_client {}

#[doc = include_str!("../../../src/guide/coming_from_tokio_tungstenite.md")]
pub mod coming_from_tokio_tungstenite {}

#[doc = include_str!("../../../src/guide/coming_from_ws_stream_tungstenite.md")]
pub mod coming_from_ws_stream_tungstenite {}
