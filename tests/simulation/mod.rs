//! Streams in a world that a seed decides: what the scheduler runs next, what the transport gives,
//! takes and puts off, what the application does, what the peer sends.
//!
//! The property tests in `tests/model.rs` feed it random bytes, the fuzz targets in `fuzz` what a
//! fuzzer finds.
#![allow(dead_code, reason = "each user has its own part")]

pub(crate) mod application;
pub(crate) mod choices;
pub(crate) mod executor;
#[path = "../common/frames.rs"]
pub(crate) mod frames;
pub(crate) mod one_stream;
pub(crate) mod reference;
pub(crate) mod transport;
pub(crate) mod two_streams;
