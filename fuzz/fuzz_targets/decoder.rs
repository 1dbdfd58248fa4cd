//! The decoder on any bytes, cut anywhere, against the reference.
#![no_main]

#[path = "../../tests/simulation/decoder.rs"]
mod decoder;
#[path = "../../src/protocol/mod.rs"]
#[allow(dead_code, reason = "the crate uses the rest")]
mod protocol;
#[path = "../../tests/simulation/reference.rs"]
mod reference;

libfuzzer_sys::fuzz_target!(|input: &[u8]| decoder::run(input));
